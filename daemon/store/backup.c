/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "daemon/store/private.h"

enum {
        PAGES_PER_STEP = 1024,
        BUFFER_SIZE = 1 << 16,
};

/* From the writer's own connection: from another one the copy starts anew at each commit
 * and may never end. */
static int copy_pages(sqlite3 *from, sqlite3 *to) {
        sqlite3_backup *backup;
        int rc;

        backup = sqlite3_backup_init(to, "main", from, "main");
        if (!backup)
                return sql_errno(to, sqlite3_errcode(to));
        do
                rc = sqlite3_backup_step(backup, PAGES_PER_STEP);
        while (rc == SQLITE_OK);
        sqlite3_backup_finish(backup);
        return sql_errno(to, rc);
}

static int check(sqlite3 *db) {
        sqlite3_stmt *stmt = NULL;
        const char *answer;
        int rc, r;

        rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        r = sql_errno(db, rc);
        answer = rc == SQLITE_ROW ? (const char *) sqlite3_column_text(stmt, 0) : NULL;
        if (r == 0 && (!answer || strcmp(answer, "ok") != 0))
                r = -EBADMSG;
        sqlite3_finalize(stmt);
        return r;
}

int backup_copy(sqlite3 *from, const char *path, unsigned flags) {
        sqlite3 *db = NULL;
        int r;

        r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, "unix-excl");
        r = sql_errno(db, r);
        if (r == 0) /* no journal would be left by a kill */
                r = sql_exec(db, flags & BACKUP_DURABLE ?
                                     "PRAGMA synchronous = FULL; PRAGMA journal_mode = MEMORY" :
                                     "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY");
        if (r == 0)
                r = copy_pages(from, db);
        if (r == 0) /* a file of its own that needs no -wal beside it */
                r = sql_exec(db, "PRAGMA journal_mode = DELETE");
        if (r == 0 && flags & BACKUP_CHECKED)
                r = check(db);
        sqlite3_close(db);
        return r;
}

static int write_all(int fd, const uint8_t *data, size_t size, int64_t at) {
        while (size > 0) {
                ssize_t n = pwrite(fd, data, size, at);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        data += n;
                        size -= (size_t) n;
                        at += n;
                }
        }
        return 0;
}

static int copy_bytes(int from, int to, int64_t *ret_bytes) {
        uint8_t buffer[BUFFER_SIZE];
        int64_t at = 0;
        ssize_t n;
        int r;

        if (ftruncate(to, 0) < 0)
                return -errno;
        while ((n = pread(from, buffer, sizeof(buffer), at)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                r = write_all(to, buffer, (size_t) n, at);
                if (r < 0)
                        return r;
                at += n;
        }
        if (fsync(to) < 0)
                return -errno;
        *ret_bytes = at;
        return 0;
}

int store_backup(Store *s, int fd, int64_t *ret_bytes, int64_t *ret_seq) {
        CLEANUP(closep) int copy = -1;
        CLEANUP(freep) char *path = NULL;
        int64_t bytes;
        int r;

        assert(s);
        assert(!s->in_transaction);
        assert(fd >= 0);

        if (asprintf(&path, "%s-backup", s->path) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        (void) unlink(path);    /* of a backup that was killed */
        r = backup_copy(s->sql.db, path, BACKUP_CHECKED); /* the caller's file is what is made durable */
        if (r == 0) {
                copy = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                r = copy < 0 ? -errno : copy_bytes(copy, fd, &bytes);
        }
        (void) unlink(path);
        if (r < 0)
                return r;
        if (ret_bytes)
                *ret_bytes = bytes;
        if (ret_seq)
                *ret_seq = s->last_seq;
        return 0;
}
