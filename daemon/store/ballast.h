/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_BALLAST_H
#define SCITRACE_DAEMON_STORE_BALLAST_H

/* ballast: space beside the database that is given back when its volume is full, so that the record has
 * room to say since when it has none. Stateless; of any thread.
 * May use: lib.  May not use: anything else in daemon/. */

enum { BALLAST_SIZE = 4 << 20 };        /* bytes; the gaps of 64 datasets, a seal and the end of a run are
                                         * less than 1 MiB of changes */

/** ballast_make() - makes DIR/ballast anew, if the volume has room for it and as much again, in bytes and in
 *  files. 0; negative errno: there is none now. -ENOSPC says that the volume, or a quota, is as good as
 *  full; any other that this file system has no such thing. */
int ballast_make(const char *dir);

/** ballast_drop() - gives it back, if there is one. */
void ballast_drop(const char *dir);

#endif
