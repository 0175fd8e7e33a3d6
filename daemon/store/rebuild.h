/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_REBUILD_H
#define SCITRACE_DAEMON_STORE_REBUILD_H

/* rebuild: what follows from the events (node, link, gap, counter, parts of dataset), made anew from them in
 * a store of its own; and whether another database has the same.
 * May use: lib, daemon/store/{reader,sql,store}.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>

#include "daemon/store/store.h"

/** RebuildProgress - now and then. Non-zero ends it with -ECANCELED. */
typedef int (*RebuildProgress)(void *userdata, int64_t done);

/** rebuild() - a new store in the folder `dir` (which must not hold one), from the events of `from`.
 *  0 and *ret; -EBADMSG: the event after *ret_seq cannot be read or applied; other negative errno. */
int rebuild(sqlite3 *from, const char *dir, RebuildProgress progress, void *userdata, Store **ret,
            int64_t *ret_seq);

/** RebuildFn - a row differs: of a table, with this key. */
typedef void (*RebuildFn)(void *userdata, const char *table, const char *key);

/** rebuild_compare() - the rows in which db differs from what was made anew. *ret_n: how many; fn gets the
 *  first of each table. 0, -EBADMSG: db cannot be read; other negative errno. */
int rebuild_compare(sqlite3 *db, Store *anew, RebuildFn fn, void *userdata, int64_t *ret_n);

#endif
