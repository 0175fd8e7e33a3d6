/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* bulk: what a first look finds, one event, node and link a name, gathered and written by three statements
 * for up to a thousand of them: that takes a third of the time of three statements each. The statements
 * read the rows from a virtual table over the array. Before any other statement is run the rows are written
 * (store_stmt()), so nobody sees the database without them. */

enum { ROWS_MAX = 1024, TEXT_MAX = 65536 };

#define COLUMNS(X)                                                                                          \
        X(seq) X(ago) X(span) X(dataset) X(origin) X(count) X(node) X(parent) X(inode) X(btime) X(attr)     \
        X(size) X(age) X(filesystem) X(mtime) X(ctime) X(wanted)

enum {
#define COLUMN_ITEM(name) COLUMN_##name,
        COLUMNS(COLUMN_ITEM)
        NUMBERS,
        COLUMN_name = NUMBERS,
        COLUMN_target,
};

typedef struct Row {
        int64_t numbers[NUMBERS];
        Bytes name, target;             /* in the text */
} Row;

struct StoreBulk {
        size_t n, used;
        Row rows[ROWS_MAX];
        uint8_t text[TEXT_MAX];
};

typedef struct Vtab {
        sqlite3_vtab base;
        const StoreBulk *bulk;
} Vtab;

typedef struct Cursor {
        sqlite3_vtab_cursor base;
        const StoreBulk *bulk;
        size_t at;
} Cursor;

static int connect(sqlite3 *db, void *bulk, int argc, const char *const *argv, sqlite3_vtab **ret,
                   char **error) {
        Vtab *v;
        int rc;

        (void) argc, (void) argv, (void) error;
#define COLUMN_NAME(name) #name " INTEGER, "
        rc = sqlite3_declare_vtab(db, "CREATE TABLE x(" COLUMNS(COLUMN_NAME) "name BLOB, target BLOB)");
        if (rc != SQLITE_OK)
                return rc;
        v = sqlite3_malloc(sizeof(*v));
        if (!v)
                return SQLITE_NOMEM;
        *v = (Vtab) { .bulk = bulk };
        *ret = &v->base;
        return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *v) {
        sqlite3_free(v);
        return SQLITE_OK;
}

static int best_index(sqlite3_vtab *v, sqlite3_index_info *info) {
        (void) v;
        info->estimatedCost = ROWS_MAX;
        info->estimatedRows = ROWS_MAX;
        return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *v, sqlite3_vtab_cursor **ret) {
        Cursor *c = sqlite3_malloc(sizeof(*c));

        if (!c)
                return SQLITE_NOMEM;
        *c = (Cursor) { .bulk = ((Vtab *) v)->bulk };
        *ret = &c->base;
        return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *c) {
        sqlite3_free(c);
        return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *c, int number, const char *text, int argc,
                         sqlite3_value **argv) {
        (void) number, (void) text, (void) argc, (void) argv;
        ((Cursor *) c)->at = 0;
        return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *c) {
        ((Cursor *) c)->at++;
        return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *c) {
        return ((Cursor *) c)->at >= ((Cursor *) c)->bulk->n;
}

static int cursor_column(sqlite3_vtab_cursor *c, sqlite3_context *ctx, int column) {
        const Row *r = &((Cursor *) c)->bulk->rows[((Cursor *) c)->at];

        if (column == COLUMN_age && r->numbers[COLUMN_mtime] == 0)
                sqlite3_result_null(ctx);
        else if (column < NUMBERS)
                sqlite3_result_int64(ctx, r->numbers[column]);
        else if (column == COLUMN_name)
                sqlite3_result_blob(ctx, r->name.data, (int) r->name.size, SQLITE_STATIC);
        else if (r->target.data)
                sqlite3_result_blob(ctx, r->target.data, (int) r->target.size, SQLITE_STATIC);
        return SQLITE_OK;               /* else NULL */
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

int bulk_init(Store *s, sqlite3 *db) {
        s->bulk = malloc(sizeof(*s->bulk));
        if (!s->bulk)
                return -ENOMEM;
        s->bulk->n = s->bulk->used = 0;
        return sql_errno(db, sqlite3_create_module_v2(db, "bulk", &module, s->bulk, NULL));
}

void bulk_done(Store *s) {
        free(s->bulk);
        s->bulk = NULL;
}

void bulk_forget(Store *s) {
        s->bulk->n = s->bulk->used = 0;
}

int bulk_flush(Store *s) {
        static const StoreStatement statements[] = { SQL_BULK_EVENTS, SQL_BULK_NODES, SQL_BULK_LINKS };
        int r = 0;

        for (size_t i = 0; s->bulk->n > 0 && r == 0 && i < ELEMENTS(statements); i++) {
                sqlite3_stmt *stmt;

                r = sql_get(&s->sql, statements[i], &stmt);
                if (r == 0)
                        r = store_run(s, stmt);
        }
        if (r < 0 && s->broken == 0)
                s->broken = r;          /* some of them are in the transaction */
        bulk_forget(s);
        return r;
}

static Bytes keep(StoreBulk *f, Bytes b) {
        uint8_t *at = f->text + f->used;

        if (!b.data)
                return b;
        memcpy(at, b.data, b.size);
        f->used += b.size;
        return BYTES(at, b.size);
}

static bool has_room(const StoreBulk *f, const Event *e) {
        return f->n < ROWS_MAX && e->name.size + e->target.size <= TEXT_MAX - f->used;
}

int bulk_add(Store *s, const Event *e, int64_t attr, int64_t filesystem, int64_t ctime) {
        StoreBulk *f = s->bulk;
        Row *row;

        if (e->target.size > TEXT_MAX / 2)
                return -EMSGSIZE;
        if (!has_room(f, e)) {
                int r = bulk_flush(s);

                if (r < 0)
                        return r;
        }
        row = &f->rows[f->n++];
        *row = (Row) {
                .numbers = {
                        [COLUMN_seq] = e->seq,
                        [COLUMN_ago] = s->realtime - e->last,
                        [COLUMN_span] = e->last - e->first,
                        [COLUMN_dataset] = e->dataset,
                        [COLUMN_origin] = e->origin,
                        [COLUMN_count] = e->count,
                        [COLUMN_node] = e->node,
                        [COLUMN_parent] = e->parent,
                        [COLUMN_inode] = (int64_t) e->inode,
                        [COLUMN_btime] = e->btime,
                        [COLUMN_attr] = attr,
                        [COLUMN_size] = e->size,
                        [COLUMN_age] = event_age(e),
                        [COLUMN_filesystem] = filesystem,
                        [COLUMN_mtime] = e->mtime,
                        [COLUMN_ctime] = ctime,
                        [COLUMN_wanted] = e->type == TYPE_FILE,
                },
                .name = keep(f, e->name),
                .target = keep(f, e->target),
        };
        return 0;
}
