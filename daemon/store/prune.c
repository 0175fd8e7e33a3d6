/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* The log says first that events up to a certain one may be gone: that event, and the number in table care,
 * are one transaction, sealed. What follows are steps that may stop anywhere: a row that is left is a row
 * that is left, and the next prune meets it again. Tiles are never touched.
 *
 * 1. events       those that may go (prune.h)
 * 2. nodes        that have been gone for as long, with the names that they had
 * 3. batches      in which no event is left
 * 4. contents     that nothing names any more (contents.c) */

enum {
        EVENTS_A_STEP = 2048,           /* that are looked at */
        NODES_A_STEP = 1024,
        BATCHES_A_STEP = 1024,
        THIN_A_STEP = 2048,
        THIN_LEAST = 256,               /* for less, the log says nothing */
        ROUNDS_MAX = 16,                /* of a step for nodes: a directory goes after what was in it */
};

#define THIN_AFTER_USEC (7 * 86400 * (int64_t) USEC_PER_SEC)

static int get(Store *s, StoreStatement which, int64_t a, int64_t b, int64_t c, sqlite3_stmt **ret) {
        int r = store_stmt(s, which, ret);

        if (r < 0)
                return r;
        sql_bind(*ret, 1, a);
        sql_bind(*ret, 2, b);
        if (sqlite3_bind_parameter_count(*ret) > 2)
                sql_bind(*ret, 3, c);
        return 0;
}

/* Rows that the statement deleted; or negative errno. */
static int remove_rows(Store *s, StoreStatement which, int64_t a, int64_t b, int64_t c) {
        sqlite3_stmt *stmt;
        int r = get(s, which, a, b, c, &stmt);

        if (r == 0)
                r = store_run(s, stmt);
        return r < 0 ? r : sqlite3_changes(s->sql.db);
}

/* An event of the log, and the row of care that verify starts from. */
static int say_so(Store *s, const char *what, const char *detail, int64_t upto) {
        Event e = { .kind = KIND_PRUNE, .origin = ORIGIN_LIVE, .first = s->realtime, .last = s->realtime };
        sqlite3_stmt *stmt;
        int64_t seq;
        int r;

        memcpy(e.boot, s->boot, EVENT_ID_SIZE);
        e.detail = BYTES_STR(detail);
        r = store_append(s, &e, &seq);
        if (r == 0)
                r = get(s, SQL_PRUNE_SAY, s->realtime, seq, upto, &stmt);
        if (r != 0)
                return r > 0 ? -ENOSPC : r;
        sql_bind_text(stmt, 4, what);
        return store_run(s, stmt);
}

int prune_begin(Store *s, int64_t upto) {
        char detail[32];

        if (upto < PRUNE_UNIT || upto % PRUNE_UNIT != 0 || upto > s->signer.size)
                return -EINVAL;
        s->prune.upto = upto;
        s->prune.event = s->prune.batch = 0;
        s->prune.node = s->next_node - 1;
        snprintf(detail, sizeof(detail), "%lld", (long long) upto);
        return say_so(s, STORE_CARE_PRUNE, detail, upto);
}

int prune_events(Store *s, int64_t *ret_done, int64_t *ret_left) {
        StorePrune *p = &s->prune;
        int64_t to = MIN_OF(p->event + EVENTS_A_STEP, p->upto);
        int n = remove_rows(s, SQL_PRUNE_EVENTS, p->event, to, p->upto);

        if (n < 0)
                return n;
        p->event = to;
        *ret_done = n;
        *ret_left = p->upto - to;
        return 0;
}

/* From the newest to the oldest: what is in a directory is mostly younger than it. The newest of all stays:
 * its id must not be given again. */
int prune_nodes(Store *s, int64_t *ret_done, int64_t *ret_left) {
        StorePrune *p = &s->prune;
        int64_t from = MAX_OF(p->node - NODES_A_STEP, 1);
        int n = 1, r = 0;

        for (int round = 0; r >= 0 && n > 0 && round < ROUNDS_MAX; round++) {
                n = remove_rows(s, SQL_PRUNE_NODES, from, p->node, p->upto);
                if (n > 0)
                        r = remove_rows(s, SQL_PRUNE_LINKS, from, p->node, 0);
                *ret_done += MAX_OF(n, 0);
        }
        if (r < 0 || n < 0)
                return r < 0 ? r : n;
        known_clear(s);
        p->node = from;
        *ret_left = from - 1;
        return 0;
}

int prune_batches(Store *s, int64_t *ret_done, int64_t *ret_left) {
        StorePrune *p = &s->prune;
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int64_t to;
        int n, r = get(s, SQL_PRUNE_BATCH_PAGE, p->batch, BATCHES_A_STEP, 0, &stmt);

        if (r == 0)
                r = sql_step(&s->sql, stmt);
        if (r < 0)
                return r;
        to = r > 0 ? sql_column(stmt, 0) : INT64_MAX;
        sqlite3_reset(stmt);
        n = remove_rows(s, SQL_PRUNE_BATCHES, p->batch, MIN_OF(to, p->upto), p->upto);
        if (n < 0)
                return n;
        *ret_done = n;
        *ret_left = to >= p->upto ? 0 : p->upto - to;
        p->batch = to;
        return 0;
}

/* Checkpoints: of each day but the last few the last one stays, and those that cover a key that took over. A
 * later one proves all that an earlier one did. */

static int number_of(Store *s, StoreStatement which, int64_t a, int64_t b, int64_t c, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = store_stmt(s, which, &stmt);

        for (int i = 1; r == 0 && i <= sqlite3_bind_parameter_count(stmt); i++)
                sql_bind(stmt, i, i == 1 ? a : i == 2 ? b : c);
        if (r == 0)
                r = sql_step(&s->sql, stmt);
        *ret = r > 0 ? sql_column(stmt, 0) : 0;
        return r < 0 ? r : 0;
}

static int thin_begin(Store *s) {
        StorePrune *p = &s->prune;
        int64_t upto = 0, before = s->realtime - THIN_AFTER_USEC;
        char detail[48];
        int r = number_of(s, SQL_THIN_DONE, 0, 0, 0, &p->thin);

        /* They come in the order of time, but for a clock that is set: it ends at a page without any. */
        for (int64_t at = p->thin, found = 1; r == 0 && found != 0; at += THIN_A_STEP) {
                r = number_of(s, SQL_THIN_UPTO, at, at + THIN_A_STEP, before, &found);
                upto = MAX_OF(upto, found);
        }
        if (r < 0 || upto < p->thin + THIN_LEAST)
                return r;
        snprintf(detail, sizeof(detail), "checkpoints %lld", (long long) upto);
        r = say_so(s, "thin", detail, upto);
        if (r == 0)
                p->thin_upto = upto;
        return r;
}

int prune_thin(Store *s, int64_t *ret_done, int64_t *ret_left) {
        StorePrune *p = &s->prune;
        int64_t to;
        int n, r = p->thin_upto == 0 ? thin_begin(s) : 0;

        if (r < 0 || p->thin_upto == 0)
                return r;
        to = MIN_OF(p->thin + THIN_A_STEP, p->thin_upto);
        n = remove_rows(s, SQL_THIN, p->thin, to, 0);
        if (n < 0)
                return n;
        p->thin = to;
        *ret_done = n;
        *ret_left = p->thin_upto - to;
        if (*ret_left == 0)
                p->thin_upto = 0;
        return 0;
}
