/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/reader.h"
#include "daemon/store/sql.h"

enum { EVENTS, BATCH, NEXT_BATCH, ATTRS, DATASETS, STATEMENTS };

static const char *const texts[STATEMENTS] = {
        [EVENTS] =
                "SELECT e.seq, e.ago, e.span, e.dataset, e.what, e.node, e.parent, e.name, e.inode, e.lived,"
                " e.attr, e.size, e.age, e.content, e.target, e.rest, e.detail, c.digest"
                " FROM event AS e LEFT JOIN content AS c ON c.id = e.content"
                " WHERE e.seq > ?1 ORDER BY e.seq",
        [BATCH] = "SELECT b.first_seq, b.time, o.uuid FROM batch AS b CROSS JOIN boot AS o ON o.id = b.boot"
                  " WHERE b.first_seq <= ?1 ORDER BY b.first_seq DESC LIMIT 1",
        [NEXT_BATCH] = "SELECT ifnull(min(first_seq), 9223372036854775807) FROM batch WHERE first_seq > ?1",
        [ATTRS] = "SELECT id, type, mode, uid, gid FROM attr WHERE id > ?1 ORDER BY id",
        [DATASETS] = "SELECT id, uuid FROM dataset WHERE id > ?1 ORDER BY id",
};

typedef struct Attr { /* rows[id - 1] */
        bool there;
        Type type;
        uint32_t mode, uid, gid;
} Attr;

typedef struct DatasetId {
        bool there;
        uint8_t uuid[EVENT_ID_SIZE];
} DatasetId;

enum { IDS_MAX = 1 << 24 }; /* of either: a greater one is damage */

struct Reader {
        sqlite3 *db;
        sqlite3_stmt *stmts[STATEMENTS];
        int64_t after;
        bool running; /* EVENTS has been bound */
        int64_t batch_first, batch_next, batch_time;
        uint8_t batch_boot[EVENT_ID_SIZE];
        Attr *attrs;
        DatasetId *datasets;
        size_t n_attrs, n_datasets;
};

int reader_new(sqlite3 *db, Reader **ret) {
        Reader *r = calloc(1, sizeof(*r));

        assert(db && ret);
        if (!r)
                return -ENOMEM;
        r->db = db;
        *ret = r;
        return 0;
}

Reader *reader_free(Reader *r) {
        if (!r)
                return NULL;
        for (int i = 0; i < STATEMENTS; i++)
                sqlite3_finalize(r->stmts[i]);
        free(r->attrs);
        free(r->datasets);
        free(r);
        return NULL;
}

void reader_seek(Reader *r, int64_t after) {
        sqlite3_reset(r->stmts[EVENTS]);
        r->running = false;
        r->after = after;
        r->batch_first = r->batch_next = 0;
}

static int ready(Reader *r, int which, int64_t argument, sqlite3_stmt **ret) {
        int rc = SQLITE_OK;

        if (!r->stmts[which])
                rc = sqlite3_prepare_v3(r->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &r->stmts[which],
                                        NULL);
        if (rc != SQLITE_OK)
                return sql_errno(r->db, rc);
        *ret = r->stmts[which];
        sqlite3_reset(*ret);
        sql_bind(*ret, 1, argument);
        return 0;
}

/* 1: a row, 0: none, -errno */
static int step(Reader *r, sqlite3_stmt *stmt) {
        int rc = sqlite3_step(stmt);

        return rc == SQLITE_ROW ? 1 : sql_errno(r->db, rc);
}

static int load_batch(Reader *r, int64_t seq) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        CLEANUP(sql_resetp) sqlite3_stmt *next = NULL;
        Bytes boot;
        int n;

        if (r->batch_first != 0 && seq >= r->batch_first && seq < r->batch_next)
                return READER_EVENT;
        n = ready(r, BATCH, seq, &stmt);
        if (n == 0)
                n = step(r, stmt);
        if (n <= 0)
                return n < 0 ? n : READER_DAMAGED;
        boot = sql_column_bytes(stmt, 2);
        if (boot.size != EVENT_ID_SIZE)
                return READER_DAMAGED;
        memcpy(r->batch_boot, boot.data, EVENT_ID_SIZE);
        r->batch_first = sql_column(stmt, 0);
        r->batch_time = sql_column(stmt, 1);
        n = ready(r, NEXT_BATCH, seq, &next);
        if (n == 0)
                n = step(r, next);
        if (n < 0)
                return n;
        r->batch_next = sql_column(next, 0);
        return READER_EVENT;
}

static void *grow(void *rows, size_t *n, int64_t id, size_t size) {
        size_t want = (size_t) id;
        char *p = reallocarray(rows, want, size);

        if (!p)
                return NULL;
        memset(p + *n * size, 0, (want - *n) * size);
        *n = want;
        return p;
}

static int take_attr(Reader *r, sqlite3_stmt *stmt) {
        int64_t id = sql_column(stmt, 0);
        Attr *attrs;

        if (id <= (int64_t) r->n_attrs || id > IDS_MAX)
                return 0;
        attrs = grow(r->attrs, &r->n_attrs, id, sizeof(*attrs));
        if (!attrs)
                return -ENOMEM;
        r->attrs = attrs;
        attrs[id - 1] = (Attr) { true, (Type) sql_column(stmt, 1), (uint32_t) sql_column(stmt, 2),
                                 (uint32_t) sql_column(stmt, 3), (uint32_t) sql_column(stmt, 4) };
        return 0;
}

static int take_dataset(Reader *r, sqlite3_stmt *stmt) {
        int64_t id = sql_column(stmt, 0);
        Bytes uuid = sql_column_bytes(stmt, 1);
        DatasetId *datasets;

        if (id <= (int64_t) r->n_datasets || id > IDS_MAX || uuid.size != EVENT_ID_SIZE)
                return 0;
        datasets = grow(r->datasets, &r->n_datasets, id, sizeof(*datasets));
        if (!datasets)
                return -ENOMEM;
        r->datasets = datasets;
        datasets[id - 1].there = true;
        memcpy(datasets[id - 1].uuid, uuid.data, EVENT_ID_SIZE);
        return 0;
}

/* Rows are only ever added: those behind the last that is known. */
static int load_rows(Reader *r, int which, size_t n, int (*take)(Reader *r, sqlite3_stmt *stmt)) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int k = ready(r, which, (int64_t) n, &stmt);

        while (k == 0 && (k = step(r, stmt)) > 0)
                k = take(r, stmt);
        return k;
}

static int find_attr(Reader *r, int64_t id, const Attr **ret) {
        int k = 0;

        if (id > (int64_t) r->n_attrs)
                k = load_rows(r, ATTRS, r->n_attrs, take_attr);
        if (k < 0)
                return k;
        if (id < 1 || id > (int64_t) r->n_attrs || !r->attrs[id - 1].there)
                return READER_DAMAGED;
        *ret = &r->attrs[id - 1];
        return READER_EVENT;
}

static int find_dataset(Reader *r, int64_t id, uint8_t ret[static EVENT_ID_SIZE]) {
        int k = 0;

        if (id > (int64_t) r->n_datasets)
                k = load_rows(r, DATASETS, r->n_datasets, take_dataset);
        if (k < 0)
                return k;
        if (id < 1 || id > (int64_t) r->n_datasets || !r->datasets[id - 1].there)
                return READER_DAMAGED;
        memcpy(ret, r->datasets[id - 1].uuid, EVENT_ID_SIZE);
        return READER_EVENT;
}

/* The columns that need no other row. */
static int read_plain(sqlite3_stmt *stmt, Event *e) {
        event_take_what(e, sql_column(stmt, 4));
        e->node = sql_column(stmt, 5);
        e->parent = sql_column(stmt, 6);
        e->name = sql_column_bytes(stmt, 7);
        e->introduces = !sql_is_null(stmt, 8);
        e->inode = (uint64_t) sql_column(stmt, 8);
        if (e->introduces)
                e->btime = event_btime(sql_column(stmt, 9), e->mtime);
        e->target = sql_column_bytes(stmt, 14);
        e->detail = sql_column_bytes(stmt, 16);
        e->digest = sql_column_bytes(stmt, 17);
        return event_take_rest(e, sql_column_bytes(stmt, 15)) < 0 ? READER_DAMAGED : READER_EVENT;
}

static int read_state(Reader *r, sqlite3_stmt *stmt, Event *e) {
        const Attr *attr;
        int k;

        if (sql_is_null(stmt, 10))
                return READER_EVENT;
        k = find_attr(r, sql_column(stmt, 10), &attr);
        if (k != READER_EVENT)
                return k;
        e->has_state = true;
        e->type = attr->type;
        e->mode = attr->mode;
        e->uid = attr->uid;
        e->gid = attr->gid;
        e->size = sql_column(stmt, 11);
        if (!sql_is_null(stmt, 12))
                e->mtime = (int64_t) ((uint64_t) e->last * NSEC_PER_USEC - (uint64_t) sql_column(stmt, 12));
        return READER_EVENT;
}

static int read_row(Reader *r, sqlite3_stmt *stmt, Event *e) {
        int k = load_batch(r, e->seq);

        if (k != READER_EVENT)
                return k;
        e->last = (int64_t) ((uint64_t) r->batch_time - (uint64_t) sql_column(stmt, 1));
        e->first = (int64_t) ((uint64_t) e->last - (uint64_t) sql_column(stmt, 2));
        memcpy(e->boot, r->batch_boot, EVENT_ID_SIZE);
        e->dataset = sql_column(stmt, 3);
        if (e->dataset != 0)
                k = find_dataset(r, e->dataset, e->dataset_uuid);
        if (k == READER_EVENT)
                k = read_state(r, stmt, e);
        if (k == READER_EVENT)
                k = read_plain(stmt, e);
        if (k == READER_EVENT && !sql_is_null(stmt, 13) && e->digest.size != EVENT_DIGEST_SIZE)
                return READER_DAMAGED;
        return k;
}

int reader_next(Reader *r, Event *ret) {
        Event e = { 0 };
        sqlite3_stmt *stmt = r->stmts[EVENTS];
        int k = 0;

        assert(ret);
        if (!r->running)
                k = ready(r, EVENTS, r->after, &stmt);
        r->running = true;
        if (k == 0)
                k = step(r, stmt);
        if (k <= 0) {
                reader_seek(r, r->after);
                return k;
        }
        e.seq = sql_column(stmt, 0);
        r->after = e.seq;
        k = read_row(r, stmt, &e);
        if (k > 0)
                *ret = e;
        return k;
}
