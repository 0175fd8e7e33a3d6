/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "daemon/store/private.h"

/* Forward only, and in one transaction: a store is of the old form or of the new one. Before it begins, the
 * old store is copied to scitrace.db-form-N beside it, where it stays. */

/* lived(inode, btime, time of the batch, ago, age): what form 1 kept as btime. */
static void call_lived(sqlite3_context *ctx, int n, sqlite3_value **v) {
        uint64_t last = (uint64_t) sqlite3_value_int64(v[2]) - (uint64_t) sqlite3_value_int64(v[3]);
        uint64_t mtime = 0;

        (void) n;
        if (sqlite3_value_type(v[4]) != SQLITE_NULL)
                mtime = last * NSEC_PER_USEC - (uint64_t) sqlite3_value_int64(v[4]);
        if (sqlite3_value_type(v[0]) != SQLITE_NULL)
                sqlite3_result_int64(ctx, event_lived(sqlite3_value_int64(v[1]), (int64_t) mtime));
}

/* rest(replaces, old_parent, process, cause, gap, old_name): each was a column. */
static void call_rest(sqlite3_context *ctx, int n, sqlite3_value **v) {
        Event e = { .replaces = sqlite3_value_int64(v[0]),
                    .old_parent = sqlite3_value_int64(v[1]),
                    .process = sqlite3_value_int64(v[2]),
                    .cause = (Cause) sqlite3_value_int64(v[3]),
                    .gap = sqlite3_value_int64(v[4]) };
        uint8_t buffer[EVENT_REST_MAX];
        Bytes rest;

        (void) n;
        if (sqlite3_value_type(v[5]) != SQLITE_NULL)
                e.old_name = BYTES(sqlite3_value_blob(v[5]) ?: "",
                                   MIN_OF((size_t) sqlite3_value_bytes(v[5]), (size_t) 255));
        rest = event_rest(&e, buffer);
        if (rest.data)
                sqlite3_result_blob(ctx, rest.data, (int) rest.size, SQLITE_TRANSIENT);
}

int migrate_prepare(sqlite3 *db) {
        int rc = sqlite3_create_function(db, "event_lived", 5, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
                                         call_lived, NULL, NULL);

        if (rc == SQLITE_OK)
                rc = sqlite3_create_function(db, "event_rest", 6, SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
                                             call_rest, NULL, NULL);
        return sql_errno(db, rc);
}

/* The copy, and what the transaction writes before it is checkpointed: at worst all pages once more. */
static int check_room(const Store *s, sqlite3 *db) {
        int64_t pages, size;
        struct statvfs fs;
        int r = sql_number(db, "PRAGMA page_count", &pages);

        if (r == 0)
                r = sql_number(db, "PRAGMA page_size", &size);
        if (r < 0)
                return r;
        if (statvfs(s->dir, &fs) < 0)
                return -errno;
        return (int64_t) fs.f_bavail * (int64_t) fs.f_frsize < 2 * pages * size + (1 << 20) ? STORE_E_NO_ROOM
                                                                                            : 0;
}

/* A copy with its last name is whole. */
static int back_up(const Store *s, sqlite3 *db, int64_t form) {
        CLEANUP(freep) char *path = NULL, *part = NULL;
        int r;

        if (asprintf(&path, "%s-form-%lld", s->path, (long long) form) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (asprintf(&part, "%s.part", path) < 0) {
                part = NULL;
                return -ENOMEM;
        }
        (void) unlink(part);
        r = backup_copy(db, part, BACKUP_DURABLE | BACKUP_CHECKED);
        if (r == 0 && rename(part, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(part);
                return r;
        }
        return store_sync_dir(s->dir);
}

static int bring(Store *s, sqlite3 *db, int64_t form) {
        int r = sql_exec(db, "BEGIN IMMEDIATE");

        if (r == 0)
                r = schema_apply(db, form);
        if (r == 0)
                r = leaves_rebuild(s);
        if (r == 0)
                r = trails_rebuild(s);
        if (r == 0)
                r = digests_rebuild(s->digests);
        if (r == 0)
                r = sql_exec(db, "COMMIT");
        if (r < 0 && !sqlite3_get_autocommit(db))
                (void) sql_exec(db, "ROLLBACK");
        return r;
}

int migrate(Store *s, sqlite3 *db, int64_t form) {
        int r = check_room(s, db);

        if (r == 0)
                r = back_up(s, db, form);
        if (r == 0)
                r = bring(s, db, form);
        if (r == 0)
                s->migrated_from = form;
        return r == -ENOSPC ? STORE_E_NO_ROOM : r;
}
