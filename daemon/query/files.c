/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* A directory that is being listed: its node, the length of its path in the buffer,
 * and the name last answered. */
typedef struct Level {
        int64_t node;
        Cause gap;                      /* that lies over it */
        size_t path_size;
        uint8_t name_size;
        uint8_t name[255];
} Level;

enum { DEPTH_MAX = 65536 };             /* a damaged record may have a directory beneath itself */

typedef struct List {
        Query *q;
        QueryFileFn fn;
        void *userdata;
        int64_t as_of, seq;             /* the moment, and the event that it is as of; 0: now */
        int64_t limit, given;
        Dataset *dataset;
        const char *commit;             /* HEAD */
        Gaps gaps;
        Past past;
        Level *levels;
        size_t n, max;
        Buffer path;
} List;

static int push(List *l, int64_t node, Cause gap) {
        Level *levels;

        if (l->n == DEPTH_MAX)
                return -ELOOP;
        levels = array_room(l->levels, l->n, &l->max, 16, sizeof(*levels));
        if (!levels)
                return -ENOMEM;
        l->levels = levels;
        l->levels[l->n++] = (Level) { .node = node, .gap = gap, .path_size = l->path.size };
        return 0;
}

/* The row has the node as it is now; something has happened to it since. */
static int go_back(List *l, int64_t born, QueryFile *f) {
        Past *p = &l->past;
        int r = past_find(l->q, f->node, born, f->target.data, l->seq, p);

        if (r < 0)
                return r;
        f->type = p->type;
        f->mode = p->mode;
        f->uid = p->uid;
        f->gid = p->gid;
        f->size = p->size;
        f->mtime = p->mtime;
        f->digest = p->has_digest ? BYTES(p->digest, EVENT_DIGEST_SIZE) : BYTES_NONE;
        f->digest_source = p->digest_source;
        f->target = p->has_target ? BYTES(p->target.data, p->target.size) : BYTES_NONE;
        f->seq = p->seq;
        return 0;
}

/* Columns of FILE_ROW, or FILE_ROW_THEN, begin at 1. gap: of the directory that it is in. */
static int give(List *l, sqlite3_stmt *stmt, Cause gap) {
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
                .commit = l->commit,
                .gap = gap != CAUSE_NONE ? gap : moment_gap_at(&l->gaps, sql_column(stmt, 12)),
        };
        int r;

        if (l->seq != 0 && f.seq > l->seq) {
                r = go_back(l, sql_column(stmt, 13), &f);
                if (r < 0)
                        return r;
        }
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

static Cause within(const List *l, Cause gap, int64_t directory) {
        return gap != CAUSE_NONE ? gap : moment_gap_at(&l->gaps, directory);
}

/* The next page of the directory on top; ends early at a directory, which then is on top, and at a callback
 * that gave the statement up. The statement is not kept: it is asked again from the name where it stood.
 * Returns 1 when the directory is at its end. */
static int list_page(List *l) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Level *level = &l->levels[l->n - 1];
        int n = 0, r;

        r = query_stmt(l->q, l->seq != 0 ? QUERY_SQL_FILES_THEN : QUERY_SQL_FILES, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, level->node);
        sqlite3_bind_blob(stmt, 2, level->name, level->name_size, SQLITE_STATIC);
        sql_bind(stmt, 3, QUERY_PAGE);
        if (l->seq != 0)
                sql_bind(stmt, 4, l->seq);
        while ((r = query_step(l->q, stmt)) > 0) {
                int64_t directory = sql_column(stmt, 1) == TYPE_DIRECTORY ? sql_column(stmt, 12) : 0;

                if (directory != 0 && dataset_begins(l->q, directory))
                        directory = 0;  /* what is beneath it is another dataset's */
                r = append_name(l, level, sql_column_bytes(stmt, 0));
                if (r == 0)
                        r = give(l, stmt, level->gap);
                if (r != 0)
                        return r;
                if (++n < QUERY_PAGE && directory == 0 && !l->q->released)
                        continue;
                stand_at(level, &l->path);
                return directory != 0 ? push(l, directory, within(l, level->gap, directory)) : 0;
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
static int give_node(List *l, int64_t node, Cause gap, bool silent, Type *ret_type) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_stmt(l->q, l->seq != 0 ? QUERY_SQL_FILE_THEN : QUERY_SQL_FILE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        if (l->seq != 0)
                sql_bind(stmt, 4, l->seq);
        r = query_step(l->q, stmt);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        *ret_type = (Type) sql_column(stmt, 1);
        return silent ? 0 : give(l, stmt, gap);
}

/* Whose rows they are, and what hung over it. */
static int choose(List *l, Dataset *d) {
        int r = 0;

        l->dataset = d;
        if (d->later)
                return QUERY_E_TOO_EARLY;
        if (d->kind != DATASET_KIND_PLAIN && l->seq == 0)
                l->commit = d->head;
        else if (d->kind != DATASET_KIND_PLAIN)
                r = commit_before(l->q, d, l->seq + 1, &l->commit);
        return r < 0 ? r : moment_gaps(l->q, d, l->as_of, &l->gaps);
}

static int find_place(List *l, Bytes path, Place *place, int64_t *ret_node, Cause *ret_gap) {
        int r = place_find(l->q, path, place);

        if (r == 0)
                r = choose(l, place->dataset);
        return r == 0 ? place_node(l->q, place, l->seq, &l->gaps, ret_node, ret_gap) : r;
}

static int list_place(List *l, Bytes directory) {
        CLEANUP(place_done) Place place = { 0 };
        int64_t node;
        Cause gap;
        Type type;
        int r;

        r = find_place(l, directory, &place, &node, &gap);
        if (r != 0)
                return r;
        r = buffer_add(&l->path, place.path.data, place.path.size);
        if (r == 0)
                r = give_node(l, node, gap, place.path.size == 0, &type);
        if (r == 0 && type == TYPE_DIRECTORY)
                r = push(l, node, gap);
        return r == 0 ? list_tree(l) : r;
}

static int list_dataset(List *l, const char *name) {
        Dataset *d = query_dataset_find(l->q, name);
        int r = d ? choose(l, d) : QUERY_E_NO_DATASET;

        if (r == 0)
                r = push(l, d->root_node, l->gaps.whole);
        return r == 0 ? list_tree(l) : r;
}

static int list_begin(List *l) {
        int r = call_begin(l->q);

        return r == 0 && l->as_of != 0 ? moment_begin(l->q, l->as_of, &l->seq) : r;
}

static int list_end(List *l, int r) {
        free(l->levels);
        moment_gaps_done(&l->gaps);
        past_done(&l->past);
        buffer_done(&l->path);
        return call_end(l->q, r);
}

int query_files(Query *q, const char *dataset, Bytes directory, int64_t as_of, int64_t limit, QueryFileFn fn,
                void *userdata) {
        List l = { .q = q, .fn = fn, .userdata = userdata, .as_of = as_of, .limit = limit };
        int r;

        assert(q);
        assert(fn);

        r = list_begin(&l);
        if (r == 0)
                r = directory.data ? list_place(&l, directory) : list_dataset(&l, dataset);
        return list_end(&l, r);
}

static int show(List *l, Bytes path) {
        CLEANUP(place_done) Place place = { 0 };
        int64_t node;
        Cause gap;
        Type type;
        int r;

        r = find_place(l, path, &place, &node, &gap);
        if (r != 0)
                return r;
        r = place.path.size > 0 ? buffer_add(&l->path, place.path.data, place.path.size)
                                : buffer_add(&l->path, ".", 1);
        return r < 0 ? r : give_node(l, node, gap, false, &type);
}

int query_show(Query *q, Bytes path, int64_t as_of, QueryFileFn fn, void *userdata) {
        List l = { .q = q, .fn = fn, .userdata = userdata, .as_of = as_of };
        int r;

        assert(q);
        assert(fn);

        r = list_begin(&l);
        if (r == 0)
                r = show(&l, path);
        return list_end(&l, r);
}
