/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_DIRECTORY_H
#define SCITRACE_DAEMON_WATCH_DIRECTORY_H

/* directory: the steps by which a directory gets its watch, wherever it was met: appearing, or in a walk.
 * Under the lock, but for directory_foreign() and directory_excluded(). */

#include "daemon/watch/state.h"

/** directory_excluded() - a folder of our own: it is never watched.
 *  directory_foreign() - another file system is mounted there. */
bool directory_excluded(const Watch *w, const IdentifyState *state);
bool directory_foreign(const Root *root, const IdentifyState *state);

/** directory_watch() - watches an open directory as `name` in parent. Returns its wd, 0 when it is the root
 *  of a tree of its own, or -errno. When it is watched already at another place, or another one is at this
 *  place, notices of moves are on their way: unless early, -ELOOP asks to come back when they are here, so
 *  that each is taken for what it was. */
int directory_watch(Watch *w, Directory *parent, Bytes name, int fd, const IdentifyState *state,
                    bool early);

/** directory_unwatched() - says that it is not, which is a gap. error: positive errno. */
void directory_unwatched(Watch *w, uint32_t dir, Bytes name, int error);

/** directory_refused() - a name in d cannot be looked at, which is a gap: of d, where nobody may look into
 *  it, else of the name. error: positive errno. */
void directory_refused(Watch *w, const Directory *d, Bytes name, int error);

/** directory_unreached() - the directory of a job could not be opened. True: the job is to be tried again.
 *  Else nothing is known of the name, and of a directory that stands in a tree that is a gap. root: the id
 *  of that tree, 0 when it is not there either, or moves; error: -errno. */
bool directory_unreached(Watch *w, const SettleJob *job, uint32_t root, int error);

/** directory_unnameable() - a name in it is longer than NAME_SIZE_MAX: it cannot be recorded, which is a gap
 *  of the directory until a listing meets none. */
void directory_unnameable(Watch *w, int wd);

/** directory_listed() - its listing has ended; the mark that is to pass behind it is posted by the next
 *  state_mark(): one does for many listings. */
void directory_listed(Watch *w, int wd);

#endif
