/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* A directory that is being listed: its node, the length of its path in the buffer,
 * and the name last answered. */
typedef struct Level {
        int64_t node;
        size_t path_size;
        uint8_t name_size;
        uint8_t name[255];
} Level;

enum { DEPTH_MAX = 65536 };             /* a damaged record may have a directory beneath itself */

typedef struct List {
        Query *q;
        QueryFileFn fn;
        void *userdata;
        int64_t limit, given;
        Dataset *dataset;
        Level *levels;
        size_t n, max;
        Buffer path;
} List;

static int push(List *l, int64_t node) {
        Level *levels;

        if (l->n == DEPTH_MAX)
                return -ELOOP;
        levels = array_room(l->levels, l->n, &l->max, 16, sizeof(*levels));
        if (!levels)
                return -ENOMEM;
        l->levels = levels;
        l->levels[l->n++] = (Level) { .node = node, .path_size = l->path.size };
        return 0;
}

/* Columns of FILE_ROW begin at 1. */
static int give(List *l, sqlite3_stmt *stmt) {
        QueryFile f = {
                .dataset = l->dataset->name,
                .path = BYTES(l->path.data, l->path.size),
                .type = (Type) sql_column(stmt, 1),
                .mode = (uint32_t) sql_column(stmt, 2),
                .uid = (uint32_t) sql_column(stmt, 3),
                .gid = (uint32_t) sql_column(stmt, 4),
                .size = sql_column(stmt, 5),
                .mtime = sql_column(stmt, 6),
                .links = sql_column(stmt, 7),
                .digest = sql_column_bytes(stmt, 8),
                .digest_source = (DigestSource) sql_column(stmt, 9),
                .target = sql_column_bytes(stmt, 10),
                .seq = sql_column(stmt, 11),
                .node = sql_column(stmt, 12),
                .commit = l->dataset->kind != DATASET_KIND_PLAIN ? l->dataset->head : NULL,
        };

        l->q->released = false;
        return l->fn(l->userdata, &f) != 0 || ++l->given == l->limit ? QUERY_STOPPED : 0;
}

static int append_name(List *l, const Level *level, Bytes name) {
        int r = 0;

        if (name.size == 0 || name.size > sizeof(level->name))
                return -EBADMSG;
        l->path.size = level->path_size;
        if (l->path.size > 0)
                r = buffer_add(&l->path, "/", 1);
        return r < 0 ? r : buffer_add(&l->path, name.data, name.size);
}

static void stand_at(Level *level, const Buffer *path) {
        size_t start = level->path_size > 0 ? level->path_size + 1 : 0;

        level->name_size = (uint8_t) (path->size - start);
        memcpy(level->name, path->data + start, level->name_size);
}

/* The next page of the directory on top; ends early at a directory, which then is on top, and at a callback
 * that gave the statement up. The statement is not kept: it is asked again from the name where it stood.
 * Returns 1 when the directory is at its end. */
static int list_page(List *l) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Level *level = &l->levels[l->n - 1];
        int n = 0, r;

        r = query_stmt(l->q, QUERY_SQL_FILES, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, level->node);
        sqlite3_bind_blob(stmt, 2, level->name, level->name_size, SQLITE_STATIC);
        sql_bind(stmt, 3, QUERY_PAGE);
        while ((r = query_step(l->q, stmt)) > 0) {
                int64_t directory = sql_column(stmt, 1) == TYPE_DIRECTORY ? sql_column(stmt, 12) : 0;

                if (directory != 0 && dataset_begins(l->q, directory))
                        directory = 0;  /* what is beneath it is another dataset's */
                r = append_name(l, level, sql_column_bytes(stmt, 0));
                if (r == 0)
                        r = give(l, stmt);
                if (r != 0)
                        return r;
                if (++n < QUERY_PAGE && directory == 0 && !l->q->released)
                        continue;
                stand_at(level, &l->path);
                return directory != 0 ? push(l, directory) : 0;
        }
        return r < 0 ? r : 1;
}

static int list_tree(List *l) {
        int r = 0;

        while (r >= 0 && l->n > 0) {
                r = call_check(l->q);
                if (r == 0)
                        r = list_page(l);
                if (r == QUERY_STOPPED)
                        break;
                if (r == 1)
                        l->n--;
        }
        return r == 1 ? 0 : r;
}

/* One node as a row, under the path in the buffer. *ret_type: what it is. */
static int give_node(List *l, int64_t node, bool silent, Type *ret_type) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_row(l->q, QUERY_SQL_FILE, node, &stmt);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        *ret_type = (Type) sql_column(stmt, 1);
        return silent ? 0 : give(l, stmt);
}

static int list_place(List *l, Bytes directory) {
        CLEANUP(place_done) Place place = { 0 };
        int64_t node;
        Type type;
        int r;

        r = place_find(l->q, directory, &place);
        if (r == 0)
                r = place_node(l->q, &place, &node);
        if (r != 0)
                return r;
        l->dataset = place.dataset;
        r = buffer_add(&l->path, place.path.data, place.path.size);
        if (r == 0)
                r = give_node(l, node, place.path.size == 0, &type);
        if (r == 0 && type == TYPE_DIRECTORY)
                r = push(l, node);
        return r == 0 ? list_tree(l) : r;
}

static int list_dataset(List *l, const char *name) {
        int r;

        l->dataset = query_dataset_find(l->q, name);
        if (!l->dataset)
                return QUERY_E_NO_DATASET;
        r = push(l, l->dataset->root_node);
        return r == 0 ? list_tree(l) : r;
}

int query_files(Query *q, const char *dataset, Bytes directory, int64_t limit, QueryFileFn fn,
                void *userdata) {
        List l = { .q = q, .fn = fn, .userdata = userdata, .limit = limit };
        int r;

        assert(q);
        assert(fn);

        r = call_begin(q);
        if (r == 0)
                r = directory.data ? list_place(&l, directory) : list_dataset(&l, dataset);
        free(l.levels);
        buffer_done(&l.path);
        return call_end(q, r);
}

static int show(List *l, Bytes path) {
        CLEANUP(place_done) Place place = { 0 };
        int64_t node;
        Type type;
        int r;

        r = call_begin(l->q);
        if (r == 0)
                r = place_find(l->q, path, &place);
        if (r == 0)
                r = place_node(l->q, &place, &node);
        if (r != 0)
                return r;
        l->dataset = place.dataset;
        r = place.path.size > 0 ? buffer_add(&l->path, place.path.data, place.path.size)
                                : buffer_add(&l->path, ".", 1);
        return r < 0 ? r : give_node(l, node, false, &type);
}

int query_show(Query *q, Bytes path, QueryFileFn fn, void *userdata) {
        List l = { .q = q, .fn = fn, .userdata = userdata };
        int r;

        assert(q);
        assert(fn);

        r = show(&l, path);
        buffer_done(&l.path);
        return call_end(q, r);
}
