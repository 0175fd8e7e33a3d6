/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* Moments as seqs, and what was a dataset, and unseen, at one. */

enum { SHADED_MAX = 4096 };

static int batch_of(Query *q, int64_t seq, QueryBatch *ret) {
        int r = batch_find(q, seq);

        if (r < 0)
                return r;
        *ret = *q->batch;
        return 0;
}

/* *ret: the end of the last batch in (lo, hi] whose time (greatest: the one that never falls) is at most
 * usec; lo when there is none. lo and hi are ends of batches. */
static int halve(Query *q, int64_t lo, int64_t hi, int64_t usec, bool greatest, int64_t *ret) {
        QueryBatch b;
        int r;

        while (lo < hi) {
                r = batch_of(q, lo + (hi - lo) / 2 + 1, &b);
                if (r < 0)
                        return r;
                if ((greatest ? b.greatest : b.time) <= usec)
                        lo = MIN_OF(b.last, hi);
                else
                        hi = b.first - 1;
        }
        *ret = lo;
        return 0;
}

/* A clock that is set back shows times again: those batches stand in the shade of the one with the greatest
 * time until then. */

static int last_shaded(Query *q, int64_t before, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        r = query_stmt(q, QUERY_SQL_BATCH_SHADED, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, before);
        sql_bind(stmt, 2, 1);
        return query_one(q, stmt, ret);
}

/* The last one in any shade whose time is at most usec, among the newest; *at: as far as they were looked
 * at, 0: all behind lo. */
static int find_among_newest(Query *q, int64_t lo, int64_t usec, int64_t *at, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int n = 0, r;
        QueryBatch b;

        r = query_stmt(q, QUERY_SQL_BATCH_SHADED, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, INT64_MAX);
        sql_bind(stmt, 2, SHADED_MAX);
        while ((r = query_step(q, stmt)) > 0 && (*at = sql_column(stmt, 0)) > lo) {
                n++;
                if (sql_column(stmt, 1) > usec)
                        continue;
                r = batch_of(q, *at, &b);
                if (r == 0)
                        *ret = b.last;
                n = 0;
                break;
        }
        if (n < SHADED_MAX)
                *at = 0;
        return r < 0 ? r : 0;
}

/* Of a time that was shown several times the last counts, since a clock is right in the end. The newest are
 * looked at one by one; of what is before them, the newest shade in which it was usec is found by halving.
 * (When the clock was set back again within that one, it is one of those times.) *ret stays when there is
 * none behind lo. */
static int find_in_shade(Query *q, int64_t lo, int64_t usec, int64_t *ret) {
        int64_t at = 0, shaded, before, found = 0;
        QueryBatch b, top = { 0 };
        int r;

        r = find_among_newest(q, lo, usec, &at, ret);
        if (r < 0)
                return r;
        while (at != 0) {
                r = last_shaded(q, at, &shaded);
                if (r < 0 || shaded <= lo)
                        return r;
                r = batch_of(q, shaded, &b);
                if (r == 0)
                        r = halve(q, lo, b.first - 1, b.greatest - 1, true, &before);
                if (r == 0)
                        r = batch_of(q, before + 1, &top);
                if (r == 0)
                        r = halve(q, top.last, b.last, usec, false, &found);
                if (r < 0)
                        return r;
                if (found > top.last) {
                        *ret = found;
                        return 0;
                }
                at = top.first;
        }
        return 0;
}

static int last_batch(Query *q, int64_t usec, int64_t *ret) {
        int64_t last;
        int r = last_seq(q, &last);

        if (r == 0)
                r = halve(q, 0, last, usec, true, ret);
        return r == 0 ? find_in_shade(q, *ret, usec, ret) : r;
}

int moment_bound(Query *q, int64_t usec, int64_t *ret) {
        int64_t last, found = 0, shaded = 0;
        QueryBatch b;
        int r;

        r = last_seq(q, &last);
        if (r == 0)
                r = halve(q, 0, last, usec, true, &found);
        if (r == 0)
                r = last_shaded(q, INT64_MAX, &shaded);
        if (r == 0 && shaded > found && (r = batch_of(q, shaded, &b)) == 0)
                found = b.last;
        if (r == 0)
                *ret = found;
        return r;
}

/* On through what was noticed by usec, though stored after it; up to the first event that was not. */
static int noticed_page(Query *q, int64_t usec, int64_t *seq) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int n = 0, r;

        r = query_stmt(q, QUERY_SQL_NOTICED, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, *seq);
        sql_bind(stmt, 2, QUERY_PAGE);
        while ((r = query_step(q, stmt)) > 0) {
                r = batch_find(q, sql_column(stmt, 0));
                if (r < 0)
                        return r;
                if (q->batch->time - sql_column(stmt, 1) > usec)
                        return 0;
                *seq = sql_column(stmt, 0);
                n++;
        }
        return r < 0 ? r : n == QUERY_PAGE;
}

int moment_find(Query *q, int64_t usec, int64_t *ret) {
        int64_t seq;
        QueryBatch b;
        int r;

        r = last_batch(q, usec, &seq);
        if (r == 0 && seq > 0) {        /* that batch may hold what was noticed while it was gathered */
                r = batch_of(q, seq, &b);
                seq = b.first - 1;
        }
        while (r == 0 && (r = noticed_page(q, usec, &seq)) == 1)
                r = call_check(q);
        if (r == 0)
                *ret = seq;
        return r;
}

/* What is known of a dataset from its own events up to a seq: its root, and whether it was watched. */
static int dataset_then(Query *q, Dataset *d, int64_t seq) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        bool root = false, state = false;
        int r;

        r = query_stmt(q, QUERY_SQL_ROOTS, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, d->id);
        sql_bind(stmt, 2, seq);
        while (!(root && state) && (r = query_step(q, stmt)) > 0) {
                int64_t kind = sql_column(stmt, 1);

                if (!root && kind != KIND_DATASET_REMOVE) {
                        d->root_node = sql_column(stmt, 2);
                        root = true;
                }
                if (!state && kind != KIND_DATASET_MOVE) {
                        d->removed = kind == KIND_DATASET_REMOVE ? sql_column(stmt, 0) : 0;
                        state = true;
                }
        }
        d->later = !root;
        return r < 0 ? r : 0;
}

int moment_begin(Query *q, int64_t usec, int64_t *ret) {
        int64_t seq, pruned;
        int r;

        r = moment_find(q, usec, &seq);
        if (r == 0)
                r = query_pruned(q, &pruned);
        if (r < 0)
                return r;
        if (seq == 0 || seq < pruned)
                return seq == 0 ? QUERY_E_TOO_EARLY : QUERY_E_PRUNED;
        for (size_t i = 0; r == 0 && i < q->n_datasets; i++)
                r = dataset_then(q, q->datasets[i], seq);
        if (r == 0)
                *ret = seq;
        return r;
}

void moment_gaps_done(Gaps *g) {
        free(g->rows);
        *g = (Gaps) { 0 };
}

static int by_node(const void *a, const void *b) {
        const Gap *x = a, *y = b;

        return x->node < y->node ? -1 : x->node > y->node;
}

int moment_gaps(Query *q, const Dataset *d, int64_t usec, Gaps *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        *ret = (Gaps) { .whole = d->removed != 0 ? CAUSE_REMOVED : CAUSE_NONE };
        r = query_stmt(q, usec != 0 ? QUERY_SQL_GAPS_THEN : QUERY_SQL_GAPS_OPEN, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, d->id);
        if (usec != 0)
                sql_bind(stmt, 2, usec);
        while ((r = query_step(q, stmt)) > 0) {
                Gap gap = { sql_column(stmt, 0), (Cause) sql_column(stmt, 1) }, *rows;

                if (gap.node == 0 || gap.node == d->root_node) {
                        ret->whole = gap.cause;
                        continue;
                }
                rows = array_room(ret->rows, ret->n, &ret->max, 16, sizeof(*rows));
                if (!rows)
                        return -ENOMEM;
                ret->rows = rows;
                rows[ret->n++] = gap;
        }
        if (r == 0 && ret->n > 0)
                qsort(ret->rows, ret->n, sizeof(*ret->rows), by_node);
        return r;
}

Cause moment_gap_at(const Gaps *g, int64_t node) {
        const Gap key = { .node = node }, *found;

        found = g->n > 0 ? bsearch(&key, g->rows, g->n, sizeof(*g->rows), by_node) : NULL;
        return found ? found->cause : CAUSE_NONE;
}
