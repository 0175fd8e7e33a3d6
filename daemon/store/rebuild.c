/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"
#include "daemon/store/rebuild.h"

enum { SLICE = 20000 }; /* events a transaction */

/* What no event says is taken over: which file systems there are, and of a dataset its kind and file system.
 * */
static int take_filesystems(sqlite3 *from, Store *s) {
        sqlite3_stmt *get = NULL, *put = NULL;
        int rc;

        rc = sqlite3_prepare_v2(from, "SELECT id, uuid, type, root_inode, root_btime FROM filesystem", -1,
                                &get, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_prepare_v2(s->sql.db, "INSERT INTO filesystem VALUES (?1, ?2, ?3, ?4, ?5)", -1,
                                        &put, NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(get)) == SQLITE_ROW) {
                for (int i = 0; i < 5; i++)
                        sqlite3_bind_value(put, i + 1, sqlite3_column_value(get, i));
                rc = sqlite3_step(put);
                rc = rc == SQLITE_DONE ? sqlite3_reset(put) : rc;
        }
        sqlite3_finalize(put);
        sqlite3_finalize(get);
        return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static int dataset_is_there(Store *s, int64_t dataset, bool *ret) {
        StoreSums *sums;
        int r = sums_find(s, dataset, &sums);

        *ret = r == 0;
        return r < 0 ? r : 0;
}

/* The row of a dataset whose first dataset-add is to be applied. */
static int make_dataset(sqlite3 *from, Store *s, const Event *e) {
        const uint8_t *nul = e->detail.data ? memchr(e->detail.data, 0, e->detail.size) : NULL;
        CLEANUP(freep) char *name = nul ? strdup((const char *) e->detail.data) : NULL;
        sqlite3_stmt *stmt = NULL;
        StoreDataset d = { .name = name };
        StoreNode root = { 0 };
        int r, rc;

        if (!nul)
                return -EBADMSG;
        if (!name)
                return -ENOMEM;
        memcpy(d.uuid, e->dataset_uuid, EVENT_ID_SIZE);
        d.root = (uint8_t *) (uintptr_t) (nul + 1);
        d.root_size = e->detail.size - (size_t) (nul + 1 - e->detail.data);
        rc = sqlite3_prepare_v2(from, "SELECT kind, filesystem FROM dataset WHERE id = ?1", -1, &stmt, NULL);
        if (rc == SQLITE_OK) {
                sql_bind(stmt, 1, e->dataset);
                rc = sqlite3_step(stmt);
        }
        if (rc == SQLITE_ROW) {
                d.kind = (DatasetKind) sql_column(stmt, 0);
                d.filesystem = sql_column(stmt, 1);
        }
        sqlite3_finalize(stmt);
        if (rc != SQLITE_ROW)
                return -EBADMSG;
        root.inode = e->inode;
        root.btime = e->btime;
        r = e->introduces ? 0 : store_node_get(s, e->node, &root);
        if (r == 0)
                r = store_dataset_add(s, &d, root.inode, root.btime);
        store_node_done(&root);
        return r != 0 ? (r < 0 ? r : -EBADMSG) : d.id == e->dataset && d.root_node == e->node ? 0 : -EBADMSG;
}

static int apply(sqlite3 *from, Store *s, Event *e) {
        bool there = true;
        int64_t seq = e->seq;
        int r = 0;

        if (e->kind == KIND_DATASET_ADD)
                r = dataset_is_there(s, e->dataset, &there);
        if (r == 0 && !there)
                r = make_dataset(from, s, e);
        if (r == 0)
                r = store_append(s, e, NULL);
        if (r == -EINVAL || r == -EEXIST)
                return -EBADMSG;
        return r > 0 ? -ENOSPC : r < 0 ? r : e->seq == seq ? 0 : -EBADMSG;
}

/* One transaction. *ret_more: there may be others. */
static int apply_some(sqlite3 *from, Reader *reader, Store *s, bool *ret_more) {
        static const uint8_t boot[EVENT_ID_SIZE];
        int n = 0, k = READER_EVENT, r;
        Event e;

        r = store_begin(s, now_usec(CLOCK_REALTIME), 0, boot);
        while (r == 0 && n++ < SLICE && (k = reader_next(reader, &e)) == READER_EVENT)
                r = e.seq == store_last_seq(s) + 1 ? apply(from, s, &e) : -EBADMSG;
        if (r == 0 && k != READER_EVENT)
                r = k == READER_DAMAGED ? -EBADMSG : k;
        *ret_more = k == READER_EVENT;
        if (r != 0)
                return r;
        r = store_commit(s);
        return r > 0 ? -EIO : r;
}

/* How long an event waited until it was stored, only its batch says, and here all are of now. */
static int take_late(sqlite3 *from, Store *s) {
        sqlite3_stmt *get = NULL, *put = NULL;
        int rc = SQLITE_DONE, r;

        r = sql_errno(from, sqlite3_prepare_v2(from,
                                               "SELECT seq / ?1, sum(DISTINCT 1 << kind) FROM event"
                                               " WHERE ago >= ?2 GROUP BY 1",
                                               -1, &get, NULL));
        if (r == 0)
                r = sql_errno(s->sql.db,
                              sqlite3_prepare_v2(s->sql.db, "INSERT INTO span VALUES (?1, ?2, ?3)", -1, &put,
                                                 NULL));
        sql_bind(get, 1, STORE_SPAN);
        sql_bind(get, 2, STORE_LATE_USEC);
        sql_bind(put, 1, STORE_SPAN_LATE);
        while (r == 0 && (rc = sqlite3_step(get)) == SQLITE_ROW) {
                sql_bind(put, 2, sql_column(get, 0));
                sql_bind(put, 3, sql_column(get, 1));
                r = sql_errno(s->sql.db, sqlite3_step(put));
                sqlite3_reset(put);
        }
        if (r == 0)
                r = sql_errno(from, rc);
        sqlite3_finalize(get);
        sqlite3_finalize(put);
        return r;
}

int rebuild(sqlite3 *from, const char *dir, RebuildProgress progress, void *userdata, Store **ret,
            int64_t *ret_seq) {
        CLEANUP(reader_freep) Reader *reader = NULL;
        CLEANUP(store_closep) Store *s = NULL;
        bool more = true;
        int r;

        assert(from && dir && ret && ret_seq);
        *ret_seq = 0;
        r = store_open(dir, &s);
        if (r == 0)
                r = sql_exec(s->sql.db, "PRAGMA synchronous = OFF");
        if (r == 0)
                r = reader_new(from, &reader);
        if (r == 0)
                r = take_filesystems(from, s);
        while (r == 0 && more) {
                r = apply_some(from, reader, s, &more);
                if (r == 0 && progress && progress(userdata, store_last_seq(s)) != 0)
                        r = -ECANCELED;
        }
        if (s)
                *ret_seq = store_last_seq(s);
        if (r == 0)
                r = sql_exec(s->sql.db, "DELETE FROM span WHERE dataset = -3");
        if (r == 0)
                r = take_late(from, s);
        if (r != 0)
                return r > 0 ? -EIO : r;
        *ret = STEAL(s);
        return 0;
}

/* Comparing. Ids of attr and content are the database's own affair: what they stand for is compared. */

typedef struct Projection {
        const char *table, *sql;
        int keys; /* the first columns, by which the rows are in order */
} Projection;

#define NODE_BUT_IDENTITY                                                                                   \
        " n.born, n.seq, a.type, a.mode, a.uid, a.gid, n.size, n.mtime, c.digest, n.digest_source,"         \
        " n.links, n.target FROM node AS n LEFT JOIN attr AS a ON a.id = n.attr LEFT JOIN content AS c"     \
        " ON c.id = n.content ORDER BY n.id"

/* Of a tree that was found again under other identities (a rehome without an old name), no event says which
 * nodes have which: the identity is a hint for the next comparison by then, and not compared. */
static const Projection without_identity = { "node", "SELECT n.id," NODE_BUT_IDENTITY, 1 };

static const Projection projections[] = {
        { "node", "SELECT n.id, n.filesystem, n.inode, n.btime," NODE_BUT_IDENTITY, 1 },
        { "link", "SELECT parent, until, name, node, since, dataset FROM link ORDER BY parent, until, name",
          3 },
        { "gap", "SELECT id, dataset, node, cause, since, until, closed_by FROM gap ORDER BY id", 1 },
        { "counter",
          "SELECT dataset, files, bytes FROM counter WHERE files <> 0 OR bytes <> 0 ORDER BY dataset", 1 },
        { "span", "SELECT dataset, block, kinds FROM span ORDER BY dataset, block", 2 },
        { "trail", "SELECT level, idx, directory, data FROM trail ORDER BY level, idx, directory", 3 },
        { "dataset", "SELECT id, uuid, name, root, root_node, added, removed, head FROM dataset ORDER BY id",
          1 },
};

static int compare_cell(sqlite3_stmt *a, sqlite3_stmt *b, int i) {
        int type = sqlite3_column_type(a, i), size, other, n;

        if (type != sqlite3_column_type(b, i))
                return type < sqlite3_column_type(b, i) ? -1 : 1;
        if (type == SQLITE_NULL)
                return 0;
        if (type == SQLITE_INTEGER)
                return sql_column(a, i) < sql_column(b, i) ? -1 : sql_column(a, i) > sql_column(b, i);
        size = sqlite3_column_bytes(a, i);
        other = sqlite3_column_bytes(b, i);
        n = memcmp(sqlite3_column_blob(a, i) ?: "", sqlite3_column_blob(b, i) ?: "",
                   (size_t) MIN_OF(size, other));
        return n != 0 ? n : size - other;
}

static int compare_cells(sqlite3_stmt *a, sqlite3_stmt *b, int from, int to) {
        int n = 0;

        for (int i = from; n == 0 && i < to; i++)
                n = compare_cell(a, b, i);
        return n;
}

static void tell(const Projection *p, sqlite3_stmt *row, RebuildFn fn, void *userdata) {
        char key[128];
        int n = 0;

        for (int i = 0; i < p->keys && n < (int) sizeof(key); i++)
                if (sqlite3_column_type(row, i) == SQLITE_INTEGER)
                        n += snprintf(key + n, sizeof(key) - (size_t) n, "%s%lld", n > 0 ? ", " : "",
                                      (long long) sql_column(row, i));
        fn(userdata, p->table, key);
}

/* Both in the order of their keys, side by side. */
static int compare_table(const Projection *p, sqlite3 *db, sqlite3 *other, RebuildFn fn, void *userdata,
                         int64_t *count) {
        sqlite3_stmt *a = NULL, *b = NULL;
        int ra = SQLITE_ROW, rb = SQLITE_ROW, n = 0, r = 0;
        int64_t before = *count;

        if (sqlite3_prepare_v2(db, p->sql, -1, &a, NULL) != SQLITE_OK ||
            sqlite3_prepare_v2(other, p->sql, -1, &b, NULL) != SQLITE_OK)
                r = -EBADMSG;
        while (r == 0) {
                ra = n <= 0 ? sqlite3_step(a) : ra;
                rb = n >= 0 ? sqlite3_step(b) : rb;
                r = sql_errno(db, ra);
                if (r == 0)
                        r = sql_errno(other, rb);
                if (r < 0 || (ra != SQLITE_ROW && rb != SQLITE_ROW))
                        break;
                n = ra != SQLITE_ROW ? 1 : rb != SQLITE_ROW ? -1 : compare_cells(a, b, 0, p->keys);
                if (n == 0 && compare_cells(a, b, p->keys, sqlite3_column_count(a)) == 0)
                        continue;
                if ((*count)++ == before)
                        tell(p, n <= 0 ? a : b, fn, userdata);
        }
        sqlite3_finalize(a);
        sqlite3_finalize(b);
        return r;
}

int rebuild_compare(sqlite3 *db, Store *anew, RebuildFn fn, void *userdata, int64_t *ret_n) {
        int64_t rehomed = 0;
        bool digests_sound = false;
        int r;

        *ret_n = 0;
        r = sql_number(db, "SELECT count(*) FROM event WHERE kind = 10 AND detail IS NULL", &rehomed);
        if (r == 0)
                r = compare_table(rehomed > 0 ? &without_identity : &projections[0], db, anew->sql.db, fn,
                                  userdata, ret_n);
        for (size_t i = 1; r == 0 && i < ELEMENTS(projections); i++)
                r = compare_table(&projections[i], db, anew->sql.db, fn, userdata, ret_n);
        if (r == 0)             /* the ids of contents are this database's own */
                r = digests_check(db, &digests_sound);
        if (r == 0 && !digests_sound && (*ret_n)++ >= 0)
                fn(userdata, "digest", "");
        return r;
}
