/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_TABLE_H
#define SCITRACE_CTL_TABLE_H

/* table: rows in columns. Rows stream: the first TABLE_AHEAD of them decide the widths; a later cell that is
 * wider widens its column from there on.
 * May use: lib/utf8, lib/util.  May not use: anything else of ours. Knows no terminal: what it looks like is
 * an argument. */

#include <stdbool.h>
#include <stdio.h>

enum {
        TABLE_AHEAD = 200,              /* rows kept before the first is printed */
        TABLE_COLUMNS_MAX = 12,
};

typedef struct TableColumn {
        const char *title;
        bool right;                     /* numbers */
        bool flexible;                  /* cut in its middle when a row is wider than the screen */
} TableColumn;

typedef struct TableLook {
        int width;                      /* of the screen; 0: rows are as wide as they are, nothing is cut */
        bool legend;                    /* print the titles */
        bool utf8;                      /* "…" marks a cut, else "~" */
        const char *title_style;        /* an escape sequence; "": none */
} TableLook;

typedef struct Table Table;

/** table_new() - columns (at most TABLE_COLUMNS_MAX) and out are borrowed. 0 or -ENOMEM. */
int table_new(const TableLook *look, const TableColumn *columns, size_t n_columns, FILE *out, Table **ret);
Table *table_free(Table *t);
static inline void table_freep(Table **t) {
        table_free(*t);
}

/** table_cell() - the next cell, row after row; text is copied and must be harmless UTF-8 (text_escape()).
 *  style: an escape sequence, or "" or NULL. Cells that find no memory make table_flush() fail. */
void table_cell(Table *t, const char *text, const char *style);

/** table_flush() - prints the rows that wait. 0, or -ENOMEM: some rows are missing. */
int table_flush(Table *t);

/** table_width() - columns of a terminal that text takes. wcwidth(3) must know UTF-8. */
size_t table_width(const char *text);
/** table_elide() - text in at most width columns: its middle gives way to a mark. malloc'ed, NULL: no
 *  memory. */
char *table_elide(const char *text, size_t width, bool utf8);

#endif
