/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/say.h"
#include "ctl/view.h"

static const TableColumn columns[] = {
        { "DATASET", false, false }, { "KIND", false, false }, { "STATE", false, false },
        { "FILES", true, false },    { "SIZE", true, false },  { "GAPS", true, false },
        { "PENDING", true, false },  { "PATH", false, true },
};

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
        bool gaps = row_number(row, "gapsOpen") > 0;
        const char *state = row_text(row, "state");
        const char *look = strcmp(state, "watched") == 0 ? STYLE_GREEN
                           : strcmp(state, "lost") == 0 || strcmp(state, "stalled") == 0 ? STYLE_RED
                                                         : STYLE_YELLOW;
        char buf[HUMAN_MAX];

        cell_text(t, row, "name", style(c, STYLE_BOLD));
        cell_text(t, row, "kind", NULL);
        cell_text(t, row, "state", style(c, look));
        cell_number(t, row, "files");
        cell_size(t, row, "bytes");
        snprintf(buf, sizeof(buf), "%lld", (long long) row_number(row, "gapsOpen"));
        table_cell(t, buf, style(c, gaps ? STYLE_RED : ""));
        cell_number(t, row, "pending");
        cell_name(t, row, "path");
}

const View dataset_view = {
        "org.scitrace.Datasets.List", "dataset", columns, ELEMENTS(columns), cells,
        "Nothing is watched yet. 'scitracectl add DIR' watches a directory tree.", NULL,
};

Status cmd_datasets(Ctl *c, char **arguments) {
        json_t *parameters = json_object();

        if (c->options.all)
                json_object_set_new(parameters, "all", json_true());
        return view_rows(c, &dataset_view, parameters, NULL);
}
