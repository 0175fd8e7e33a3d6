/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>

#include "policy/policy.h"
#include "policy/value.h"

typedef struct Parse Parse;

/* Sets what one key says; 0, -EINVAL: not allowed (see the key's `allowed`), or -ENOMEM. */
typedef int (*KeyFn)(Parse *x, const char *value);

static int set_ignore(Parse *x, const char *value);

/* A key is a number with limits, whose text `parse` understands, or has a function of its own. */
typedef struct Key {
        const char *section, *name;
        int (*parse)(const char *text, int64_t *ret);
        size_t offset;                  /* of an int64_t in Policy */
        int64_t initial, min, max;
        KeyFn set;
        const char *allowed;
} Key;

#define SECONDS(n) ((n) * (int64_t) USEC_PER_SEC)

/* clang-format off */
static const Key keys[] = {
        { "Dataset",  "SettleTime",          value_parse_time, offsetof(Policy, settle_usec),
          250000,             10000,      SECONDS(60),         NULL, "a time from 10ms to 60s" },
        { "Dataset",  "OpenVersionInterval", value_parse_time, offsetof(Policy, write_max_usec),
          SECONDS(5),         SECONDS(1), SECONDS(3600),       NULL, "a time from 1s to 1h" },
        { "Dataset",  "PollInterval",        value_parse_time, offsetof(Policy, poll_usec),
          SECONDS(600),       SECONDS(1), SECONDS(7 * 86400),  NULL, "a time from 1s to 7d" },
        { "Ignore",   "Pattern",             NULL, 0, 0, 0, 0, set_ignore,
          "a pattern as in gitignore(5), and at most 8000 bytes of patterns in all" },
        { "Identify", "DigestUpTo",          value_parse_size, offsetof(Policy, digest_max),
          INT64_C(1) << 30,   0,          INT64_C(1) << 50,    NULL, "a size from 0 to 1P" },
        { "Identify", "ReadUpTo",            value_parse_size, offsetof(Policy, read_max),
          INT64_C(1) << 44,   INT64_C(1) << 20, INT64_C(1) << 60, NULL, "a size from 1M to 1024P" },
        { "Identify", "PressureLimit",       value_parse_percent, offsetof(Policy, pressure_max),
          20,                 1,          100,                 NULL, "a percentage from 1% to 100%" },
        { "Watcher",  "CheckInterval",       value_parse_time, offsetof(Policy, check_usec),
          SECONDS(30),        SECONDS(1), SECONDS(3600),       NULL, "a time from 1s to 1h" },
        { "Watcher",  "PollEntriesPerSecond", value_parse_size, offsetof(Policy, poll_rate),
          1000,               1,          INT64_C(1) << 20,    NULL, "a number from 1 to 1M" },
        { "Retention", "KeepEvents",         value_parse_keep, offsetof(Policy, keep_usec),
          INT64_MAX,          SECONDS(1), INT64_MAX,           NULL, "a time from 1s on, or infinity" },
        { "Metrics",  "SampleInterval",      value_parse_time, offsetof(Policy, sample_usec),
          SECONDS(10),        SECONDS(1), SECONDS(3600),       NULL, "a time from 1s to 1h" },
        { 0 },
};
/* clang-format on */

/* One file on its way through inih. Debian's inih does not tell the handler the line: our reader counts. */
struct Parse {
        Policy *policy;
        const char *file, *rest;        /* rest: the text not yet read */
        int line;                       /* the one that inih has now, from 1 */
        bool expects;                   /* that line should have come to key_found(), and has not yet */
        int error;
        PolicyWarnFn warn;
        void *userdata;
};

PRINTF_LIKE(2, 3) static void complain(Parse *x, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (x->warn)
                x->warn(x->userdata, x->file, x->line, message);
}

static size_t ignore_bytes(const Policy *p) {
        size_t sum = 0;

        for (size_t i = 0; i < p->n_ignore; i++)
                sum += strlen(p->ignore[i]) + 1;
        return sum;
}

static void empty_ignore(Policy *p) {
        while (p->n_ignore > 0)
                free(p->ignore[--p->n_ignore]);
}

static int set_ignore(Parse *x, const char *value) {
        CLEANUP(freep) char *copy = NULL;
        Policy *p = x->policy;
        char **grown;

        if (!*value) {
                empty_ignore(p);
                return 0;
        }
        if (ignore_bytes(p) + strlen(value) + 1 > POLICY_IGNORE_MAX)
                return -EINVAL;
        copy = strdup(value);
        grown = reallocarray(p->ignore, p->n_ignore + 1, sizeof(*grown));
        if (grown)
                p->ignore = grown;
        if (!copy || !grown)
                return -ENOMEM;
        p->ignore[p->n_ignore++] = STEAL(copy);
        return 0;
}

static int set_number(Parse *x, const Key *key, const char *value) {
        int64_t number = 0;
        int r = key->parse(value, &number);

        if (r < 0)
                return r;
        if (number < key->min || number > key->max)
                return -EINVAL;
        *(int64_t *) ((char *) x->policy + key->offset) = number;
        return 0;
}

/* "A, B, C": the sections, or the keys of one section. */
static const char *list_allowed(const char *section, char *buffer, size_t size) {
        size_t used = 0;

        buffer[0] = '\0';
        for (const Key *key = keys; key->name; key++) {
                if (section ? strcmp(section, key->section) != 0
                            : key > keys && strcmp(key[-1].section, key->section) == 0)
                        continue;
                used += (size_t) snprintf(buffer + used, size - used, used ? ", %s%s%s" : "%s%s%s",
                                          section ? "" : "[", section ? key->name : key->section,
                                          section ? "=" : "]");
                if (used >= size)
                        break;
        }
        return buffer;
}

static void complain_unknown(Parse *x, const char *section, const char *name, bool section_known) {
        char allowed[256];

        if (section_known)
                complain(x, "[%s] has no key \"%.60s\"; it has %s. The line is left out.", section, name,
                         list_allowed(section, allowed, sizeof(allowed)));
        else if (*section)
                complain(x, "There is no section [%.60s], but %s. The line is left out.", section,
                         list_allowed(NULL, allowed, sizeof(allowed)));
        else
                complain(x, "\"%.60s=\" stands before the first section (%s). The line is left out.", name,
                         list_allowed(NULL, allowed, sizeof(allowed)));
}

static int key_found(void *userdata, const char *section, const char *name, const char *value) {
        Parse *x = userdata;
        bool section_known = false;
        int r;

        x->expects = false;
        for (const Key *key = keys; key->name; key++) {
                if (strcmp(key->section, section) != 0)
                        continue;
                section_known = true;
                if (strcmp(key->name, name) != 0)
                        continue;
                r = key->set ? key->set(x, value) : set_number(x, key, value);
                if (r == -EINVAL)
                        complain(x, "[%s] %s=%.100s is not %s. What was in force before stays.", section,
                                 name, value, key->allowed);
                else if (r < 0)
                        x->error = r;
                return 1;
        }
        complain_unknown(x, section, name, section_known);
        return 1;
}

/* inih numbers only the first bad line of a file; so the reader remembers which lines must come to
 * key_found(). */
static void check_last_line(Parse *x) {
        if (x->expects)
                complain(x, "Neither [Section] nor Key=Value. The line is left out.");
        x->expects = false;
}

static char *read_line(char *line, int size, void *userdata) {
        Parse *x = userdata;
        size_t length = strcspn(x->rest, "\n"), blank;

        check_last_line(x);
        if (!*x->rest || x->error < 0)
                return NULL;
        x->line++;
        if (length >= (size_t) size) {
                complain(x, "The line has more than %d bytes and is left out.", size - 1);
                line[0] = '\0';
        } else {
                memcpy(line, x->rest, length);
                line[length] = '\0';
        }
        x->rest += length + (x->rest[length] == '\n');

        if (x->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
                memmove(line, line + 3, strlen(line + 3) + 1);
        blank = strspn(line, " \t\r\v\f");
        if (line[blank] == '[')
                x->expects = !strchr(line, ']');
        else
                x->expects = line[blank] && !strchr("#;", line[blank]);
        return line;
}

int policy_parse(Policy *p, const char *file, const char *text, PolicyWarnFn warn, void *userdata) {
        Parse x = { .policy = p, .file = file, .rest = text, .warn = warn, .userdata = userdata };

        assert(p && file && text);

        /* Debian's inih takes these at run time. An indented line is a line like any other, and a pattern
         * may hold a semicolon. */
        ini_allow_multiline = false;
        ini_allow_inline_comments = false;
        ini_allow_no_value = false;
        ini_use_stack = false;
        ini_max_line = ini_initial_alloc = POLICY_LINE_MAX + 1;

        if (ini_parse_stream(read_line, &x, key_found, &x) == -2)
                return -ENOMEM;
        return x.error;
}

int policy_new(Policy **ret) {
        Policy *p;

        assert(ret);
        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        for (const Key *key = keys; key->name; key++)
                if (!key->set)
                        *(int64_t *) ((char *) p + key->offset) = key->initial;
        *ret = p;
        return 0;
}

Policy *policy_free(Policy *p) {
        if (!p)
                return NULL;
        empty_ignore(p);
        free(p->ignore);
        free(p);
        return NULL;
}
