/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/time.h"

static const TableColumn columns[] = {
        { "TABLE", false, true }, { "INDEX", false, false }, { "ROWS", true, false },
        { "SIZE", true, false },  { "UNUSED", true, false },
};

/* What was not counted to its end is more than the number says. */
static void cell_least(Table *t, const json_t *row, const char *text) {
        char buf[HUMAN_MAX + 1];

        snprintf(buf, sizeof(buf), "%s%s", json_is_true(json_object_get(row, "whole")) ? "" : ">", text);
        table_cell(t, buf, NULL);
}

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
        char buf[HUMAN_MAX];

        (void) userdata;
        cell_text(t, row, "table", style(c, STYLE_BOLD));
        if (json_is_true(json_object_get(row, "index")))
                cell_text(t, row, "name", NULL);
        else
                table_cell(t, "", NULL);
        snprintf(buf, sizeof(buf), "%lld", (long long) row_number(row, "rows"));
        cell_least(t, row, buf);
        cell_least(t, row, human_size(row_number(row, "bytes"), buf));
        cell_size(t, row, "unusedBytes");
}

static const View trees_view = { NULL, NULL, columns, ELEMENTS(columns), cells, NULL, NULL };

static void print_care(const Ctl *c, const json_t *d, const char *what, const char *never) {
        char time[TIME_TEXT_MAX];
        json_t *care;
        size_t i;

        json_array_foreach(json_object_get(d, "care"), i, care) {
                const char *result = row_text(care, "result");
                bool fine = strcmp(result, "done") == 0 || strcmp(result, "sound") == 0;

                if (strcmp(row_text(care, "what"), what) != 0)
                        continue;
                view_line(c, what, fine ? "" : STYLE_RED, "%s%s%s, up to event %lld",
                          time_format(row_number(care, "timeUsec"), time),
                          strcmp(result, "done") == 0 ? "" : ": ", strcmp(result, "done") == 0 ? "" : result,
                          (long long) row_number(care, "seq"));
                return;
        }
        view_line(c, what, STYLE_YELLOW, "%s", never);
}

static void print_retention(const Ctl *c, const json_t *d) {
        const json_t *r = json_object_get(d, "retention");
        long long pruned = (long long) row_number(r, "pruned"), upto = (long long) row_number(r, "upto");
        char span[TIME_TEXT_MAX], before[64] = "";

        if (pruned > 0)
                snprintf(before, sizeof(before), "; up to event %lld it is done", pruned);
        if (!row_has(r, "keepUsec"))
                view_line(c, "retention", "", "events are kept for ever%s", before);
        else
                view_line(c, "retention", "", "events are kept for %s%s",
                          time_format_span(row_number(r, "keepUsec"), span), before);
        if (row_has(r, "doubt"))
                view_line(c, "", STYLE_YELLOW, "no event gets older by this clock yet: 'scitracectl store "
                                               "prune --dry-run'");
        if (upto > pruned)
                view_line(c, "", "", "up to event %lld they may go: 'scitracectl store prune --dry-run'",
                          upto);
}

static void print_store(const Ctl *c, const json_t *d) {
        CLEANUP(freep) char *path = row_name(d, "path");
        char size[HUMAN_MAX], spare[HUMAN_MAX], wal[HUMAN_MAX];
        long long events = (long long) row_number(d, "events");

        view_line(c, "store", "", "%s", path ? path : "?");
        view_line(c, "form", "", "%lld", (long long) row_number(d, "schema"));
        view_line(c, "events", "", "%lld", events);
        view_line(c, "size", "", "%s and %s of changes beside it (-wal)",
                  human_size(row_number(d, "bytes"), size), human_size(row_number(d, "walBytes"), wal));
        view_line(c, "free", "", "%s within it%s", human_size(row_number(d, "freeBytes"), spare),
                  !json_is_true(json_object_get(d, "shrinks")) ? ", which stay for what comes" :
                  row_number(d, "freeBytes") > 0 ? "; 'scitracectl store maintain' gives them back" : "");
        print_retention(c, d);
        print_care(c, d, "verify", "never; 'scitracectl verify'");
        print_care(c, d, "maintain", "never; 'scitracectl store maintain'");
        print_care(c, d, "backup", "never; 'scitracectl store backup FILE'");
}

static int larger(const void *a, const void *b) {
        const json_t *const *p = a, *const *q = b;
        int64_t x = row_number(*p, "bytes"), y = row_number(*q, "bytes");

        return x != y ? (x < y) - (x > y) : strcmp(row_text(*p, "name"), row_text(*q, "name"));
}

static Status print_trees(Ctl *c, const json_t *trees) {
        CLEANUP(freep) const json_t **rows = calloc(json_array_size(trees) + 1, sizeof(*rows));
        Viewer v = { .view = &trees_view };
        Status status = STATUS_OK;
        size_t n = json_array_size(trees);

        if (!rows)
                return complain_memory();
        for (size_t i = 0; i < n; i++)
                rows[i] = json_array_get(trees, i);
        qsort(rows, n, sizeof(*rows), larger);
        for (size_t i = 0; i < n && status == STATUS_OK; i++)
                status = viewer_show(c, &v, (json_t *) (uintptr_t) rows[i]);
        return viewer_close(c, &v, status);
}

Status cmd_store_describe(Ctl *c, char **arguments) {
        json_t *parameters = json_object(), *answer = NULL;
        Status status;

        (void) arguments;
        if (c->options.timeout)
                json_object_set_new(parameters, "limitUsec", json_integer(c->options.timeout));
        status = ask(c, "org.scitrace.Store.Describe", parameters, &answer);
        if (status == STATUS_OK && c->options.format != FORMAT_TABLE) {
                view_json(c, answer);
        } else if (status == STATUS_OK) {
                status = pager_open(c);
                print_store(c, answer);
                putchar('\n');
                if (status == STATUS_OK)
                        status = print_trees(c, json_object_get(answer, "trees"));
        }
        json_decref(answer);
        return status;
}
