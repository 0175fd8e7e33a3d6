/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_ROOTS_H
#define SCITRACE_DAEMON_WATCH_ROOTS_H

/* roots: trees within trees. A directory belongs to the innermost root above it: the tree around a root has
 * its name, watches nothing beneath it, and gets it back when the root is not wanted any more. A root is
 * known by its identity, so that it is met wherever its directory went. Under the lock. */

#include "daemon/watch/state.h"

/** roots_meet() - whether the directory is the root of another tree than `root`, which then has it, even
 *  while that one is away. */
bool roots_meet(const Watch *w, uint32_t root, const IdentifyState *state);

/** roots_begin() - watches an open directory as a root; what the tree around it watched beneath it is of
 *  this root from now on: the caller announces it. Its wd, or -errno; -EBUSY: it is watched already, as
 *  another root or by another way to it. */
int roots_begin(Watch *w, Root *root, int fd, const IdentifyState *state);

/** roots_end() - the root is not wanted any more. What is beneath it is of the tree around it again, and
 *  announced, or not watched where there is none. */
void roots_end(Watch *w, Root *root);

/** roots_leave() - d is about to leave its place: the roots beneath it are not where they were. */
void roots_leave(Watch *w, const Directory *d);

#endif
