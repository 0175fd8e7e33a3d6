/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_SWEEP_H
#define SCITRACE_DAEMON_WATCH_SWEEP_H

/* sweep: finds what was missed when notices were lost, and looks at nothing else. Each change leaves a ctime
 * that is no older than the moment when the kernel's queue was last known empty; so every watched directory
 * is looked at here (its own ctime, then those of the names in it), and only what is newer is reported: a
 * directory by listing it again, a file by a look that reads it, since the same moment may have seen it
 * looked at and changed. Where ctime says nothing (the clock was set; a file
 * system whose ctime is not this kernel's), all of that dataset is listed again.
 * One thread, at idle priority; it waits wherever the stages behind it have no room. */

#include "daemon/watch/state.h"

/** sweep_scan() - without the lock: what changed in an open directory from `since` (ns of CLOCK_REALTIME)
 *  on, or so long before: names that are newer get a look. 1: its own ctime is newer, it is to be listed; 0;
 *  -errno. *ret_entries: how many were looked at. */
int sweep_scan(Watch *w, const Spot *p, int64_t since, int64_t slack, uint64_t *ret_entries);
/** sweep_stale() - under the lock, which may be let go: a directory is to be listed again, and its own state
 *  told by a look at its name. */
void sweep_stale(Watch *w, int wd);

/** sweep_list() - under the lock, which is let go meanwhile: has the walk thread list directories again. ids
 *  is freed. */
void sweep_list(Watch *w, int *ids, size_t n);

#endif
