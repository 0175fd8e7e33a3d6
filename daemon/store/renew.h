/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_RENEW_H
#define SCITRACE_DAEMON_STORE_RENEW_H

/* renew: a store in a new database: the record as it is, what follows from it as it was made anew, and every
 * index. For a store in which these are damaged.
 * May use: lib, daemon/store/{rebuild,sql,store}.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>

#include "daemon/store/store.h"

/** renew() - from: a store of this form, of which nothing was pruned. anew: rebuild() of it. dir: a folder
 *  to be made, for the work; the caller removes it. path: an empty file, or none; becomes the database. 0;
 *  -EBADMSG: the record itself cannot be read, or does not fit together; other negative errno. */
int renew(sqlite3 *from, Store *anew, const char *dir, const char *path);

#endif
