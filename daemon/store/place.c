/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

void store_dataset_done(StoreDataset *d) {
        assert(d);
        free(d->name);
        free(d->root);
        *d = (StoreDataset) { 0 };
}

static int add_root_node(Store *s, StoreDataset *d, uint64_t inode, int64_t btime) {
        sqlite3_stmt *stmt;
        int64_t attr;
        int r;

        /* Its state comes with the event that follows. */
        r = attrs_id(s, &(StoreAttr) { .type = TYPE_DIRECTORY }, &attr);
        if (r == 0)
                r = store_stmt(s, SQL_NODE_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, s->next_node);
        sql_bind(stmt, 2, d->filesystem);
        sql_bind(stmt, 3, (int64_t) inode);
        sql_bind(stmt, 4, btime);
        sql_bind_null(stmt, 5);
        sql_bind_null(stmt, 6);
        sql_bind(stmt, 7, attr);
        sql_bind(stmt, 8, 0);
        sql_bind(stmt, 9, 0);
        sql_bind_null(stmt, 10);
        sql_bind_null(stmt, 11);
        sql_bind(stmt, 12, 0);
        sql_bind(stmt, 13, 0);
        sql_bind_null(stmt, 14);
        r = store_run(s, stmt);
        if (r == 0) {
                identities_add(s, d->filesystem, inode, btime);
                d->root_node = s->next_node++;
        }
        return r;
}

static int add_dataset(Store *s, StoreDataset *d, uint64_t root_inode, int64_t root_btime) {
        StoreNode node = { 0 };
        sqlite3_stmt *stmt;
        int r;

        r = store_node_find(s, d->filesystem, root_inode, root_btime, &node);
        if (r == 0)
                d->root_node = node.id;
        store_node_done(&node);
        if (r == STORE_E_NONE)
                r = add_root_node(s, d, root_inode, root_btime);
        if (r == 0)
                r = store_stmt(s, SQL_DATASET_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind_bytes(stmt, 1, BYTES(d->uuid, EVENT_ID_SIZE));
        sql_bind_text(stmt, 2, d->name);
        sql_bind_bytes(stmt, 3, BYTES(d->root, d->root_size));
        sql_bind(stmt, 4, d->kind);
        sql_bind(stmt, 5, d->filesystem);
        sql_bind(stmt, 6, d->root_node);
        r = store_run(s, stmt);
        if (r == 0)
                d->id = sqlite3_last_insert_rowid(s->sql.db);
        return r;
}

int store_dataset_add(Store *s, StoreDataset *d, uint64_t root_inode, int64_t root_btime) {
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(d);
        assert(d->name);
        assert(d->root);

        r = add_dataset(s, d, root_inode, root_btime);
        if (r < 0 && s->broken == 0)
                s->broken = r;
        return r;
}

static int dataset_row(sqlite3_stmt *stmt, StoreDataset *ret) {
        Bytes root = sql_column_bytes(stmt, 3), uuid = sql_column_bytes(stmt, 1);
        const char *head = (const char *) sqlite3_column_text(stmt, 10);

        *ret = (StoreDataset) {
                .id = sql_column(stmt, 0),
                .kind = (DatasetKind) sql_column(stmt, 4),
                .filesystem = sql_column(stmt, 5),
                .root_node = sql_column(stmt, 6),
                .removed = !sql_is_null(stmt, 7),
                .covered_until = sql_column(stmt, 8),
                .added_seq = sql_column(stmt, 9),
        };
        memcpy(ret->uuid, uuid.data, EVENT_ID_SIZE);    /* the schema checks its length */
        snprintf(ret->commit, sizeof(ret->commit), "%s", head ? head : "");
        ret->name = strdup((const char *) sqlite3_column_text(stmt, 2));
        ret->root = malloc(root.size + 1);
        if (!ret->name || !ret->root)
                return -ENOMEM;
        memcpy(ret->root, root.data, root.size);
        ret->root[root.size] = 0;
        ret->root_size = root.size;
        return 0;
}

int store_datasets(Store *s, StoreDatasetFn fn, void *userdata) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        assert(s);
        assert(fn);

        r = store_stmt(s, SQL_DATASET_ALL, &stmt);
        if (r < 0)
                return r;
        while ((r = sql_step(&s->sql, stmt)) > 0) {
                CLEANUP(store_dataset_done) StoreDataset d = { 0 };

                r = dataset_row(stmt, &d);
                if (r == 0)
                        r = fn(userdata, &d);
                if (r != 0)
                        return r;
        }
        return r;
}

/* The id that `find` answers, or that of the row that `add` makes; both take the same values. */
static int find_or_add(Store *s, StoreStatement find, StoreStatement add,
                       void (*bind)(sqlite3_stmt *stmt, const void *row), const void *row, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(ret);

        r = store_stmt(s, find, &stmt);
        if (r < 0)
                return r;
        bind(stmt, row);
        r = sql_step(&s->sql, stmt);
        if (r > 0) {
                *ret = sql_column(stmt, 0);
                sqlite3_reset(stmt);
                return 0;
        }
        if (r == 0)
                r = store_stmt(s, add, &stmt);
        if (r < 0)
                return r;
        bind(stmt, row);
        r = store_run(s, stmt);
        if (r == 0)
                *ret = sqlite3_last_insert_rowid(s->sql.db);
        else if (s->broken == 0)
                s->broken = r;
        return r;
}

typedef struct FilesystemRow {
        const uint8_t *uuid;
        const char *type;
        uint64_t inode;
        int64_t btime;
} FilesystemRow;

static void bind_filesystem(sqlite3_stmt *stmt, const void *row) {
        const FilesystemRow *f = row;

        sql_bind_bytes(stmt, 1, f->uuid ? BYTES(f->uuid, EVENT_ID_SIZE) : BYTES_NONE);
        sql_bind_text(stmt, 2, f->type);
        sql_bind(stmt, 3, (int64_t) f->inode);
        sql_bind(stmt, 4, f->btime);
}

int store_filesystem(Store *s, const uint8_t *uuid, const char *type, uint64_t root_inode,
                     int64_t root_btime, int64_t *ret) {
        FilesystemRow row = { uuid, type, root_inode, root_btime };

        assert(type);
        return find_or_add(s, SQL_FILESYSTEM_FIND, SQL_FILESYSTEM_ADD, bind_filesystem, &row, ret);
}

typedef struct SeriesRow {
        const char *name, *labels, *unit;
} SeriesRow;

static void bind_series(sqlite3_stmt *stmt, const void *row) {
        const SeriesRow *v = row;

        sql_bind_text(stmt, 1, v->name);
        sql_bind_text(stmt, 2, v->labels);
        if (sqlite3_bind_parameter_count(stmt) >= 3)
                sql_bind_text(stmt, 3, v->unit);
}

int store_series(Store *s, const char *name, const char *labels, const char *unit, int64_t *ret) {
        SeriesRow row = { name, labels, unit };

        assert(name);
        assert(labels);
        assert(unit);
        return find_or_add(s, SQL_SERIES_FIND, SQL_SERIES_ADD, bind_series, &row, ret);
}

int store_chunk_put(Store *s, int64_t series, int64_t from, int64_t until, int points, Bytes data) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(data.data);

        r = store_stmt(s, SQL_CHUNK_PUT, &stmt);
        if (r == 0) {
                sql_bind(stmt, 1, series);
                sql_bind(stmt, 2, from);
                sql_bind(stmt, 3, until);
                sql_bind(stmt, 4, points);
                sql_bind_bytes(stmt, 5, data);
                r = store_run(s, stmt);
        }
        if (r < 0 && s->broken == 0)
                s->broken = r;
        return r;
}

int store_gaps(Store *s, StoreGapFn fn, void *userdata) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        assert(s);
        assert(fn);

        r = store_stmt(s, SQL_GAP_ALL, &stmt);
        if (r < 0)
                return r;
        while ((r = sql_step(&s->sql, stmt)) > 0) {
                StoreGap g = {
                        .id = sql_column(stmt, 0),
                        .dataset = sql_column(stmt, 1),
                        .node = sql_column(stmt, 2),
                        .cause = (Cause) sql_column(stmt, 3),
                        .from = sql_column(stmt, 4),
                };

                r = fn(userdata, &g);
                if (r != 0)
                        return r;
        }
        return r;
}
