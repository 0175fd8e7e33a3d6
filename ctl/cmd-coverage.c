/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/view.h"
#include "lib/time.h"

static const TableColumn columns[] = {
        { "FROM", false, false }, { "UNTIL", false, false },  { "LASTED", true, false },
        { "GAP", false, false },  { "SUBTREE", false, true },
};

/* What an open gap means, and what ends it; those that end by themselves need no words. */
static const struct {
        const char *cause, *text;
} meanings[] = {
        { "unmounted",
          "its file system is not there; it is compared with the record when it is mounted again" },
        { "root-moved",
          "its directory is not where it was; 'scitracectl add --move DIR' says where it is now, and it "
          "goes on by itself when it is back" },
        { "other-filesystem",
          "another file system is mounted there; 'scitracectl add' of it records it, too" },
        { "remote",
          "what other hosts change is not seen at once; it is compared with the record now and then "
          "(PollInterval= in scitraced.conf(5)), or by 'scitracectl scan'" },
        { "permission", "the daemon may not read it; the gap ends when its mode or owner lets it" },
        { "read-error", "it could not be read, or is larger than ReadUpTo= in scitraced.conf(5)" },
};

typedef struct Open { /* what is open of the gaps shown */
        bool limited;
        bool met[ELEMENTS(meanings)];
} Open;

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
        Open *open = userdata;
        bool gap = strcmp(row_text(row, "state"), "gap") == 0, ended = row_has(row, "untilUsec");
        int64_t until = ended ? row_number(row, "untilUsec") : now_usec(CLOCK_REALTIME);
        const char *look = gap && !ended ? STYLE_RED : "";
        char buf[TIME_TEXT_MAX];

        cell_time(t, row, "fromUsec");
        table_cell(t, ended ? time_format(until, buf) : gap ? "open" : "now", style(c, look));
        table_cell(t, time_format_span(until - row_number(row, "fromUsec"), buf), NULL);
        if (gap)
                cell_text(t, row, "cause", style(c, ended ? STYLE_YELLOW : STYLE_RED));
        else
                table_cell(t, "none", style(c, STYLE_GREEN));
        cell_name(t, row, "path");
        if (gap && !ended && strcmp(row_text(row, "cause"), "watch-limit") == 0)
                open->limited = true;
        for (size_t i = 0; gap && !ended && i < ELEMENTS(meanings); i++)
                open->met[i] |= strcmp(row_text(row, "cause"), meanings[i].cause) == 0;
}

Status cmd_coverage(Ctl *c, char **arguments) {
        static const View view = {
                "org.scitrace.Datasets.Coverage", "stretch", columns, ELEMENTS(columns), cells,
                "Nothing is known yet: the dataset has only just been added.", NULL,
        };

        json_t *described = NULL;
        Open open = { 0 };
        Status status = view_rows(c, &view, named(arguments[0]), &open);

        for (size_t i = 0; status == STATUS_OK && !c->options.quiet && i < ELEMENTS(meanings); i++)
                if (open.met[i])
                        printf("%s: %s.\n", meanings[i].cause, meanings[i].text);
        if (open.limited && status == STATUS_OK)
                ask_quietly(c, "org.scitrace.Service.Describe", NULL, &described);
        view_limit(c, described, "\n");
        json_decref(described);
        return status;
}
