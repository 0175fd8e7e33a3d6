/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

enum { DEPTH_MAX = 65536 };             /* of the record; a loop in a damaged one must end */

/* The next component of a path, or BYTES_NONE. */
static Bytes next_component(Bytes *rest) {
        const uint8_t *slash;
        Bytes c;

        while (rest->size > 0 && rest->data[0] == '/')
                *rest = BYTES(rest->data + 1, rest->size - 1);
        if (rest->size == 0)
                return BYTES_NONE;
        slash = memchr(rest->data, '/', rest->size);
        c = BYTES(rest->data, slash ? (size_t) (slash - rest->data) : rest->size);
        *rest = BYTES(rest->data + c.size, rest->size - c.size);
        return c;
}

/* The path without empty components: "/a/b". */
static int tidy(Bytes path, Buffer *ret) {
        Bytes c;
        int r = 0;

        while (r == 0 && (c = next_component(&path)).data) {
                r = buffer_add(ret, "/", 1);
                if (r == 0)
                        r = buffer_add(ret, c.data, c.size);
        }
        return r;
}

static bool holds(const Dataset *d, const Buffer *path) {
        if (d->root_size == 1)          /* "/" */
                return true;
        return path->size >= d->root_size && memcmp(path->data, d->root, d->root_size) == 0 &&
               (path->size == d->root_size || path->data[d->root_size] == '/');
}

/* What there was before what came later, watched before removed, then the innermost, then the youngest. */
static bool is_better(const Dataset *a, const Dataset *b) {
        if (!b || a->later != b->later)
                return !b || !a->later;
        if ((a->removed == 0) != (b->removed == 0))
                return a->removed == 0;
        if (a->root_size != b->root_size)
                return a->root_size > b->root_size;
        return a->id > b->id;
}

void place_done(Place *p) {
        buffer_done(&p->path);
}

int place_find(Query *q, Bytes path, Place *ret) {
        CLEANUP(buffer_done) Buffer whole = { 0 };
        Dataset *best = NULL;
        Bytes rest;
        int r;

        if (path.size == 0 || path.data[0] != '/')
                return QUERY_E_NO_DATASET;
        r = tidy(path, &whole);
        if (r < 0)
                return r;
        for (size_t i = 0; i < q->n_datasets; i++)
                if (holds(q->datasets[i], &whole) && is_better(q->datasets[i], best))
                        best = q->datasets[i];
        if (!best)
                return QUERY_E_NO_DATASET;
        if (best->later)
                return QUERY_E_TOO_EARLY;
        rest = BYTES(whole.data, whole.size);
        if (best->root_size > 1)
                rest = BYTES(whole.data + best->root_size, whole.size - best->root_size);
        *ret = (Place) { .dataset = best };
        return rest.size > 0 ? buffer_add(&ret->path, rest.data + 1, rest.size - 1) : 0;
}

/* The node that a name had; 0: none. */
static int holder_then(Query *q, int64_t parent, Bytes name, int64_t seq, int64_t *ret) {
        static const QueryStatement tries[] = { QUERY_SQL_LINK_OPEN, QUERY_SQL_LINK_THEN };

        *ret = 0;
        for (size_t i = 0; *ret == 0 && i < (seq != 0 ? ELEMENTS(tries) : 1); i++) {
                CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
                int r = query_stmt(q, tries[i], &stmt);

                if (r < 0)
                        return r;
                sql_bind(stmt, 1, parent);
                sql_bind_bytes(stmt, 2, name);
                if (tries[i] == QUERY_SQL_LINK_THEN)
                        sql_bind(stmt, 3, seq);
                r = query_step(q, stmt);
                if (r < 0)
                        return r;
                if (r > 0 && (seq == 0 || sql_column(stmt, 1) <= seq))
                        *ret = sql_column(stmt, 0);
        }
        return 0;
}

int place_node(Query *q, const Place *p, int64_t seq, const Gaps *gaps, int64_t *ret, Cause *ret_gap) {
        Bytes rest = BYTES(p->path.data, p->path.size), name;
        int64_t node = p->dataset->root_node;
        Cause gap = gaps->whole;
        int r;

        while ((name = next_component(&rest)).data) {
                r = holder_then(q, node, name, seq, &node);
                if (r < 0)
                        return r;
                if (node == 0)
                        return QUERY_E_NO_FILE;
                if (gap == CAUSE_NONE)
                        gap = moment_gap_at(gaps, node);
        }
        *ret = node;
        *ret_gap = gap;
        return 0;
}

void holders_done(Holders *h) {
        free(h->parents);
        free(h->nodes);
        *h = (Holders) { 0 };
}

static int add_segment(Segment **list, size_t *n, Segment s) {
        Segment *grown;

        if (*n >= SEGMENTS_MAX)
                return -E2BIG;
        if ((*n & (*n - 1)) == 0) {     /* 0 or a power of two: full */
                grown = reallocarray(*list, MAX_OF(*n * 2, (size_t) 1), sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                *list = grown;
        }
        (*list)[(*n)++] = s;
        return 0;
}

/* Rows of one statement of links that overlap the parent's segment. */
static int add_links(Query *q, QueryStatement which, const Segment *parent, Bytes name, Holders *h) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_stmt(q, which, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, parent->node);
        sql_bind_bytes(stmt, 2, name);
        if (which == QUERY_SQL_LINK_CLOSED)
                sql_bind(stmt, 3, parent->from);
        while ((r = query_step(q, stmt)) > 0) {
                int64_t since = sql_column(stmt, 1), until = sql_column(stmt, 2);
                Segment s = {
                        .node = sql_column(stmt, 0),
                        .from = MAX_OF(since, parent->from),
                        .to = MIN_OF(until == 0 ? INT64_MAX : until, parent->to),
                        .directory = sql_column(stmt, 3) == TYPE_DIRECTORY,
                };

                if (s.from > s.to)
                        continue;
                r = add_segment(&h->nodes, &h->n_nodes, s);
                if (r < 0)
                        return r;
        }
        return r;
}

/* One component further: the nodes become the parents. */
static int descend(Query *q, Holders *h, Bytes name) {
        int r = 0;

        free(h->parents);
        h->parents = STEAL(h->nodes);
        h->n_parents = h->n_nodes;
        h->n_nodes = 0;
        h->name = name;
        for (size_t i = 0; r == 0 && i < h->n_parents; i++) {
                r = add_links(q, QUERY_SQL_LINK_CLOSED, &h->parents[i], name, h);
                if (r == 0)
                        r = add_links(q, QUERY_SQL_LINK_OPEN, &h->parents[i], name, h);
        }
        return r;
}

static int start_at_root(const Place *p, Holders *h) {
        return add_segment(&h->nodes, &h->n_nodes, (Segment) { p->dataset->root_node, 0, INT64_MAX, true });
}

int holders_find(Query *q, const Place *p, Holders *ret) {
        Bytes rest = BYTES(p->path.data, p->path.size), name;
        int r;

        assert(p->path.size > 0);
        *ret = (Holders) { 0 };
        r = start_at_root(p, ret);
        while (r == 0 && (name = next_component(&rest)).data)
                r = descend(q, ret, name);
        return r;
}

/* The newest link of a name in one of the directories that its parent was. */
static int newest_in(Query *q, const Segment *parent, Bytes name, Segment *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        QueryStatement tries[] = { QUERY_SQL_LINK_OPEN, QUERY_SQL_LINK_NEWEST };
        int r = 0;

        for (size_t i = parent->to == INT64_MAX ? 0 : 1; i < ELEMENTS(tries); i++) {
                r = query_stmt(q, tries[i], &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, parent->node);
                sql_bind_bytes(stmt, 2, name);
                if (tries[i] == QUERY_SQL_LINK_NEWEST) {
                        sql_bind(stmt, 3, parent->from);
                        sql_bind(stmt, 4, parent->to);
                }
                r = query_step(q, stmt);
                if (r != 0)
                        break;
        }
        if (r <= 0)
                return r < 0 ? r : QUERY_E_NO_FILE;
        *ret = (Segment) {
                .node = sql_column(stmt, 0),
                .from = sql_column(stmt, 1),
                .to = sql_column(stmt, 2),
        };
        if (ret->to == 0)
                ret->to = INT64_MAX;
        ret->to = MIN_OF(ret->to, parent->to);
        return 0;
}

int holders_newest(Query *q, const Place *p, Segment *ret) {
        CLEANUP(holders_done) Holders h = { 0 };
        Bytes rest = BYTES(p->path.data, p->path.size), name, next;
        int r;

        r = start_at_root(p, &h);
        if (r < 0)
                return r;
        name = next_component(&rest);
        if (!name.data) {
                *ret = h.nodes[0];
                return 0;
        }
        while (r == 0 && (next = next_component(&rest)).data) {
                r = descend(q, &h, name);
                name = next;
        }
        if (r < 0)
                return r;
        r = QUERY_E_NO_FILE;
        for (size_t i = h.n_nodes; r == QUERY_E_NO_FILE && i > 0; i--)
                r = newest_in(q, &h.nodes[i - 1], name, ret);
        return r;
}

static PathEntry *entry_of(Query *q, int64_t dataset, int64_t node) {
        return &q->paths[((uint64_t) node * 31 + (uint64_t) dataset) % PATH_CACHE_SIZE];
}

static bool entry_is(const PathEntry *e, int64_t dataset, int64_t node, int64_t seq) {
        return e->node == node && e->dataset == dataset && seq >= e->from && seq <= e->to;
}

/* The walk from a node up to its root. names: the components met, each behind the one above it and followed
 * by its size, since the path is wanted the other way round. */
typedef struct Climb {
        int64_t dataset, root, seq;
        bool past;                      /* seq is not the question's any more; from and to mean nothing */
        int64_t from, to;               /* in which all links on the way held */
        Buffer *names;
} Climb;

static int note_name(Buffer *names, Bytes name) {
        uint16_t size = (uint16_t) name.size;
        int r;

        r = buffer_add(names, name.data, size);
        return r < 0 ? r : buffer_add(names, &size, sizeof(size));
}

/* Gone by then: from here on, where it was when it went. */
static void look_back(Climb *c, int64_t until) {
        c->seq = until - 1;
        c->past = true;
}

/* 1: *node is the parent now; 0: it has no link, it is a root. */
static int climb_one(Query *q, Climb *c, int64_t *node) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int64_t since, until;
        int r;

        r = query_stmt(q, QUERY_SQL_LINK_AT, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, *node);
        sql_bind(stmt, 2, c->seq);
        r = query_step(q, stmt);
        if (r <= 0 || sql_is_null(stmt, 0))
                return r < 0 ? r : 0;
        since = sql_column(stmt, 2);
        until = sql_column(stmt, 3);
        c->from = MAX_OF(c->from, since);
        if (until == 0)
                c->to = MIN_OF(c->to, sql_column(stmt, 4));
        else if (until > c->seq)
                c->to = MIN_OF(c->to, until - 1);
        else
                look_back(c, until);
        *node = sql_column(stmt, 0);
        r = note_name(c->names, sql_column_bytes(stmt, 1));
        return r < 0 ? r : 1;
}

/* Ends at the root, or at a directory whose path is remembered,
 * which is then the beginning of the answer. */
static int climb(Query *q, Climb *c, int64_t node, Buffer *ret) {
        int r = 1;

        for (int depth = 0; r > 0 && node != c->root; depth++) {
                const PathEntry *known = entry_of(q, c->dataset, node);

                if (entry_is(known, c->dataset, node, c->seq)) {
                        c->from = MAX_OF(c->from, known->from);
                        c->to = MIN_OF(c->to, known->to);
                        return buffer_add(ret, known->path.data, known->path.size);
                }
                if (depth == DEPTH_MAX)
                        return -ELOOP;
                r = climb_one(q, c, &node);
        }
        return r < 0 ? r : 0;
}

static int unwind(const Buffer *names, size_t start, Buffer *ret) {
        size_t at = names->size;
        uint16_t size;
        int r = 0;

        while (r == 0 && at > 0) {
                memcpy(&size, names->data + at - sizeof(size), sizeof(size));
                at -= sizeof(size) + size;
                if (ret->size > start)
                        r = buffer_add(ret, "/", 1);
                if (r == 0)
                        r = buffer_add(ret, names->data + at, size);
        }
        return r;
}

static int remember(PathEntry *e, const Climb *c, int64_t node, Bytes path) {
        int r;

        e->path.size = 0;
        e->node = 0;
        r = buffer_add(&e->path, path.data, path.size);
        if (r == 0)
                *e = (PathEntry) { c->dataset, node, c->from, c->to, e->path };
        return r;
}

int path_at(Query *q, int64_t dataset, int64_t node, int64_t seq, Buffer *ret) {
        Dataset *d = dataset_get(q, dataset);
        Climb c = { .dataset = dataset,
                    .root = d ? d->root_node : 0,
                    .seq = seq,
                    .to = INT64_MAX,
                    .names = &q->scratch };
        size_t start = ret->size;
        int r;

        q->scratch.size = 0;
        r = climb(q, &c, node, ret);
        if (r == 0)
                r = unwind(&q->scratch, start, ret);
        if (r == 0 && q->scratch.size > 0 && c.to != INT64_MAX && !c.past)
                r = remember(entry_of(q, dataset, node), &c, node,
                             BYTES(ret->data + start, ret->size - start));
        return r;
}
