/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/store/private.h"

/* A database whose file was removed, renamed or replaced takes commits and loses all of them when it is
 * closed. As long as it is open, all of it is there: it is copied to where it belongs. A copy with the name
 * -rescue is whole, so whatever ends us after that, the next start goes on with it. */

enum { FOUND_MAX = 99 };                /* files of others that are moved out of the way, and kept */

bool store_is_gone(Store *s) {
        assert(s);
        return s->sql.db && sql_moved(s->sql.db);
}

/* What lies in the database's place is not ours: PATH becomes PATH-found-N, its -wal too. */
static int move_away(const char *path) {
        for (int n = 1; n <= FOUND_MAX; n++) {
                CLEANUP(freep) char *found = NULL, *wal = NULL, *found_wal = NULL;

                if (asprintf(&found, "%s-found-%d", path, n) < 0)
                        found = NULL;
                if (asprintf(&found_wal, "%s-found-%d-wal", path, n) < 0)
                        found_wal = NULL;
                if (asprintf(&wal, "%s-wal", path) < 0)
                        wal = NULL;
                if (!found || !found_wal || !wal)
                        return -ENOMEM;
                if (renameat2(AT_FDCWD, path, AT_FDCWD, found, RENAME_NOREPLACE) == 0)
                        return rename(wal, found_wal) < 0 && errno != ENOENT ? -errno : 0;
                if (errno == ENOENT)    /* a -wal alone is of no use, and would be applied */
                        return unlink(wal) < 0 && errno != ENOENT ? -errno : 0;
                if (errno != EEXIST)
                        return -errno;
        }
        return -EEXIST;
}

int rescue_finish(const char *dir, const char *path) {
        CLEANUP(freep) char *whole = NULL;
        int r;

        if (asprintf(&whole, "%s-rescue", path) < 0) {
                whole = NULL;
                return -ENOMEM;
        }
        if (access(whole, F_OK) < 0)
                return errno == ENOENT ? 0 : -errno;
        r = move_away(path);
        if (r < 0)
                return r;
        return rename(whole, path) < 0 ? -errno : store_sync_dir(dir);
}

static int copy_whole(Store *s) {
        CLEANUP(freep) char *part = NULL, *whole = NULL;
        int r;

        if (asprintf(&part, "%s-rescue.part", s->path) < 0)
                part = NULL;
        if (asprintf(&whole, "%s-rescue", s->path) < 0)
                whole = NULL;
        if (!part || !whole)
                return -ENOMEM;
        if (mkdir(s->dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        (void) unlink(part);
        r = backup_copy(s->sql.db, part, BACKUP_DURABLE);
        if (r == 0 && rename(part, whole) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(part);
        return r < 0 ? r : store_sync_dir(s->dir);
}

static int rescue(Store *s) {
        int r = copy_whole(s);

        if (r < 0)
                return r;
        /* Our -wal, if it is still in its place, must not be taken for that of whatever lies beside it. */
        (void) sql_exec(s->sql.db, "PRAGMA wal_checkpoint(TRUNCATE)");
        database_close(s);
        return rescue_finish(s->dir, s->path);
}

/* After a failed fsync the kernel takes for written what is not on the disk. So all that counts is written
 * once more: into the database, and synced there. */
static int make_durable(Store *s) {
        int64_t busy = 0;
        int r = sql_number(s->sql.db, "PRAGMA wal_checkpoint(FULL)", &busy);

        return r < 0 ? r : busy != 0 ? -EBUSY : 0;
}

/* The connection before stays open until then: its lock, and what it keeps of the -wal for whoever reads. */
int store_reopen(Store *s) {
        Store anew = { 0 };
        int r = 0;

        assert(s);
        assert(!s->in_transaction);
        if (store_is_gone(s))
                r = rescue(s);
        if (r < 0)
                return r;
        anew = (Store) { .dir = s->dir, .path = s->path, .acked = s->acked };
        r = database_open(&anew);
        if (r == 0)
                r = make_durable(&anew);
        if (r == 0)
                witness_compare(&anew);
        database_close(r == 0 ? s : &anew);
        if (r == 0)
                *s = anew;
        return r;
}
