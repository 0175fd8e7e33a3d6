/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* Where the walk backwards stands: events of node with seq <= hi are still to come. */
typedef struct Walk {
        Query *q;
        QueryEventFn fn;
        void *userdata;
        int64_t limit, given;
        int64_t node, hi, born;
} Walk;

static int one_of(Walk *w, QueryStatement which, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        r = query_stmt(w->q, which, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, w->node);
        if (which != QUERY_SQL_NODE_BORN) {
                sql_bind(stmt, 2, 0);
                sql_bind(stmt, 3, w->hi);
        }
        return query_one(w->q, stmt, ret);
}

static int step_to(Walk *w, int64_t node, int64_t hi) {
        w->node = node;
        w->hi = hi;
        return one_of(w, QUERY_SQL_NODE_BORN, &w->born);
}

/* The newest event that is left: the node's own, an exchange that another node is named in, or its first. */
static int find_next(Walk *w, int64_t *ret) {
        int64_t own, swapped;
        int r;

        r = one_of(w, QUERY_SQL_NODE_DOWN, &own);
        if (r == 0)
                r = one_of(w, QUERY_SQL_NODE_SWAPPED, &swapped);
        if (r < 0)
                return r;
        *ret = MAX_OF(own, swapped);
        if (w->born <= w->hi)
                *ret = MAX_OF(*ret, w->born);
        return 0;
}

/* The node of an event; 0: none. */
static int node_of(Walk *w, int64_t seq, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_row(w->q, QUERY_SQL_EVENT, seq, &stmt);
        *ret = r > 0 ? sql_column(stmt, 5) : 0;
        return r < 0 ? r : 0;
}

/* One that was pruned is left out. */
static int give(Walk *w, int64_t seq, Event *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        QueryEvent row;
        int r;

        *ret = (Event) { 0 };
        r = query_row(w->q, QUERY_SQL_EVENT, seq, &stmt);
        if (r <= 0)
                return r;
        r = row_event(w->q, stmt, ret);
        if (r == 0)
                r = row_complete(w->q, ret, &row);
        if (r == 0)
                r = row_commit(w->q, &row);
        if (r < 0)
                return r;
        return w->fn(w->userdata, &row) != 0 || ++w->given == w->limit ? QUERY_STOPPED : 0;
}

/* The same name had another node before: an atomic save, or unlink and create. (A rename over another file
 * is not: what came is a file with a history of its own.) */
static bool continues(const Walk *w, const Event *e) {
        if (e->replaces == 0 || e->node != w->node)
                return false;
        return e->kind == KIND_MODIFY || (e->kind == KIND_CREATE && e->seq == w->born);
}

static int walk(Walk *w) {
        int64_t seq = 0, node;
        Event e;
        int r;

        for (;;) {
                r = call_check(w->q);
                if (r == 0)
                        r = find_next(w, &seq);
                if (r < 0 || seq == 0)
                        return r;
                r = give(w, seq, &e);
                if (r != 0)
                        return r;
                w->hi = seq - 1;
                if (!continues(w, &e))
                        continue;
                r = node_of(w, e.replaces, &node);
                if (r == 0 && node != 0 && node != w->node)
                        r = step_to(w, node, MIN_OF(e.replaces, w->hi));
                if (r < 0)
                        return r;
        }
}

/* A name that is gone ended with an event that may be another node's: its directory's,
 * or its successor's. */
static int give_end(Walk *w, const Segment *last) {
        int64_t node;
        Event e;
        int r;

        if (last->to == INT64_MAX)
                return 0;
        r = node_of(w, last->to, &node);
        return r < 0 || node == last->node ? r : give(w, last->to, &e);
}

static int history(Walk *w, Bytes path) {
        CLEANUP(place_done) Place place = { 0 };
        Segment last;
        int r;

        r = call_begin(w->q);
        if (r == 0)
                r = place_find(w->q, path, &place);
        if (r == 0)
                r = holders_newest(w->q, &place, &last);
        if (r == 0)
                r = give_end(w, &last);
        if (r == 0)
                r = step_to(w, last.node, last.to);
        return r == 0 ? walk(w) : r;
}

int query_history(Query *q, Bytes path, int64_t limit, QueryEventFn fn, void *userdata) {
        Walk w = { .q = q, .fn = fn, .userdata = userdata, .limit = limit };

        assert(q);
        assert(fn);
        return call_end(q, history(&w, path));
}
