/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/screen.h"
#include "ctl/view.h"
#include "lib/time.h"

/* Jobs of the daemon's that go in steps: how far they are, on stderr, where that is a screen. */

typedef struct Tending {
        int64_t freed;                  /* bytes */
        int64_t events;
        bool shown;
} Tending;

static void clear(Tending *t) {
        if (t->shown)
                fputs("\r\x1b[K", stderr);
        t->shown = false;
}

static Status take_step(Ctl *c, json_t *row, bool *stop, void *userdata) {
        int64_t done = row_number(row, "done"), left = row_number(row, "left");
        const char *phase = row_text(row, "phase");
        Tending *t = userdata;

        (void) stop;
        if (strcmp(phase, "vacuum") == 0)
                t->freed = done;
        if (strcmp(phase, "events") == 0)
                t->events = done;
        if (c->options.format != FORMAT_TABLE) {
                view_json(c, row);
                fflush(stdout);
        } else if (!c->options.quiet && c->screen.terminal && !c->screen.dumb && isatty(STDERR_FILENO)) {
                fprintf(stderr, "\r\x1b[K%s: %lld done, %lld left", phase, (long long) done,
                        (long long) left);
                fflush(stderr);
                t->shown = true;
        }
        return STATUS_OK;
}

Status cmd_store_maintain(Ctl *c, char **arguments) {
        Tending t = { 0 };
        char size[HUMAN_MAX];
        Status status;

        (void) arguments;
        status = ask_rows(c, "org.scitrace.Store.Maintain", NULL, "row", take_step, &t);
        clear(&t);
        if (status == STATUS_OK && c->options.format == FORMAT_TABLE)
                note(c, "The record's database is in shape; %s were given back to the file system.",
                     human_size(t.freed, size));
        return status;
}

static Status prune(Ctl *c, int64_t upto) {
        Tending t = { 0 };
        char size[HUMAN_MAX];
        Status status = ask_rows(c, "org.scitrace.Store.Prune", json_pack("{sI}", "upto", (json_int_t) upto),
                                 "row", take_step, &t);

        clear(&t);
        if (status == STATUS_OK && c->options.format == FORMAT_TABLE)
                note(c, "%lld events up to %lld were removed; %s were given back to the file system.",
                     (long long) t.events, (long long) upto, human_size(t.freed, size));
        return status;
}

static void say_doubt(const Ctl *c, const json_t *doubt) {
        char off[TIME_TEXT_MAX], left[TIME_TEXT_MAX];

        if (doubt)
                note(c, "The clock is %s %s the record, by more than a week: until it has stood for %s more "
                        "while scitraced runs, no event gets older by it.",
                     time_format_span(imaxabs(row_number(doubt, "offUsec")), off),
                     row_number(doubt, "offUsec") < 0 ? "behind" : "ahead of",
                     time_format_span(row_number(doubt, "leftUsec"), left));
}

static void say_prunable(const Ctl *c, const json_t *p) {
        long long upto = (long long) row_number(p, "upto"), events = (long long) row_number(p, "events");
        char span[TIME_TEXT_MAX];

        if (events > 0)
                printf("%lld events up to %lld would be removed; what was there since, and how it came, "
                       "stays known\n", events, upto);
        else if (!row_has(p, "keepUsec"))
                note(c, "Policy keeps events for ever ([Retention] KeepEvents=infinity): nothing is to be "
                        "removed.");
        else
                note(c, "Nothing is to be removed: no 256 events (the least that is) are older than %s, or "
                        "what they tell is still true.", time_format_span(row_number(p, "keepUsec"), span));
        say_doubt(c, json_object_get(p, "doubt"));
}

Status cmd_store_prune(Ctl *c, char **arguments) {
        json_t *answer = NULL;
        Status status = ask(c, "org.scitrace.Store.Prunable", NULL, &answer);
        int64_t upto = row_number(answer, "upto");

        (void) arguments;
        if (status == STATUS_OK && !c->options.dry &&
            (upto > row_number(answer, "pruned") || json_is_true(json_object_get(answer, "unfinished"))))
                status = prune(c, upto);
        else if (status == STATUS_OK && c->options.format != FORMAT_TABLE)
                view_json(c, answer);
        else if (status == STATUS_OK)
                say_prunable(c, answer);
        json_decref(answer);
        return status;
}
