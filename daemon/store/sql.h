/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_SQL_H
#define SCITRACE_DAEMON_STORE_SQL_H

/* sql: a connection with a closed set of statements, each prepared at its first use and kept;
 * errors as errno.
 * May use: lib.  May not use: anything else in daemon/. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

typedef struct Sql {
        sqlite3 *db;
        const char *const *texts;       /* the statements; outlive this */
        sqlite3_stmt **prepared;
        size_t n;
} Sql;

/** sql_init() - takes over db (on success). 0 or -ENOMEM. sql_done() closes it;
 *  an all-zero struct is fine. */
int sql_init(Sql *s, sqlite3 *db, const char *const *texts, size_t n);
void sql_done(Sql *s);

/** sql_errno() - the negative errno for a result code: -ENOSPC for a full disk or quota however SQLite names
 *  it, -EBUSY, -ENOMEM, -ECANCELED (interrupted), -EBADMSG (damaged, or no database),
 *  -EEXIST (not unique), -EIO, ... */
int sql_errno(sqlite3 *db, int rc);

/** sql_exec() - runs a text of statements that answer nothing we need. */
int sql_exec(sqlite3 *db, const char *text);
/** sql_number() - the first column of the first row as a number; 0 for none. */
int sql_number(sqlite3 *db, const char *text, int64_t *ret);

/** sql_moved() - whether another file, or none, is at the place of the database that db has open. */
bool sql_moved(sqlite3 *db);

/** sql_get() - the statement, ready to be bound. What is bound is not copied: it must live
 *  until the last step. */
int sql_get(Sql *s, size_t which, sqlite3_stmt **ret);
/** sql_step() - 1: a row; 0: done, or negative errno, and in both cases the statement is reset. */
int sql_step(Sql *s, sqlite3_stmt *stmt);

static inline void sql_resetp(sqlite3_stmt **stmt) {
        if (*stmt)
                sqlite3_reset(*stmt);
}

static inline void sql_bind(sqlite3_stmt *stmt, int i, int64_t n) {
        sqlite3_bind_int64(stmt, i, n);
}
/* 0 becomes NULL */
static inline void sql_bind_id(sqlite3_stmt *stmt, int i, int64_t n) {
        if (n != 0)
                sqlite3_bind_int64(stmt, i, n);
        else
                sqlite3_bind_null(stmt, i);
}
static inline void sql_bind_null(sqlite3_stmt *stmt, int i) {
        sqlite3_bind_null(stmt, i);
}
static inline void sql_bind_bytes(sqlite3_stmt *stmt, int i, Bytes b) {
        sqlite3_bind_blob64(stmt, i, b.data, b.size, SQLITE_STATIC);
}
static inline void sql_bind_text(sqlite3_stmt *stmt, int i, const char *text) {
        sqlite3_bind_text(stmt, i, text, -1, SQLITE_STATIC);
}

static inline int64_t sql_column(sqlite3_stmt *stmt, int i) {
        return sqlite3_column_int64(stmt, i);
}
static inline bool sql_is_null(sqlite3_stmt *stmt, int i) {
        return sqlite3_column_type(stmt, i) == SQLITE_NULL;
}
/* borrowed until the next step; NULL is absent, which an empty run is not */
static inline Bytes sql_column_bytes(sqlite3_stmt *stmt, int i) {
        const void *data;

        if (sql_is_null(stmt, i))
                return BYTES_NONE;
        data = sqlite3_column_blob(stmt, i);
        return BYTES(data ? data : "", (size_t) sqlite3_column_bytes(stmt, i));
}

#endif
