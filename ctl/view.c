/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"

static Status view_table(Ctl *c, const TableColumn *columns, size_t n_columns, Table **ret) {
        TableLook look = {
                .width = c->options.full ? 0 : c->screen.width,
                .legend = !c->options.no_legend,
                .utf8 = c->screen.utf8,
                .title_style = style(c, STYLE_BOLD),
        };

        return table_new(&look, columns, n_columns, stdout, ret) < 0 ? complain_memory() : STATUS_OK;
}

/* DEL, which jansson leaves raw, must not reach a terminal; in JSON it can only stand in a string. */
static void write_json(const char *text, size_t size) {
        const char *del;

        while ((del = memchr(text, 0x7f, size))) {
                fwrite(text, 1, (size_t) (del - text), stdout);
                fputs("\\u007f", stdout);
                size -= (size_t) (del + 1 - text);
                text = del + 1;
        }
        fwrite(text, 1, size, stdout);
}

void view_json(const Ctl *c, const json_t *row) {
        const bool pretty = c->options.format == FORMAT_JSON_PRETTY;
        const size_t flags = JSON_ENSURE_ASCII | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
        CLEANUP(freep) char *long_text = NULL;
        char text[4096];
        size_t size = json_dumpb(row, text, sizeof(text), flags);

        if (size > sizeof(text)) {
                long_text = malloc(size);
                if (!long_text || json_dumpb(row, long_text, size, flags) != size) {
                        (void) complain_memory();
                        return;
                }
        }
        write_json(long_text ? long_text : text, size);
        putchar('\n');
}

Status viewer_show(Ctl *c, Viewer *v, json_t *row) {
        Status status = v->rows == 0 ? pager_open(c) : STATUS_OK;

        if (v->rows++ == 0 && status == STATUS_OK && c->options.format == FORMAT_TABLE)
                status = view_table(c, v->view->columns, v->view->n_columns, &v->table);
        if (status != STATUS_OK)
                return status;
        if (v->table)
                v->view->cells(c, v->table, row, v->userdata);
        else
                view_json(c, row);
        return STATUS_OK;
}

Status viewer_row(Ctl *c, json_t *row, bool *stop, void *userdata) {
        *stop = screen_broken();
        return viewer_show(c, userdata, row);
}

Status viewer_flush(Viewer *v) {
        Status status = v->table && table_flush(v->table) < 0 ? complain_memory() : STATUS_OK;

        fflush(stdout);
        return status;
}

Status viewer_close(Ctl *c, Viewer *v, Status status) {
        Status flushed;

        if (v->table && v->view->last)
                v->view->last(c, v->table, v->userdata);
        flushed = viewer_flush(v);
        v->table = table_free(v->table);
        if (status == STATUS_OK && v->rows == 0 && c->options.format == FORMAT_TABLE && v->view->nothing &&
            !screen_broken())
                note(c, "%s", v->view->nothing);
        return status != STATUS_OK ? status : flushed;
}

void view_limit(const Ctl *c, const json_t *d, const char *before) {
        long long n = d ? (long long) row_number(d, "unwatched") : 0;

        if (n > 0)
                printf("%s%s%lld director%s only looked at in turn, for want of watches: set %s=%lld with "
                       "sysctl%s\n", before, style(c, STYLE_YELLOW), n, n == 1 ? "y is" : "ies are",
                       row_text(d, "watchSysctl"), (long long) row_number(d, "watchesWanted"),
                       style(c, STYLE_END));
}

Status view_rows(Ctl *c, const View *view, json_t *parameters, void *userdata) {
        Viewer v = { .view = view, .userdata = userdata };

        return viewer_close(c, &v, ask_rows(c, view->method, parameters, view->key, viewer_row, &v));
}

void view_line(const Ctl *c, const char *key, const char *look, const char *format, ...) {
        va_list arguments;

        printf("%s%10s%s  %s", style(c, STYLE_DIM), key, style(c, STYLE_END), style(c, look));
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("%s\n", *look ? style(c, STYLE_END) : "");
}
