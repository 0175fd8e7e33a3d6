/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/text.h"
#include "lib/time.h"

static const TableColumn columns_now[] = {
        { "NAME", false, false },
        { "LABELS", false, true },
        { "VALUE", true, false },
};
static const TableColumn columns_then[] = {
        { "TIME", false, false },
        { "NAME", false, false },
        { "LABELS", false, true },
        { "VALUE", true, false },
};

static void labels_cell(Table *t, json_t *row) {
        CLEANUP(freep) char *text = NULL, *escaped = NULL;
        const char *name;
        json_t *value;

        json_object_foreach(json_object_get(row, "labels"), name, value) {
                char *longer = NULL;

                if (asprintf(&longer, "%s%s%s=%s", text ? text : "", text ? "," : "", name,
                             json_string_value(value)) < 0)
                        break;
                free(text);
                text = longer;
        }
        if (text && text_escape(BYTES_STR(text), &escaped) < 0)
                escaped = NULL;
        table_cell(t, escaped ? escaped : "", NULL);
}

static void value_cell(Table *t, json_t *row) {
        double value = json_number_value(json_object_get(row, "value"));
        const char *unit = row_text(row, "unit");
        char text[64], human[HUMAN_MAX];

        if (strcmp(unit, "bytes") == 0)
                snprintf(text, sizeof(text), "%s", human_size((int64_t) value, human));
        else if (strcmp(unit, "ratio") == 0)
                snprintf(text, sizeof(text), "%.1f%%", value * 100);
        else if (strcmp(unit, "seconds") == 0)
                snprintf(text, sizeof(text), "%.2fs", value);
        else
                snprintf(text, sizeof(text), "%.15g", value);
        table_cell(t, text, NULL);
}

static void cells_now(Ctl *c, Table *t, json_t *row, void *userdata) {
        cell_text(t, row, "name", NULL);
        labels_cell(t, row);
        value_cell(t, row);
}

static void cells_then(Ctl *c, Table *t, json_t *row, void *userdata) {
        cell_time(t, row, "timeUsec");
        cells_now(c, t, row, userdata);
}

static Status show_now(Ctl *c, char **names) {
        static const View view = {
                "org.scitrace.Metrics.Sample",
                "point",
                columns_now,
                ELEMENTS(columns_now),
                cells_now,
                NULL,
                NULL,
        };
        Viewer v = { .view = &view };
        json_t *parameters = json_object();
        Status status;

        if (*names)
                json_object_set_new(parameters, "names", json_array());
        for (char **name = names; *name; name++)
                json_array_append_new(json_object_get(parameters, "names"), word_value(*name));
        status = viewer_close(c, &v, ask_rows(c, view.method, parameters, view.key, viewer_row, &v));
        if (status != STATUS_OK || v.rows > 0)
                return status;
        if (*names)
                return say_no_series(c, *names);
        note(c, "No sample has been taken yet.");
        return STATUS_OK;
}

static Status show_then(Ctl *c, char **names) {
        static const View view = {
                "org.scitrace.Metrics.Series", "point", columns_then, ELEMENTS(columns_then), cells_then,
                "Nothing is stored of that time.", NULL,
        };
        Viewer v = { .view = &view };
        Status status = STATUS_OK;

        if (!*names)
                return complain(STATUS_USAGE, "which series? 'scitracectl metrics' lists them: "
                                              "'scitracectl metrics NAME --since TIME'");
        for (; *names && status == STATUS_OK; names++) {
                json_t *parameters = named(*names);

                if (c->options.since)
                        json_object_set_new(parameters, "sinceUsec", json_integer(c->options.since));
                if (c->options.until)
                        json_object_set_new(parameters, "untilUsec", json_integer(c->options.until));
                status = ask_rows(c, view.method, parameters, view.key, viewer_row, &v);
        }
        return viewer_close(c, &v, status);
}

Status cmd_metrics(Ctl *c, char **arguments) {
        return c->options.given & TAKES_TIMES ? show_then(c, arguments) : show_now(c, arguments);
}
