/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_COPY_H
#define SCITRACE_DAEMON_STORE_COPY_H

/* copy: a private copy of a store, for work without a daemon. A store in its place is never opened by
 * SQLite: that would take its lock, and write beside it.
 * May use: lib, daemon/store/{sql,store}.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>

#include "daemon/store/store.h"

typedef struct StoreCopy {
        sqlite3 *db;                    /* read-only in effect */
        char *dir;                      /* the private folder */
        char *scratch, *work;           /* two within, for stores that are made anew; need not be there */
        int form;                       /* of its schema, STORE_FORM_FIRST to STORE_FORM */
} StoreCopy;

/** copy_open() - source: a state folder, or a database file such as `store backup` makes; copied (with its
 *  -wal) into a new folder in `within`. Nobody can start to write it meanwhile. 0; STORE_E_LOCKED: a
 *  scitraced has it; STORE_E_NEWER, STORE_E_OLDER, STORE_E_FOREIGN; negative errno (-EBADMSG: it is a store,
 *  so damaged that it cannot be opened). copy_close() - removes the copy; an all-zero struct is fine.
 *  copy_remove() - what of it is there just now, from whichever moment of the three calls: for a handler of
 *  signals, after which the process ends. */
int copy_open(const char *source, const char *within, StoreCopy *ret);
void copy_remove(const StoreCopy *c);
void copy_close(StoreCopy *c);

#endif
