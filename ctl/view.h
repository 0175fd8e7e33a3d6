/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_VIEW_H
#define SCITRACE_CTL_VIEW_H

/* view: lists of answers as `-o` says: JSON, or a table. May use: ctl/, lib. */

#include "ctl/ctl.h"
#include "ctl/row.h"
#include "ctl/screen.h"

/** view_json() - the object as `-o` says. */
void view_json(const Ctl *c, const json_t *row);

/** view_line() - a line of a screen: what it is about, at the right of ten columns, and a sentence. look: a
 *  STYLE_, or "". */
void view_line(const Ctl *c, const char *key, const char *look, const char *format, ...) PRINTF_LIKE(4, 5);

/** View: a list. */
typedef struct View {
        const char *method, *key;       /* for view_rows() */
        const TableColumn *columns;
        size_t n_columns;
        void (*cells)(Ctl *c, Table *t, json_t *row, void *userdata);
        const char *nothing;            /* said when no row came, in the table's stead; NULL: not */
        void (*last)(Ctl *c, Table *t, void *userdata);         /* cells behind the last row; NULL: none */
} View;

/** Viewer: a list on its way. An all-zero struct is closed. */
typedef struct Viewer {
        const View *view;
        void *userdata;
        Table *table;                   /* NULL: JSON, or not begun */
        int64_t rows;
} Viewer;

/** viewer_show() - one more row; view and userdata must be set. The first opens the pager. */
Status viewer_show(Ctl *c, Viewer *v, json_t *row);
/** viewer_row() - the same as ask_rows() wants it; userdata is the viewer. Stops when nobody reads any
 *  more. */
Status viewer_row(Ctl *c, json_t *row, bool *stop, void *userdata);
/** viewer_flush() - what was shown until now is seen, pipe or not. */
Status viewer_flush(Viewer *v);
/** viewer_close() - the rest. status: how it went so far; returns the first that is not STATUS_OK. */
Status viewer_close(Ctl *c, Viewer *v, Status status);

/** view_limit() - text behind `before`: directories without a watch, and what to set; nothing when there are
 *  none, or d (Service.Describe) is NULL. */
void view_limit(const Ctl *c, const json_t *d, const char *before);

extern const View dataset_view;         /* ctl/cmd-datasets.c: `status` shows it too */

/** view_rows() - asks, and shows every row. parameters: taken over. */
Status view_rows(Ctl *c, const View *v, json_t *parameters, void *userdata);

#endif
