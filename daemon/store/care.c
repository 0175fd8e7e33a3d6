/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

int store_care(Store *s, const char *what, const char *result) {
        sqlite3_stmt *stmt;
        int r;

        assert(s && what && result);
        assert(s->in_transaction);
        r = store_stmt(s, SQL_CARE_PUT, &stmt);
        if (r < 0)
                return r;
        sql_bind_text(stmt, 1, what);
        sql_bind(stmt, 2, s->realtime);
        sql_bind_text(stmt, 3, result);
        sql_bind(stmt, 4, s->last_seq);
        r = store_run(s, stmt);
        if (r < 0)
                s->broken = r;
        return r;
}

int store_clock(Store *s, StoreClock *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Bytes boot;
        int r;

        assert(s && ret);
        r = store_stmt(s, SQL_CLOCK, &stmt);
        if (r == 0)
                r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        *ret = (StoreClock) { .sealed = sql_column(stmt, 0), .time = sql_column(stmt, 1),
                              .boottime = sql_column(stmt, 2), .doubted = !sql_is_null(stmt, 4),
                              .trusted = sql_column(stmt, 4), .stood = sql_column(stmt, 5) };
        boot = sql_column_bytes(stmt, 3);
        if (boot.size == EVENT_ID_SIZE)
                memcpy(ret->boot, boot.data, EVENT_ID_SIZE);
        return 0;
}

int store_doubt(Store *s, bool doubted, int64_t trusted, int64_t stood) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(s->in_transaction);
        r = store_stmt(s, SQL_DOUBT_PUT, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, trusted);
        sql_bind_text(stmt, 2, doubted ? "doubted" : "done");
        sql_bind(stmt, 3, s->last_seq);
        sql_bind(stmt, 4, stood);
        r = store_run(s, stmt);
        if (r < 0)
                s->broken = r;
        return r;
}

enum {
        ANALYZE_ROWS = 1000,            /* of each index that ANALYZE reads at most */
        VACUUM_PAGES = 64,              /* a step */
};

static int analyze(Store *s) {
        char text[64];

        snprintf(text, sizeof(text), "PRAGMA analysis_limit = %d; ANALYZE", ANALYZE_ROWS);
        return sql_exec(s->sql.db, text);
}

/* Free pages become those at the end of the file, which is cut by the commit. In a database that was made
 * without it (auto_vacuum) it does nothing. */
static int vacuum(Store *s, int64_t *ret_done, int64_t *ret_left) {
        int64_t before, after, size;
        char text[64];
        int r = sql_number(s->sql.db, "PRAGMA freelist_count", &before);

        snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
        if (r == 0)
                r = sql_exec(s->sql.db, text);
        if (r == 0)
                r = sql_number(s->sql.db, "PRAGMA freelist_count", &after);
        if (r == 0)
                r = sql_number(s->sql.db, "PRAGMA page_size", &size);
        if (r < 0)
                return r;
        *ret_done = MAX_OF(before - after, 0) * size;
        *ret_left = before > after ? after * size : 0;
        return 0;
}

/* Readers may be in the way: then the next one has more to do. */
static int checkpoint(Store *s, int64_t *ret_done) {
        int pages = 0, done = 0, rc;
        int64_t size;
        int r = sql_number(s->sql.db, "PRAGMA page_size", &size);

        if (r < 0)
                return r;
        rc = sqlite3_wal_checkpoint_v2(s->sql.db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
        if (rc == SQLITE_OK)
                rc = sqlite3_wal_checkpoint_v2(s->sql.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        *ret_done = (int64_t) done * size;
        return (rc & 0xff) == SQLITE_BUSY ? 0 : sql_errno(s->sql.db, rc);
}

static int take(Store *s, StoreStep step, int64_t argument, int64_t *ret_done, int64_t *ret_left) {
        switch (step) {
        case STORE_STEP_ANALYZE:
                return analyze(s);
        case STORE_STEP_VACUUM:
                return vacuum(s, ret_done, ret_left);
        case STORE_STEP_CHECKPOINT:
                return checkpoint(s, ret_done);
        case STORE_STEP_PRUNE:
                return prune_begin(s, argument);
        case STORE_STEP_PRUNE_EVENTS:
                return prune_events(s, ret_done, ret_left);
        case STORE_STEP_PRUNE_NODES:
                return prune_nodes(s, ret_done, ret_left);
        case STORE_STEP_PRUNE_BATCHES:
                return prune_batches(s, ret_done, ret_left);
        case STORE_STEP_PRUNE_CONTENTS:
                return contents_step(s, ret_done, ret_left);
        case STORE_STEP_THIN:
                return prune_thin(s, ret_done, ret_left);
        }
        return -EINVAL;
}

int store_step(Store *s, StoreStep step, int64_t argument, int64_t *ret_done, int64_t *ret_left) {
        int r;

        assert(s && ret_done && ret_left);
        assert(s->in_transaction == (step != STORE_STEP_CHECKPOINT));
        *ret_done = *ret_left = 0;
        if (s->broken < 0)
                return s->broken;
        r = s->in_transaction ? bulk_flush(s) : 0;
        if (r == 0)
                r = take(s, step, argument, ret_done, ret_left);
        if (r < 0 && s->in_transaction)
                s->broken = r;
        return r;
}
