/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "ctl/table.h"
#include "lib/utf8.h"
#include "lib/util.h"

enum {
        FLEXIBLE_MIN = 12,              /* a cut column keeps at least so much */
};

typedef struct Cell {
        char *text;
        char style[16];
} Cell;

struct Table {
        TableLook look;
        const TableColumn *columns;
        size_t n_columns;
        FILE *out;
        size_t widths[TABLE_COLUMNS_MAX];
        Cell *cells;                    /* rows that wait */
        size_t n_cells;
        bool started;                   /* the titles are out, the widths decided */
        int error;
};

int table_new(const TableLook *look, const TableColumn *columns, size_t n_columns, FILE *out, Table **ret) {
        Table *t;

        assert(look && columns && n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX && out && ret);
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        *t = (Table) { .look = *look, .columns = columns, .n_columns = n_columns, .out = out };
        t->cells = calloc(TABLE_AHEAD * n_columns, sizeof(*t->cells));
        if (!t->cells) {
                free(t);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n_columns && look->legend; i++)
                t->widths[i] = table_width(columns[i].title);
        *ret = t;
        return 0;
}

static void drop_rows(Table *t) {
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        t->n_cells = 0;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        drop_rows(t);
        free(t->cells);
        free(t);
        return NULL;
}

/* The bytes of the character at text, and its columns. */
static size_t step(const char *text, size_t *ret_width) {
        uint32_t rune = 0;
        int n = utf8_next(BYTES_STR(text), &rune), width = n > 0 ? wcwidth((wchar_t) rune) : 1;

        *ret_width = width < 0 ? 1 : (size_t) width;
        return n > 0 ? (size_t) n : 1;
}

size_t table_width(const char *text) {
        size_t sum = 0, width;

        while (*text) {
                text += step(text, &width);
                sum += width;
        }
        return sum;
}

char *table_elide(const char *text, size_t width, bool utf8) {
        size_t whole = table_width(text), head = 0, tail = 0, passed = 0, n, wide;
        char *s = NULL;

        if (whole <= width || width < 3)
                return strdup(text);
        /* The end of a name tells more than its beginning: two thirds of what is kept. */
        for (; n = step(text + tail, &wide), passed + wide <= (width - 1) / 3; tail += n)
                passed += wide;
        head = tail;
        for (size_t kept = width - 1 - passed; whole - passed > kept; tail += n) {
                n = step(text + tail, &wide);
                passed += wide;
        }
        return asprintf(&s, "%.*s%s%s", (int) head, text, utf8 ? "…" : "~", text + tail) < 0 ? NULL : s;
}

static size_t flexible_column(const Table *t) {
        for (size_t i = 0; i < t->n_columns; i++)
                if (t->columns[i].flexible)
                        return i;
        return SIZE_MAX;
}

/* What the other columns leave of the screen. */
static size_t flexible_room(const Table *t) {
        size_t others = t->n_columns - 1, flexible = flexible_column(t);

        if (t->look.width <= 0)
                return SIZE_MAX;
        for (size_t i = 0; i < t->n_columns; i++)
                others += i == flexible ? 0 : t->widths[i];
        return (size_t) t->look.width > others + FLEXIBLE_MIN ? (size_t) t->look.width - others
                                                              : FLEXIBLE_MIN;
}

static void print_cell(Table *t, size_t column, const char *text, const char *style) {
        size_t width = table_width(text), room = t->widths[column];
        int pad = width < room ? (int) (room - width) : 0;
        bool last = column + 1 == t->n_columns;

        if (t->columns[column].right)
                fprintf(t->out, "%*s", pad, "");
        fprintf(t->out, "%s%s%s", style, text, *style ? "\x1b[0m" : "");
        if (!t->columns[column].right && !last)
                fprintf(t->out, "%*s", pad, "");
        fprintf(t->out, "%s", last ? "\n" : " ");
}

/* Widths grow, and never shrink: a stream stays in line as far as it can. */
static void widen(Table *t, const Cell *row) {
        size_t flexible = flexible_column(t);

        for (size_t i = 0; i < t->n_columns; i++)
                if (i != flexible)
                        t->widths[i] = MAX_OF(t->widths[i], table_width(row[i].text));
        if (flexible != SIZE_MAX)
                t->widths[flexible] = MIN_OF(MAX_OF(t->widths[flexible], table_width(row[flexible].text)),
                                             flexible_room(t));
}

static int print_row(Table *t, const Cell *row) {
        size_t flexible = flexible_column(t), room = flexible_room(t);

        for (size_t i = 0; i < t->n_columns; i++) {
                CLEANUP(freep) char *cut = NULL;

                if (i == flexible) {
                        cut = table_elide(row[i].text, room, t->look.utf8);
                        if (!cut)
                                return -ENOMEM;
                }
                print_cell(t, i, cut ? cut : row[i].text, row[i].style);
        }
        return 0;
}

static void print_titles(Table *t) {
        for (size_t i = 0; i < t->n_columns; i++)
                print_cell(t, i, t->columns[i].title, t->look.title_style);
}

int table_flush(Table *t) {
        size_t n_rows = t->n_cells / t->n_columns;

        assert(t);
        for (size_t i = 0; i < n_rows; i++)
                widen(t, &t->cells[i * t->n_columns]);
        if (!t->started && n_rows > 0) {
                if (t->look.legend)
                        print_titles(t);
                t->started = true;
        }
        for (size_t i = 0; i < n_rows && t->error == 0; i++)
                t->error = print_row(t, &t->cells[i * t->n_columns]);
        drop_rows(t);
        return t->error;
}

void table_cell(Table *t, const char *text, const char *style) {
        Cell *cell = &t->cells[t->n_cells];

        assert(t && text);
        snprintf(cell->style, sizeof(cell->style), "%s", style ? style : "");
        cell->text = t->error ? NULL : strdup(text);
        if (!cell->text) {
                t->error = t->error ? t->error : -ENOMEM;
                return;
        }
        t->n_cells++;
        if (t->n_cells % t->n_columns == 0 && (t->started || t->n_cells == TABLE_AHEAD * t->n_columns))
                (void) table_flush(t);
}
