/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_ARRAY_H
#define SCITRACE_DAEMON_STORE_ARRAY_H

/* array: rows that are in memory, as a virtual table that the statements of one connection can read.
 * May use: lib.  May not use: anything else in daemon/. */

#include <sqlite3.h>
#include <stddef.h>

/** ArrayTable - columns: as CREATE TABLE takes them. count, column: asked while a statement reads it; column
 *  gives its result to ctx (none: NULL), bytes that live until the statement ends. */
typedef struct ArrayTable {
        const char *columns;
        size_t rows_max;
        size_t (*count)(const void *userdata);
        void (*column)(const void *userdata, size_t row, int column, sqlite3_context *ctx);
} ArrayTable;

/** array_add() - a table of that name; table and userdata outlive the connection. 0 or negative errno. */
int array_add(sqlite3 *db, const char *name, const ArrayTable *table, const void *userdata);

#endif
