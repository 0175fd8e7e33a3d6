/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/store/private.h"

/* Contents that no row names any more, after events and nodes went. No index tells who names a content, as
 * all events would pay for it: so all are read once, in steps, and what they name is marked. What is
 * recorded between two steps is marked before anything goes; contents younger than the first step stay. */

enum {
        EVENTS_A_STEP = 8192,
        NODES_A_STEP = 8192,
        CONTENTS_A_STEP = 1024,
        SLICES_A_STEP = 4,              /* of the digests; more where they hold less than so many contents */
        CONTENTS_MAX = 1 << 28,         /* that are marked: 32 MiB; younger ones stay */
};

void contents_forget(Store *s) {
        free(s->contents.marks);
        s->contents = (StoreContents) { 0 };
}

static int begin(Store *s) {
        StoreContents *c = &s->contents;
        int64_t n;
        int r = sql_number(s->sql.db, "SELECT max(id) FROM content", &n);

        if (r < 0)
                return r;
        n = MIN_OF(n, (int64_t) CONTENTS_MAX);
        c->marks = calloc((size_t) n / 8 + 1, 1);
        if (!c->marks)
                return -ENOMEM;
        c->n = n;
        c->nodes = s->next_node - 1;    /* younger ones have their content by a younger event */
        return 0;
}

/* What the rows in (from, to] name. */
static int mark(Store *s, StoreStatement which, int64_t from, int64_t to) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        StoreContents *c = &s->contents;
        int r = store_stmt(s, which, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, from);
        sql_bind(stmt, 2, to);
        while ((r = sql_step(&s->sql, stmt)) > 0) {
                int64_t id = sql_column(stmt, 0);

                if (id > 0 && id <= c->n)
                        c->marks[id / 8] |= (uint8_t) (1 << id % 8);
        }
        return r;
}

static int mark_more(Store *s) {
        StoreContents *c = &s->contents;
        int64_t to = MIN_OF(c->event + EVENTS_A_STEP, s->last_seq);
        int r;

        if (c->event < to) {
                r = mark(s, SQL_EVENT_CONTENTS, c->event, to);
                c->event = to;
                return r;
        }
        to = MIN_OF(c->node + NODES_A_STEP, c->nodes);
        r = mark(s, SQL_NODE_CONTENTS, c->node, to);
        c->node = to;
        return r;
}

static int sweep(Store *s, int64_t *ret_done) {
        StoreContents *c = &s->contents;
        int64_t to = MIN_OF(c->content + CONTENTS_A_STEP, c->n);
        sqlite3_stmt *stmt;
        int r = 0;

        for (int64_t id = c->content + 1; r == 0 && id <= to; id++) {
                if (c->marks[id / 8] & 1 << id % 8)
                        continue;
                r = store_stmt(s, SQL_CONTENT_REMOVE, &stmt);
                if (r < 0)
                        break;
                sql_bind(stmt, 1, id);
                r = store_run(s, stmt);
                *ret_done += r == 0 ? sqlite3_changes(s->sql.db) : 0;
        }
        c->content = to;
        return r;
}

static bool is_gone(void *userdata, int64_t id) {
        const StoreContents *c = userdata;

        return id <= c->n && !(c->marks[id / 8] & 1 << id % 8);
}

/* The digests of what went. */
static int sweep_digests(Store *s) {
        StoreContents *c = &s->contents;
        int64_t n = (int64_t) CONTENTS_A_STEP * DIGESTS_SLICES / MAX_OF(c->n, (int64_t) 1), to;
        int r = 0;

        n = MAX_OF(n, (int64_t) SLICES_A_STEP);
        to = MIN_OF(c->slice + MIN_OF(n, (int64_t) DIGESTS_SLICES / 4), (int64_t) DIGESTS_SLICES);
        for (; r == 0 && c->slice < to; c->slice++)
                r = digests_drop(s->digests, c->slice, is_gone, c);
        return r;
}

int contents_step(Store *s, int64_t *ret_done, int64_t *ret_left) {
        StoreContents *c = &s->contents;
        int r = c->marks ? 0 : begin(s);

        if (r == 0 && (c->event < s->last_seq || c->node < c->nodes))
                r = mark_more(s);
        if (r == 0 && c->event == s->last_seq && c->node == c->nodes)
                r = c->content < c->n ? sweep(s, ret_done) : sweep_digests(s);
        if (r < 0)
                return r;
        *ret_left = s->last_seq - c->event + c->nodes - c->node + c->n - c->content +
                    (int64_t) DIGESTS_SLICES - c->slice;
        if (c->slice == DIGESTS_SLICES) {
                contents_forget(s);
                *ret_left = 0;
        }
        return 0;
}
