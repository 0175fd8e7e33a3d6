/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/event.h"
#include "ctl/path.h"
#include "ctl/say.h"
#include "ctl/view.h"

static const TableColumn columns[] = {
        { "SEQ", true, false },  { "TIME", false, false },   { "KIND", false, false },
        { "SIZE", true, false }, { "DIGEST", false, false }, { "PATH", false, true },
};

enum { DIGEST_SHOWN = 8 };      /* hexadecimal digits: enough to see that two differ */

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
        CLEANUP(freep) char *path = event_path(c, row);
        const char *digest = strchr(row_text(row, "digest"), ':');
        char shown[DIGEST_SHOWN + 1];

        snprintf(shown, sizeof(shown), "%s", digest ? digest + 1 : "-");
        cell_number(t, row, "seq");
        cell_time(t, row, "timeUsec");
        cell_text(t, row, "kind", event_style(c, row));
        cell_size(t, row, "size");
        table_cell(t, shown, NULL);
        table_cell(t, path ? path : "", NULL);
}

Status cmd_history(Ctl *c, char **arguments) {
        static const View view = {
                "org.scitrace.Record.History", "event", columns, ELEMENTS(columns), cells,
                "Nothing is recorded of it.",  NULL,
        };
        json_t *parameters = json_object();
        int r = path_parameter(parameters, arguments[0], PATH_ITSELF);

        if (r < 0) {
                json_decref(parameters);
                return complain_errno(r, "cannot ask about that file");
        }
        if (c->options.lines)
                json_object_set_new(parameters, "limit", json_integer(c->options.lines));
        return view_rows(c, &view, parameters, NULL);
}
