/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/screen.h"
#include "ctl/view.h"

/* Jobs of the daemon's that go in steps: how far they are, on stderr, where that is a screen. */

typedef struct Tending {
        int64_t freed;                  /* bytes */
        bool shown;
} Tending;

static void clear(Tending *t) {
        if (t->shown)
                fputs("\r\x1b[K", stderr);
        t->shown = false;
}

static Status take_step(Ctl *c, json_t *row, bool *stop, void *userdata) {
        int64_t done = row_number(row, "done"), left = row_number(row, "left");
        char did[HUMAN_MAX], rest[HUMAN_MAX];
        Tending *t = userdata;

        (void) stop;
        if (strcmp(row_text(row, "phase"), "vacuum") == 0)
                t->freed = done;
        if (c->options.format != FORMAT_TABLE) {
                view_json(c, row);
                fflush(stdout);
        } else if (!c->options.quiet && c->screen.terminal && !c->screen.dumb && isatty(STDERR_FILENO)) {
                fprintf(stderr, "\r\x1b[K%s: %s done, %s left", row_text(row, "phase"),
                        human_size(done, did), human_size(left, rest));
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
