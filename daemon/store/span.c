/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* span: in which blocks of events a dataset has some, and of which kinds: who looks for few among many skips
 * the rest. Of one block the marks gather in memory, and are written when it ends, or with the commit. */

static int mark(Store *s, int64_t dataset, Kind kind) {
        StoreSpans *p = &s->spans;
        StoreSpan *rows;

        for (size_t i = 0; i < p->n; i++)
                if (p->rows[i].dataset == dataset) {
                        p->rows[i].kinds |= INT64_C(1) << kind;
                        return 0;
                }
        rows = array_room(p->rows, p->n, &p->max, 8, sizeof(*rows));
        if (!rows)
                return -ENOMEM;
        p->rows = rows;
        rows[p->n++] = (StoreSpan) { dataset, INT64_C(1) << kind };
        return 0;
}

int spans_flush(Store *s) {
        StoreSpans *p = &s->spans;
        sqlite3_stmt *stmt;
        int r = 0;

        for (size_t i = 0; r == 0 && i < p->n; i++) {
                r = store_stmt(s, SQL_SPAN_ADD, &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, p->rows[i].dataset);
                sql_bind(stmt, 2, p->block);
                sql_bind(stmt, 3, p->rows[i].kinds);
                r = store_run(s, stmt);
        }
        p->n = 0;
        return r;
}

int spans_mark(Store *s, const Event *e) {
        int64_t block = e->seq / STORE_SPAN;
        bool crossed = s->crossed;
        int r = 0;

        s->crossed = false;
        if (block != s->spans.block)
                r = spans_flush(s);
        s->spans.block = block;
        if (r == 0)
                r = mark(s, STORE_SPAN_ALL, e->kind);
        if (r == 0 && e->dataset != 0)
                r = mark(s, e->dataset, e->kind);
        if (r == 0 && s->deep)
                r = mark(s, STORE_SPAN_DEEP, e->kind);
        if (r == 0 && s->realtime - e->last >= STORE_LATE_USEC)
                r = mark(s, STORE_SPAN_LATE, e->kind);
        return r == 0 && crossed ? mark(s, STORE_SPAN_CROSSED, e->kind) : r;
}

void spans_forget(Store *s) {
        s->spans.n = 0;
        s->crossed = false;
}

void spans_done(StoreSpans *p) {
        free(p->rows);
        *p = (StoreSpans) { 0 };
}
