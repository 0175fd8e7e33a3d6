/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>

#include "ctl/nearest.h"
#include "ctl/options.h"
#include "ctl/say.h"
#include "lib/names.h"
#include "lib/time.h"

const char *const format_words[] = { "table", "json", "json-pretty", NULL };

static Status set_output(Options *o, const char *argument) {
        for (int i = 0; format_words[i]; i++) {
                if (strcmp(format_words[i], argument) == 0) {
                        o->format = (Format) i;
                        return STATUS_OK;
                }
        }
        return complain(STATUS_USAGE, "--output takes table, json or json-pretty, not \"%s\"", argument);
}

/* A positive decimal number, nothing behind it. */
static bool positive(const char *text, int64_t most, int64_t *ret) {
        char *end = NULL;
        long long value;

        errno = 0;
        value = strtoll(text, &end, 10);
        if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || value <= 0 || value > most)
                return false;
        *ret = value;
        return true;
}

static Status set_lines(Options *o, const char *argument) {
        if (positive(argument, INT32_MAX, &o->lines))
                return STATUS_OK;
        return complain(STATUS_USAGE, "--lines takes a number from 1 on, not \"%s\"", argument);
}

static Status set_timeout(Options *o, const char *argument) {
        char *end = NULL;
        double seconds = strtod(argument, &end);

        if (end == argument || *end || !(seconds > 0) || seconds > 1e6)
                return complain(STATUS_USAGE, "--timeout takes seconds, such as 10 or 0.5, not \"%s\"",
                                argument);
        o->timeout = (int64_t) (seconds * (double) USEC_PER_SEC);
        return STATUS_OK;
}

static Status set_time(const char *option, const char *argument, int64_t *ret) {
        if (time_parse(argument, now_usec(CLOCK_REALTIME), ret) != 0)
                return complain(STATUS_USAGE, "--%s does not know the time \"%s\"; it takes " TIME_FORMS,
                                option, argument);
        return STATUS_OK;
}

static Status set_since(Options *o, const char *argument) {
        return set_time("since", argument, &o->since);
}

static Status set_until(Options *o, const char *argument) {
        return set_time("until", argument, &o->until);
}

static Status set_as_of(Options *o, const char *argument) {
        return set_time("as-of", argument, &o->as_of);
}

static Status add_kind(Options *o, const char *word) {
        Nearest nearest;

        if (kind_from_word(word) > 0)
                return json_array_append_new(o->kinds, json_string(word)) < 0 ? complain_memory()
                                                                              : STATUS_OK;
        nearest_init(&nearest, word);
        for (int i = 1; kind_to_word(i); i++)
                nearest_offer(&nearest, kind_to_word(i));
        if (nearest_word(&nearest))
                return complain(STATUS_USAGE, "no kind of event is called \"%s\"; did you mean %s?", word,
                                nearest_word(&nearest));
        return complain(STATUS_USAGE, "no kind of event is called \"%s\"; 'man scitracectl' has them", word);
}

static Status set_kind(Options *o, const char *argument) {
        CLEANUP(freep) char *copy = strdup(argument);
        char *rest = copy, *word;
        Status status = STATUS_OK;

        if (!o->kinds)
                o->kinds = json_array();
        if (!copy || !o->kinds)
                return complain_memory();
        while (status == STATUS_OK && (word = strsep(&rest, ",")))
                status = add_kind(o, word);
        return status;
}

#define FLAG(m) SETS_FLAG, offsetof(Options, m), NULL
#define TEXT(m) SETS_TEXT, offsetof(Options, m), NULL
#define BY(fn) SETS_BY, 0, fn

/* clang-format off */
const Option option_table[] = {
        { 0,   "user",      NULL,      0,             "ask your own daemon", FLAG(user) },
        { 0,   "system",    NULL,      0,             "ask the system's daemon", FLAG(system) },
        { 0,   "socket",    "PATH",    0,             "ask the daemon that listens there", TEXT(socket) },
        { 0,   "state",     "DIR",     0,             "ask the daemon of this state folder", TEXT(state) },
        { 'o', "output",    "FORMAT",  0,             "table, json (lines) or json-pretty", BY(set_output) },
        { 'l', "full",      NULL,      0,             "cut nothing to fit the screen", FLAG(full) },
        { 0,   "no-legend", NULL,      0,             "no titles above the columns", FLAG(no_legend) },
        { 0,   "no-pager",  NULL,      0,             "no pager", FLAG(no_pager) },
        { 'q', "quiet",     NULL,      0,             "only answers and errors", FLAG(quiet) },
        { 'h', "help",      NULL,      0,             "this, or help on the command", FLAG(help) },
        { 0,   "version",   NULL,      0,             "the version", FLAG(version) },
        { 0,   "name",      "NAME",    TAKES_NAME,    "what the dataset will be called", TEXT(name) },
        { 0,   "new",       NULL,      TAKES_NEW,     "begin a new record there", FLAG(fresh) },
        { 0,   "move",      NULL,      TAKES_NEW,     "a dataset's root is there now", FLAG(move) },
        { 'a', "all",       NULL,      TAKES_ALL,     "also .git, also removed datasets", FLAG(all) },
        { 'f', "follow",    NULL,      TAKES_FOLLOW,  "go on with what happens from now on", FLAG(follow) },
        { 'n', "lines",     "N",       TAKES_LINES,   "at most N; of events the newest", BY(set_lines) },
        { 'r', "reverse",   NULL,      TAKES_REVERSE, "newest first", FLAG(reverse) },
        { 'S', "since",     "TIME",    TAKES_TIMES,   "from then on: yesterday, -2h, ...", BY(set_since) },
        { 'U', "until",     "TIME",    TAKES_TIMES,   "up to then", BY(set_until) },
        { 0,   "as-of",     "TIME",    TAKES_AS_OF,   "as it was then", BY(set_as_of) },
        { 0,   "kind",      "KIND",    TAKES_KIND,    "only these kinds: create,modify,...", BY(set_kind) },
        { 0,   "dataset",   "DATASET", TAKES_DATASET, "only this dataset", TEXT(dataset) },
        { 0,   "timeout",   "SECONDS", TAKES_TIMEOUT, "give up after so long", BY(set_timeout) },
        { 0,   "against",   "FILE",    TAKES_AGAINST, "compare with checkpoints from there", TEXT(against) },
        { 0,   "key",       "FILE",    TAKES_KEY,     "trust these public keys alone", TEXT(key) },
        { 0,   "proof",     "FILE",    TAKES_PROOF,   "check this proof; needs no store", TEXT(proof) },
        { 0,   "gently",    NULL,      TAKES_GENTLY,  "take four times as long, with pauses", FLAG(gently) },
        { 0,   "dry-run",   NULL,      TAKES_DRY,     "only say what would be removed", FLAG(dry) },
        { '0', "null",      NULL,      TAKES_NULL,    "names alone, raw, ended by NUL bytes", FLAG(null) },
        { 0 },
};
/* clang-format on */

enum { OPTIONS_MAX = 32, LONG_BASE = 256 };     /* above every letter */

static Status unknown_option(char **argv, int letter) {
        const char *typed = argv[optind - 1];
        Nearest nearest;

        if (letter > 0 && letter < LONG_BASE)
                return complain(STATUS_USAGE, "there is no option -%c; 'scitracectl help' lists them",
                                letter);
        if (letter >= LONG_BASE)
                return complain(STATUS_USAGE, "--%s takes no value", option_table[letter - LONG_BASE].word);
        nearest_init(&nearest, typed + strspn(typed, "-"));
        for (const Option *o = option_table; o->word; o++)
                nearest_offer(&nearest, o->word);
        if (nearest_word(&nearest))
                return complain(STATUS_USAGE, "there is no option %s; did you mean --%s?", typed,
                                nearest_word(&nearest));
        return complain(STATUS_USAGE, "there is no option %s; 'scitracectl help' lists them", typed);
}

static Status no_value(int letter) {
        for (int i = 0; option_table[i].word; i++)
                if (letter == LONG_BASE + i || (option_table[i].letter && letter == option_table[i].letter))
                        return complain(STATUS_USAGE, "--%s needs a value: --%s %s", option_table[i].word,
                                        option_table[i].word, option_table[i].argument);
        return STATUS_USAGE;
}

/* getopt_long's own forms of the table. */
static void make_getopt(struct option longs[static OPTIONS_MAX], char shorts[static 3 * OPTIONS_MAX]) {
        char *s = shorts;

        *s++ = ':';                     /* a missing value is ':' */
        for (int i = 0; option_table[i].word; i++) {
                const Option *o = &option_table[i];

                assert(i + 1 < OPTIONS_MAX);
                longs[i] = (struct option) { o->word, o->argument ? required_argument : no_argument, NULL,
                                            LONG_BASE + i };
                if (!o->letter)
                        continue;
                *s++ = o->letter;
                if (o->argument)
                        *s++ = ':';
        }
        *s = '\0';
}

static Status set_option(Options *o, int code) {
        const Option *option = option_table;

        while (code != LONG_BASE + (option - option_table) && (!option->letter || code != option->letter))
                option++;
        o->given |= option->takes;
        if (option->how == SETS_BY)
                return option->set(o, optarg);
        if (option->how == SETS_FLAG)
                *(bool *) ((char *) o + option->member) = true;
        else
                *(const char **) ((char *) o + option->member) = optarg;
        return STATUS_OK;
}

Status options_parse(Options *o, int argc, char **argv, char ***ret_words) {
        struct option longs[OPTIONS_MAX] = { 0 };
        char shorts[3 * OPTIONS_MAX];
        Status status = STATUS_OK;
        int code;

        assert(o && argv && ret_words);
        *o = (Options) { 0 };
        make_getopt(longs, shorts);
        opterr = 0;
        while (status == STATUS_OK && (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
                status = code == '?'   ? unknown_option(argv, optopt)
                         : code == ':' ? no_value(optopt)
                                       : set_option(o, code);
        if (status == STATUS_OK && o->user && o->system)
                status = complain(STATUS_USAGE, "--user and --system are two daemons; ask one");
        *ret_words = argv + optind;
        return status;
}

PlaceMode options_mode(const Options *o) {
        if (o->system || o->user)
                return o->system ? PLACE_SYSTEM : PLACE_USER;
        if (o->socket)
                return strncmp(o->socket, RUNSTATEPATH "/", strlen(RUNSTATEPATH "/")) == 0 ? PLACE_SYSTEM
                                                                                           : PLACE_USER;
        return o->state ? PLACE_USER : place_mode();
}

void options_done(Options *o) {
        json_decref(o->kinds);
        o->kinds = NULL;
}

Status options_allowed(const Options *o, const Cmd *cmd) {
        unsigned foreign = o->given & ~cmd->takes;

        for (const Option *option = option_table; option->word; option++)
                if (option->takes & foreign)
                        return complain(STATUS_USAGE,
                                        "'%s' takes no --%s; 'scitracectl help %s' says what it takes",
                                        cmd->name, option->word, cmd->name);
        return STATUS_OK;
}
