/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <printf.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SD_JOURNAL_SUPPRESS_LOCATION    /* ours comes from the caller */
#include <systemd/sd-journal.h>

#include "lib/log.h"
#include "lib/utf8.h"
#include "lib/util.h"

#define LIMIT_WINDOW (60 * (int64_t) USEC_PER_SEC)

#define LOG_ID_HEX_ITEM(name, hex) [MSG_##name] = hex,
static const char *const id_hex[MSG_COUNT] = { LOG_ID_TABLE(LOG_ID_HEX_ITEM) };

static const char *const level_words[] = { "emerg",   "alert",  "crit", "err",
                                           "warning", "notice", "info", "debug" };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;
static LogLimit limits[MSG_COUNT];
static atomic_int level = LOG_INFO;
static int to_journal;

typedef struct Message {
        const char *file, *line, *func;
        struct iovec fields[LOG_FIELDS_MAX];    /* the texts are owned */
        size_t n_fields;
} Message;

static void message_done(Message *m) {
        while (m->n_fields > 0)
                free(m->fields[--m->n_fields].iov_base);
}

/* systemd names the stream that it made our stderr in JOURNAL_STREAM as "device:inode"; it may have been
 * redirected since. */
static int stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        char ours[64];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return 0;
        snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return strcmp(stream, ours) == 0;
}

static int set_level(const char *word) {
        for (size_t i = 0; i < ELEMENTS(level_words); i++)
                if (strcmp(word, level_words[i]) == 0 || (word[0] == (char) ('0' + i) && word[1] == '\0')) {
                        level = (int) i;
                        return 0;
                }
        return -EINVAL;
}

static void log_init(void) {
        const char *word = getenv("SCITRACE_LOG_LEVEL");

        if (word)
                (void) set_level(word);         /* a misspelt level must not keep a program from starting */
        to_journal = stderr_is_journal();
}

int log_set_level(const char *word) {
        assert(word);
        (void) pthread_once(&once, log_init);
        return set_level(word);
}

int log_limit_take(LogLimit *limit, int64_t now, unsigned *ret_missed) {
        assert(limit && ret_missed);

        *ret_missed = 0;
        if (limit->logged == 0 || now - limit->since >= LIMIT_WINDOW) {
                *ret_missed = limit->missed;
                *limit = (LogLimit) { .since = now, .logged = 1 };
                return 1;
        }
        if (limit->logged < LOG_REPEATS_MAX) {
                limit->logged++;
                return 1;
        }
        limit->missed++;
        return 0;
}

/* The length of the printable code point at the start of s, or 0. */
static size_t printable_length(Bytes s) {
        uint32_t c = 0;
        int n = utf8_next(s, &c);

        return n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : (size_t) n;
}

char *log_escape(const char *text, char *buffer, size_t size) {
        size_t used = 0;

        assert(text && buffer && size > 0);
        while (*text) {
                size_t n = printable_length(BYTES_STR(text));
                size_t need = n ? n : strlen("\\xNN");

                if (used + need >= size)
                        break;
                if (n)
                        memcpy(buffer + used, text, n);
                else
                        snprintf(buffer + used, need + 1, "\\x%02x", (unsigned char) *text);
                used += need;
                text += n ? n : 1;
        }
        buffer[used] = '\0';
        return buffer;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void message_addv(Message *m, const char *format, va_list ap) {
        char *text = NULL;
        int n;

        if (m->n_fields >= LOG_FIELDS_MAX)
                return;
        n = vasprintf(&text, format, ap);
        if (n < 0)
                return;         /* no memory: the message goes without this field */
        m->fields[m->n_fields++] = (struct iovec) { text, (size_t) n };
}

/* Leaves *ret alone if there is no memory. */
static void format_sentence(char *ret, size_t size, int error, const char *format, va_list ap) {
        CLEANUP(freep) char *text = NULL, *whole = NULL;

        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                return;
        }
        if (error < 0 && asprintf(&whole, "%s (%s)", text, strerrordesc_np(-error) ?: "unknown error") < 0) {
                whole = NULL;
                return;
        }
        (void) log_escape(whole ?: text, ret, size);
}
#pragma GCC diagnostic pop

PRINTF_LIKE(2, 3) static void message_add(Message *m, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        message_addv(m, format, ap);
        va_end(ap);
}

/* Steps over the arguments of one format: a va_list that vasprintf() has read from is spent. */
static void skip_arguments(const char *format, va_list *ap) {
        int types[LOG_FIELDS_MAX];
        size_t n = parse_printf_format(format, ELEMENTS(types), types);

        for (size_t i = 0; i < MIN_OF(n, ELEMENTS(types)); i++) {
                int type = types[i];

                if ((type & PA_FLAG_PTR) || type == PA_STRING || type == PA_POINTER)
                        (void) va_arg(*ap, void *);
                else if (type == PA_DOUBLE)
                        (void) va_arg(*ap, double);
                else if (type & PA_FLAG_LONG_LONG)
                        (void) va_arg(*ap, long long);
                else if (type & PA_FLAG_LONG)
                        (void) va_arg(*ap, long);
                else
                        (void) va_arg(*ap, int);
        }
}

static void write_line(const char *sentence) {
        char line[LOG_SENTENCE_MAX + 64];
        int n = snprintf(line, sizeof(line), "%.48s: %s\n", program_invocation_short_name, sentence);

        /* One write, so that lines of several processes do not mix; nobody is left to hear of a failure. */
        if (write(STDERR_FILENO, line, (size_t) n) < 0)
                return;
}

static void message_send(Message *m, int priority, LogId id, int error, const char *sentence) {
        if (to_journal) {
                message_add(m, "MESSAGE=%s", sentence);
                message_add(m, "PRIORITY=%d", priority);
                if (id != MSG_NONE)
                        message_add(m, "MESSAGE_ID=%s", id_hex[id]);
                if (error < 0)
                        message_add(m, "ERRNO=%d", -error);
                if (sd_journal_sendv_with_location(m->file, m->line, m->func, m->fields,
                                                   (int) m->n_fields) >= 0)
                        return;
        }
        write_line(sentence);
}

static void say_missed(LogId id, unsigned missed) {
        CLEANUP(message_done) Message m = { "CODE_FILE=" __FILE__, "CODE_LINE=0", __func__, { { 0 } }, 0 };
        char sentence[128];

        snprintf(sentence, sizeof(sentence), "%u more messages of the same kind were left out, only counted",
                 missed);
        message_send(&m, LOG_NOTICE, id, 0, sentence);
}

void log_flush(void) {
        unsigned missed[MSG_COUNT];

        (void) pthread_once(&once, log_init);
        (void) pthread_mutex_lock(&limits_lock);
        for (size_t id = 0; id < MSG_COUNT; id++) {
                missed[id] = limits[id].missed;
                limits[id].missed = 0;
        }
        (void) pthread_mutex_unlock(&limits_lock);

        for (size_t id = 0; id < MSG_COUNT; id++)
                if (missed[id] > 0)
                        say_missed((LogId) id, missed[id]);
}

/* 1: goes out, 0: counted only. Messages without an id are not limited. */
static int may_send(LogId id) {
        unsigned missed;
        int take;

        if (id == MSG_NONE)
                return 1;
        (void) pthread_mutex_lock(&limits_lock);
        take = log_limit_take(&limits[id], now_usec(CLOCK_MONOTONIC), &missed);
        (void) pthread_mutex_unlock(&limits_lock);
        if (missed > 0)
                say_missed(id, missed);
        return take;
}

int log_event_at(const char *file, const char *line, const char *func, int priority, LogId id, int error,
                 const char *sentence, ...) {
        CLEANUP(message_done) Message m = { file, line, func, { { 0 } }, 0 };
        char text[LOG_SENTENCE_MAX] = "(a message was lost for want of memory)";
        int saved_errno = errno;
        va_list ap, copy;

        assert(sentence && id < MSG_COUNT);
        (void) pthread_once(&once, log_init);
        if (priority > level || !may_send(id)) {
                errno = saved_errno;
                return error;
        }

        va_start(ap, sentence);
        for (const char *format = sentence; format; format = va_arg(ap, const char *)) {
                va_copy(copy, ap);
                if (format == sentence)
                        format_sentence(text, sizeof(text), error, format, copy);
                else if (to_journal && m.n_fields + 4 < LOG_FIELDS_MAX)         /* 4: our own */
                        message_addv(&m, format, copy);
                va_end(copy);
                skip_arguments(format, &ap);
        }
        va_end(ap);

        message_send(&m, priority, id, error, text);
        errno = saved_errno;
        return error;
}
