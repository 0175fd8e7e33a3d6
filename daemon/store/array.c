/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "daemon/store/array.h"
#include "daemon/store/sql.h"

typedef struct Source {
        const ArrayTable *table;
        const void *userdata;
} Source;

typedef struct Vtab {
        sqlite3_vtab base;
        Source source;
} Vtab;

typedef struct Cursor {
        sqlite3_vtab_cursor base;
        Source source;
        size_t at, n;
} Cursor;

static int connect(sqlite3 *db, void *userdata, int argc, const char *const *argv, sqlite3_vtab **ret,
                   char **error) {
        const Source *source = userdata;
        char *text;
        Vtab *v;
        int rc;

        (void) argc, (void) argv, (void) error;
        text = sqlite3_mprintf("CREATE TABLE x(%s)", source->table->columns);
        if (!text)
                return SQLITE_NOMEM;
        rc = sqlite3_declare_vtab(db, text);
        sqlite3_free(text);
        if (rc != SQLITE_OK)
                return rc;
        v = sqlite3_malloc(sizeof(*v));
        if (!v)
                return SQLITE_NOMEM;
        *v = (Vtab) { .source = *source };
        *ret = &v->base;
        return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *v) {
        sqlite3_free(v);
        return SQLITE_OK;
}

static int best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
        size_t max = ((Vtab *) v)->source.table->rows_max;

        info->estimatedCost = (double) max;
        info->estimatedRows = (sqlite3_int64) max;
        return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *v, sqlite3_vtab_cursor **ret) {
        Cursor *c = sqlite3_malloc(sizeof(*c));

        if (!c)
                return SQLITE_NOMEM;
        *c = (Cursor) { .source = ((Vtab *) v)->source };
        *ret = &c->base;
        return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *c) {
        sqlite3_free(c);
        return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argc,
                         sqlite3_value **argv) {
        Cursor *c = (Cursor *) base;

        (void) number, (void) text, (void) argc, (void) argv;
        c->at = 0;
        c->n = c->source.table->count(c->source.userdata);
        return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *c) {
        ((Cursor *) c)->at++;
        return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *c) {
        return ((Cursor *) c)->at >= ((Cursor *) c)->n;
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column) {
        const Cursor *c = (const Cursor *) base;

        c->source.table->column(c->source.userdata, c->at, column, ctx);
        return SQLITE_OK;
}

static int cursor_rowid(sqlite3_vtab_cursor *c, sqlite3_int64 *ret) {
        *ret = (sqlite3_int64) ((Cursor *) c)->at;
        return SQLITE_OK;
}

static const sqlite3_module module = {  /* no xCreate: it is there by its name alone */
        .xConnect = connect,
        .xBestIndex = best_index,
        .xDisconnect = disconnect,
        .xOpen = cursor_open,
        .xClose = cursor_close,
        .xFilter = cursor_filter,
        .xNext = cursor_next,
        .xEof = cursor_eof,
        .xColumn = cursor_column,
        .xRowid = cursor_rowid,
};

int array_add(sqlite3 *db, const char *name, const ArrayTable *table, const void *userdata) {
        Source *source = malloc(sizeof(*source));

        if (!source)
                return -ENOMEM;
        *source = (Source) { table, userdata };
        return sql_errno(db, sqlite3_create_module_v2(db, name, &module, source, free));
}
