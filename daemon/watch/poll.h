/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_POLL_H
#define SCITRACE_DAEMON_WATCH_POLL_H

/* poll: directories for which the kernel gives no watch. They are in the table all the same, under a wd that
 * is none of the kernel's, so that they are listed and looked at as others are; the sweeping thread goes
 * round them within a budget of entries a second, asks for a watch again each time, and reports what changed
 * since it came by last. A directory that gets its watch is listed once more, and is live. */

#include "daemon/watch/state.h"

enum { POLL_ENTRIES = 1000 };           /* looked at in a second, unless policy says otherwise */

/** poll_watch() - under the lock: the wd of an open directory that is `name` in parent (NULL: a root):
 *  the kernel's, or one of ours when it has none left (then *ret_unwatched). -errno.
 *  poll_added() - d is in the table now, without a watch. */
int poll_watch(Watch *w, Directory *parent, Bytes name, int fd, const IdentifyState *state,
               bool *ret_unwatched);
void poll_added(Watch *w, Directory *d);
/** poll_announced() - under the lock, when intake knows the directory: says the gap, for the highest. */
void poll_announced(Watch *w, Directory *d);

/** poll_due() - under the lock: when poll_some() has something to do next; µs of CLOCK_MONOTONIC,
 *  INT64_MAX: nothing.
 *  poll_some() - the next few directories; the lock is let go meanwhile. */
int64_t poll_due(const Watch *w);
void poll_some(Watch *w);

#endif
