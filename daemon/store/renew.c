/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"
#include "daemon/store/rebuild.h"
#include "daemon/store/renew.h"

/* The record, and what stands beside it; in an order in which what is referred to is there. */
static const char *const copied[] = {
        "filesystem", "dataset", "boot", "batch", "attr", "content", "event",
        "tile_head",  "tile_tail", "checkpoint", "care", "run", "series", "chunk",
};
/* What follows from it, but for nodes; the same in any store. */
static const char *const made[] = { "link", "gap", "counter", "span", "trail", "wanted" };

static void finalizep(sqlite3_stmt **stmt) {
        sqlite3_finalize(*stmt);
}

static int prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret) {
        return sql_errno(db, sqlite3_prepare_v2(db, text, -1, ret, NULL));
}

/* "INSERT INTO t VALUES (?, ?, ...)" for all its columns. */
static int prepare_insert(sqlite3 *db, const char *table, int columns, sqlite3_stmt **ret) {
        char text[512];
        int n = snprintf(text, sizeof(text), "INSERT INTO %s VALUES (?", table);

        for (int i = 1; i < columns && n < (int) sizeof(text) - 8; i++)
                n += snprintf(text + n, sizeof(text) - (size_t) n, ", ?");
        snprintf(text + n, sizeof(text) - (size_t) n, ")");
        return prepare(db, text, ret);
}

static int put(sqlite3 *db, sqlite3_stmt *stmt) {
        int rc = sqlite3_step(stmt), r = sql_errno(db, rc);

        sqlite3_reset(stmt);
        return r == -EEXIST || r == -EINVAL ? -EBADMSG : r;     /* such a row is no row of the record */
}

/* NOT INDEXED: by the table alone, since indexes may be damaged. Columns that are generated from others are
 * the last of a table, and no part of pragma_table_info. */
static int copy_table(sqlite3 *from, sqlite3 *to, const char *table) {
        CLEANUP(finalizep) sqlite3_stmt *get = NULL, *insert = NULL;
        int64_t columns = 0;
        char text[128];
        int rc = SQLITE_DONE, r;

        snprintf(text, sizeof(text), "SELECT * FROM %s NOT INDEXED", table);
        r = prepare(from, text, &get);
        snprintf(text, sizeof(text), "SELECT count(*) FROM pragma_table_info('%s')", table);
        if (r == 0)
                r = sql_number(to, text, &columns);
        if (r == 0)
                r = prepare_insert(to, table, (int) columns, &insert);
        while (r == 0 && (rc = sqlite3_step(get)) == SQLITE_ROW) {
                for (int i = 0; i < columns; i++)
                        sqlite3_bind_value(insert, i + 1, sqlite3_column_value(get, i));
                r = put(to, insert);
        }
        return r == 0 ? sql_errno(from, rc) : r;
}

/* What no event says of a node: the identity that it had last, and what is remembered of its ctime. A row
 * that cannot be read is none. */
static void take_hints(sqlite3_stmt *old, int64_t id, sqlite3_stmt *insert) {
        sql_bind(old, 1, id);
        if (sqlite3_step(old) == SQLITE_ROW)
                for (int i = 0; i < 4; i++)
                        sqlite3_bind_value(insert, i == 3 ? 15 : i + 2, sqlite3_column_value(old, i));
        sqlite3_reset(old);
}

/* The ids of attr and content are each database's own. */
static int take_content(Store *to, sqlite3_stmt *row, int column, sqlite3_stmt *insert) {
        Bytes digest = sql_column_bytes(row, column);
        int64_t id = 0;
        int r;

        if (!digest.data)
                return 0;
        r = digest.size == EVENT_DIGEST_SIZE ? digests_get(to->digests, digest.data, &id) : 0;
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        sql_bind(insert, column + 1, id);
        return 0;
}

static int copy_nodes(sqlite3 *from, sqlite3 *anew, Store *to) {
        static const char rows[] =
                "SELECT n.id, n.filesystem, n.inode, n.btime, n.born, n.seq, a.type, a.mode, a.uid, a.gid,"
                " n.size, n.mtime, c.digest, n.digest_source, 0, n.links, n.wanted, n.target FROM node AS n"
                " LEFT JOIN attr AS a ON a.id = n.attr LEFT JOIN content AS c ON c.id = n.content";
        static const char put_row[] =
                "INSERT INTO node(id, filesystem, inode, btime, born, seq, attr, size, mtime, content,"
                " digest_source, ctime, links, wanted, target) VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT id"
                " FROM attr WHERE type = ?7 AND mode = ?8 AND uid = ?9 AND gid = ?10), ?11, ?12, ?13, ?14,"
                " ?15, ?16, ?17, ?18)";
        CLEANUP(finalizep) sqlite3_stmt *get = NULL, *insert = NULL, *old = NULL;
        int rc = SQLITE_DONE, r = prepare(anew, rows, &get);

        if (r == 0)
                r = prepare(to->sql.db, put_row, &insert);
        if (r == 0)
                r = prepare(from, "SELECT filesystem, inode, btime, ctime FROM node WHERE id = ?1", &old);
        while (r == 0 && (rc = sqlite3_step(get)) == SQLITE_ROW) {
                for (int i = 0; i < 18; i++)
                        sqlite3_bind_value(insert, i + 1, sqlite3_column_value(get, i));
                take_hints(old, sql_column(get, 0), insert);
                r = take_content(to, get, 12, insert);
                if (r == 0)
                        r = put(to->sql.db, insert);
        }
        return r == 0 ? sql_errno(anew, rc) : r;
}

/* Of a dataset, events say all but its file system and kind. */
static int copy_datasets(sqlite3 *anew, sqlite3 *to) {
        CLEANUP(finalizep) sqlite3_stmt *get = NULL, *set = NULL;
        int rc = SQLITE_DONE, r;

        r = prepare(anew, "SELECT id, name, root, root_node, added, removed, head FROM dataset", &get);
        if (r == 0)
                r = prepare(to,
                            "UPDATE dataset SET name = ?2, root = ?3, root_node = ?4, added = ?5, removed ="
                            " ?6, head = ?7 WHERE id = ?1",
                            &set);
        while (r == 0 && (rc = sqlite3_step(get)) == SQLITE_ROW) {
                for (int i = 0; i < 7; i++)
                        sqlite3_bind_value(set, i + 1, sqlite3_column_value(get, i));
                r = put(to, set);
        }
        return r == 0 ? sql_errno(anew, rc) : r;
}

static int fill(sqlite3 *from, sqlite3 *anew, Store *s) {
        sqlite3 *to = s->sql.db;
        int r = sql_exec(to, "BEGIN IMMEDIATE");

        for (size_t i = 0; r == 0 && i < ELEMENTS(copied); i++)
                r = copy_table(from, to, copied[i]);
        if (r == 0)
                r = digests_rebuild(s->digests);
        if (r == 0)
                r = copy_nodes(from, anew, s);
        for (size_t i = 0; r == 0 && i < ELEMENTS(made); i++)
                r = copy_table(anew, to, made[i]);
        if (r == 0)
                r = copy_datasets(anew, to);
        return r == 0 ? sql_exec(to, "COMMIT") : r;
}

static void nobody(void *userdata, const char *table, const char *key) {
        (void) userdata, (void) table, (void) key;
}

int renew(sqlite3 *from, Store *anew, const char *dir, const char *path) {
        CLEANUP(store_closep) Store *to = NULL;
        int64_t differing = 0;
        int r;

        assert(from && anew && dir && path);
        r = store_open(dir, &to);
        if (r == 0)
                r = sql_exec(to->sql.db, "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF");
        if (r == 0)
                r = fill(from, anew->sql.db, to);
        if (r == 0)
                r = rebuild_compare(to->sql.db, anew, nobody, NULL, &differing);
        if (r == 0 && differing > 0)
                r = -EBADMSG;
        if (r == 0)
                r = backup_copy(to->sql.db, path, BACKUP_DURABLE | BACKUP_CHECKED);
        return r > 0 ? -EIO : r;
}
