/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/sql.h"

int sql_init(Sql *s, sqlite3 *db, const char *const *texts, size_t n) {
        assert(s);
        assert(db);

        s->prepared = calloc(n, sizeof(*s->prepared));
        if (!s->prepared)
                return -ENOMEM;
        s->db = db;
        s->texts = texts;
        s->n = n;
        return 0;
}

void sql_done(Sql *s) {
        for (size_t i = 0; i < s->n; i++)
                sqlite3_finalize(s->prepared[i]);
        free(s->prepared);
        sqlite3_close(s->db);
        *s = (Sql) { 0 };
}

/* A failed COMMIT is rolled back before SQLite looks at errno, which is 0 by then;
 * the -wal file remembers. */
static int errno_of_wal(sqlite3 *db) {
        sqlite3_file *wal = NULL;
        int e = 0;

        if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK && wal &&
            wal->pMethods)
                wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &e);
        return e;
}

static int from_system(sqlite3 *db, int rc) {
        int e = !db ? 0 : rc == SQLITE_IOERR_WRITE ? errno_of_wal(db) : sqlite3_system_errno(db);

        if (is_full(-e))
                return -ENOSPC;
        return e > 0 ? -e : -EIO;
}

int sql_errno(sqlite3 *db, int rc) {
        static const struct {
                int code, error;
        } table[] = {
                { SQLITE_NOMEM, ENOMEM },      { SQLITE_FULL, ENOSPC },     { SQLITE_BUSY, EBUSY },
                { SQLITE_LOCKED, EBUSY },      { SQLITE_CORRUPT, EBADMSG }, { SQLITE_NOTADB, EBADMSG },
                { SQLITE_READONLY, EROFS },    { SQLITE_TOOBIG, EMSGSIZE }, { SQLITE_INTERRUPT, ECANCELED },
                { SQLITE_CONSTRAINT, EINVAL }, { SQLITE_MISUSE, EINVAL },   { SQLITE_RANGE, EINVAL },
                { SQLITE_MISMATCH, EINVAL },   { SQLITE_ERROR, EINVAL },
        };

        if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
                return 0;
        if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
                return -EEXIST;
        for (size_t i = 0; i < ELEMENTS(table); i++)
                if (table[i].code == (rc & 0xff))
                        return -table[i].error;
        return from_system(db, rc);
}

int sql_exec(sqlite3 *db, const char *text) {
        return sql_errno(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

int sql_number(sqlite3 *db, const char *text, int64_t *ret) {
        sqlite3_stmt *stmt = NULL;
        int rc;

        rc = sqlite3_prepare_v2(db, text, -1, &stmt, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW || rc == SQLITE_DONE)
                *ret = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
        sqlite3_finalize(stmt);
        return sql_errno(db, rc);
}

bool sql_moved(sqlite3 *db) {
        int moved = 0;

        return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

int sql_get(Sql *s, size_t which, sqlite3_stmt **ret) {
        int rc;

        assert(which < s->n);

        if (!s->prepared[which]) {
                rc = sqlite3_prepare_v3(s->db, s->texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                        &s->prepared[which], NULL);
                if (rc != SQLITE_OK)
                        return sql_errno(s->db, rc);
        }
        sqlite3_reset(s->prepared[which]);
        *ret = s->prepared[which];
        return 0;
}

int sql_step(Sql *s, sqlite3_stmt *stmt) {
        int rc = sqlite3_step(stmt);

        if (rc == SQLITE_ROW)
                return 1;
        sqlite3_reset(stmt);
        return sql_errno(s->db, rc);
}
