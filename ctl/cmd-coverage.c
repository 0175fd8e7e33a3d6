/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/view.h"
#include "lib/time.h"

static const TableColumn columns[] = {
        { "FROM", false, false }, { "UNTIL", false, false },  { "LASTED", true, false },
        { "GAP", false, false },  { "SUBTREE", false, true },
};

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
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
                *(bool *) userdata = true;
}

Status cmd_coverage(Ctl *c, char **arguments) {
        static const View view = {
                "org.scitrace.Datasets.Coverage", "stretch", columns, ELEMENTS(columns), cells,
                "Nothing is known yet: the dataset has only just been added.", NULL,
        };

        json_t *described = NULL;
        bool limited = false;
        Status status = view_rows(c, &view, named(arguments[0]), &limited);

        if (limited && status == STATUS_OK)
                ask_quietly(c, "org.scitrace.Service.Describe", NULL, &described);
        view_limit(c, described, "\n");
        json_decref(described);
        return status;
}
