/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* prune: what retention would remove. */

enum { EVENTS_A_PAGE = 8192 };          /* that one statement looks at */

int query_pruned(Query *q, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r = query_stmt(q, QUERY_SQL_PRUNED, &stmt);

        return r < 0 ? r : query_one(q, stmt, ret);
}

/* The last event that was stored before that time: time + behind never falls from batch to batch. */
static int older_than(Query *q, int64_t time, int64_t lo, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int64_t hi;
        int r = last_seq(q, &hi);

        while (r >= 0 && lo < hi) {
                int64_t middle = lo + (hi - lo) / 2 + 1;

                r = query_row(q, QUERY_SQL_BATCH, middle, &stmt);
                if (r <= 0)
                        return r < 0 ? r : -EBADMSG;
                if (sql_column(stmt, 1) + sql_column(stmt, 2) < time)
                        lo = MAX_OF(middle, sql_column(stmt, 4));
                else
                        hi = MIN_OF(middle - 1, sql_column(stmt, 0) - 1);
        }
        *ret = MIN_OF(lo, hi);
        return r < 0 ? r : 0;
}

static int find_upto(Query *q, int64_t before, QueryPrunable *ret) {
        int64_t seq = 0, begun = 0;
        sqlite3_stmt *stmt;
        int r = query_pruned(q, &ret->pruned);

        if (r == 0)
                r = query_stmt(q, QUERY_SQL_PRUNE_BEGUN, &stmt);
        if (r == 0)
                r = query_one(q, stmt, &begun);
        if (r == 0)
                r = older_than(q, before, ret->pruned, &seq);
        if (r < 0)
                return r;
        ret->unfinished = begun != 0;
        ret->upto = MAX_OF(seq / PRUNE_UNIT * PRUNE_UNIT, ret->pruned);
        return 0;
}

static int count(Query *q, QueryPrunable *ret) {
        sqlite3_stmt *stmt;
        int64_t n;
        int r = 0;

        for (int64_t at = 0; r == 0 && at < ret->upto; at += EVENTS_A_PAGE) {
                r = query_stmt(q, QUERY_SQL_PRUNABLE, &stmt);
                if (r < 0)
                        break;
                sql_bind(stmt, 1, at);
                sql_bind(stmt, 2, MIN_OF(at + EVENTS_A_PAGE, ret->upto));
                sql_bind(stmt, 3, ret->upto);
                r = query_one(q, stmt, &n);
                if (r == 0)
                        r = call_check(q);
                ret->events += r == 0 ? n : 0;
        }
        return r;
}

int query_prunable(Query *q, int64_t before, bool counted, QueryPrunable *ret) {
        int r = call_begin(q);

        assert(ret);
        *ret = (QueryPrunable) { 0 };
        if (r == 0)
                r = find_upto(q, before, ret);
        if (r == 0 && counted)
                r = count(q, ret);
        return call_end(q, r);
}
