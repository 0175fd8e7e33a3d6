/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <strings.h>

#include "daemon/query/private.h"

enum { PROGRESS_OPS = 1000 };

static const char *const statements[] = {
#define QUERY_STATEMENT_TEXT(name, text) text,
        QUERY_STATEMENTS(QUERY_STATEMENT_TEXT)
};

void buffer_done(Buffer *b) {
        free(b->data);
        *b = (Buffer) { 0 };
}

int buffer_add(Buffer *b, const void *data, size_t size) {
        if (b->max - b->size < size + 1) {
                size_t max = MAX_OF(2 * b->max, b->size + size + 256);
                uint8_t *p = realloc(b->data, max);

                if (!p)
                        return -ENOMEM;
                b->data = p;
                b->max = max;
        }
        if (size > 0)
                memcpy(b->data + b->size, data, size);
        b->size += size;
        return 0;
}

static int on_progress(void *userdata) {
        return call_check(userdata) < 0;
}

/* A private copy may have a -wal of its own, for which SQLite must be able to write beside it;
 * nothing else does. */
static int open_database(const char *path, bool offline, sqlite3 **ret) {
        int flags = offline ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
        int64_t application = 0, form = 0;
        sqlite3 *db = NULL;
        int r;

        r = sqlite3_open_v2(path, &db,
                            flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                            "unix-excl");
        r = sql_errno(db, r);
        if (r == 0) {
                sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
                sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
                /* Else a statement is compiled again for each value that a partial index might be for. */
                sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
                sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
                r = sql_exec(db, "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                                 "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000");
        }
        if (r == 0)
                r = sql_number(db, "PRAGMA application_id", &application);
        if (r == 0)
                r = sql_number(db, "PRAGMA user_version", &form);
        if (r == 0 && (application != STORE_APPLICATION_ID || form != STORE_FORM))
                r = -EMEDIUMTYPE;
        if (r < 0) {
                sqlite3_close(db);
                return r;
        }
        *ret = db;
        return 0;
}

int query_open(const char *path, bool offline, Query **ret) {
        sqlite3 *db = NULL;
        Query *q;
        int r;

        assert(path);
        assert(ret);

        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->path = strdup(path);
        q->paths = calloc(PATH_CACHE_SIZE, sizeof(*q->paths));
        r = q->path && q->paths ? open_database(path, offline, &db) : -ENOMEM;
        if (r == 0)
                r = sql_init(&q->sql, db, statements, ELEMENTS(statements));
        if (r < 0) {
                sqlite3_close(q->sql.db ? NULL : db);
                query_close(q);
                return r;
        }
        sqlite3_progress_handler(db, PROGRESS_OPS, on_progress, q);
        *ret = q;
        return 0;
}

static void dataset_free(Dataset *d) {
        free(d->name);
        free(d->root);
        free(d->head);
        free(d);
}

static void forget_datasets(Query *q) {
        for (size_t i = 0; i < q->n_datasets; i++)
                dataset_free(q->datasets[i]);
        free(q->datasets);
        q->datasets = NULL;
        q->n_datasets = 0;
}

Query *query_close(Query *q) {
        if (!q)
                return NULL;
        sql_done(&q->sql);
        forget_datasets(q);
        for (size_t i = 0; q->paths && i < PATH_CACHE_SIZE; i++)
                buffer_done(&q->paths[i].path);
        free(q->paths);
        buffer_done(&q->row_path);
        buffer_done(&q->row_old_path);
        buffer_done(&q->scratch);
        free(q->path);
        free(q);
        return NULL;
}

bool query_is_stale(const Query *q) {
        assert(q);
        return sql_moved(q->sql.db);
}

void query_deadline(Query *q, int64_t usec) {
        assert(q);
        q->deadline = usec > 0 ? now_usec(CLOCK_MONOTONIC) + usec : 0;
}

void query_cancel(Query *q) {
        assert(q);
        atomic_store(&q->cancelled, true);
}

void query_release(Query *q) {
        assert(q);
        for (sqlite3_stmt *stmt = NULL; (stmt = sqlite3_next_stmt(q->sql.db, stmt));)
                if (sqlite3_stmt_busy(stmt))
                        sqlite3_reset(stmt);
        q->released = true;
}

int call_check(Query *q) {
        if (atomic_load(&q->cancelled))
                return -ECANCELED;
        return q->deadline != 0 && now_usec(CLOCK_MONOTONIC) >= q->deadline ? -ECANCELED : 0;
}

int query_stmt(Query *q, QueryStatement which, sqlite3_stmt **ret) {
        return sql_get(&q->sql, which, ret);
}

int query_step(Query *q, sqlite3_stmt *stmt) {
        return sql_step(&q->sql, stmt);
}

int query_row(Query *q, QueryStatement which, int64_t argument, sqlite3_stmt **ret) {
        int r;

        r = query_stmt(q, which, ret);
        if (r < 0)
                return r;
        sql_bind(*ret, 1, argument);
        return query_step(q, *ret);
}

int query_one(Query *q, sqlite3_stmt *stmt, int64_t *ret) {
        int r;

        r = query_step(q, stmt);
        if (r < 0)
                return r;
        *ret = r > 0 ? sql_column(stmt, 0) : 0;
        sqlite3_reset(stmt);
        return 0;
}

int last_seq(Query *q, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        r = query_stmt(q, QUERY_SQL_LAST_SEQ, &stmt);
        return r < 0 ? r : query_one(q, stmt, ret);
}

static void format_uuid(const uint8_t id[EVENT_ID_SIZE], char ret[37]) {
        char *p = ret;

        for (int i = 0; i < EVENT_ID_SIZE; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *p++ = '-';
                p += snprintf(p, 3, "%02x", id[i]);
        }
}

static int read_dataset(Query *q, sqlite3_stmt *stmt) {
        Bytes uuid = sql_column_bytes(stmt, 1), root = sql_column_bytes(stmt, 3);
        Dataset **list, *d;

        list = reallocarray(q->datasets, q->n_datasets + 1, sizeof(Dataset *));
        if (!list)
                return -ENOMEM;
        q->datasets = list;
        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        list[q->n_datasets++] = d;
        *d = (Dataset) {
                .id = sql_column(stmt, 0),
                .kind = (DatasetKind) sql_column(stmt, 4),
                .root_node = sql_column(stmt, 5),
                .added = sql_column(stmt, 6),
                .removed = sql_column(stmt, 7),
                .root_size = root.size,
                .commit_from = INT64_MAX,
        };
        memcpy(d->id128, uuid.data, EVENT_ID_SIZE);
        format_uuid(d->id128, d->uuid);
        d->name = strdup((const char *) sqlite3_column_text(stmt, 2));
        d->root = malloc(root.size + 1);
        d->head = sql_is_null(stmt, 8) ? NULL : strdup((const char *) sqlite3_column_text(stmt, 8));
        if (!d->name || !d->root || (!d->head && !sql_is_null(stmt, 8)))
                return -ENOMEM;
        memcpy(d->root, root.data, root.size);
        d->root[root.size] = 0;
        return 0;
}

int query_datasets_load(Query *q) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_stmt(q, QUERY_SQL_DATASETS, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, q->n_datasets > 0 ? q->datasets[q->n_datasets - 1]->id : 0);
        while ((r = query_step(q, stmt)) > 0) {
                r = read_dataset(q, stmt);
                if (r < 0)
                        return r;
        }
        return r;
}

int call_begin(Query *q) {
        atomic_store(&q->cancelled, false);
        forget_datasets(q);
        memset(q->tiles, 0, sizeof(q->tiles));
        return query_datasets_load(q);
}

int call_end(Query *q, int r) {
        q->deadline = 0;
        if (r == -ECANCELED)
                return QUERY_E_DEADLINE;
        return r == QUERY_STOPPED ? 0 : r;
}

Dataset *dataset_get(Query *q, int64_t id) {
        for (size_t i = 0; i < q->n_datasets; i++)
                if (q->datasets[i]->id == id)
                        return q->datasets[i];
        return NULL;
}

bool dataset_begins(const Query *q, int64_t node) {
        for (size_t i = 0; i < q->n_datasets; i++) {
                const Dataset *d = q->datasets[i];

                if (d->root_node == node && d->removed == 0 && !d->later)
                        return true;
        }
        return false;
}

Dataset *query_dataset_find(Query *q, const char *name) {
        for (size_t i = 0; i < q->n_datasets; i++)
                if (q->datasets[i]->removed == 0 && strcmp(q->datasets[i]->name, name) == 0)
                        return q->datasets[i];
        for (size_t i = 0; i < q->n_datasets; i++)
                if (strcasecmp(q->datasets[i]->uuid, name) == 0)
                        return q->datasets[i];
        return NULL;
}
