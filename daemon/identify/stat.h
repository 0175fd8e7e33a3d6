/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_IDENTIFY_STAT_H
#define SCITRACE_DAEMON_IDENTIFY_STAT_H

/* stat: statx(2) as IdentifyState; private to this folder.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <sys/stat.h>

#include "daemon/identify/identify.h"

/** state_from() - what statx said, in our words. */
IdentifyState state_from(const struct statx *stx);
/** stat_entry() - statx with all that identify wants, of a name or, with "", of the descriptor itself. 0 or
 *  -errno. */
int stat_entry(int dir_fd, const char *name, struct statx *ret);
enum { STAT_TICK_NSEC = 10 * 1000 * 1000 };    /* the coarsest tick of a kernel: HZ=100 */

/** stat_is_young() - whether a change made between the two moments could have been given the ctime that was
 *  there before, its steps being `granule` ns. One in the future (the clock was set back since) is not
 *  young: any change would move it. */
bool stat_is_young(int64_t ctime, int64_t granule, int64_t began, int64_t ended);
/** name_is_entry() - whether it can name an entry of a directory: not "..", no slash. "" and "." are the
 *  directory. */
bool name_is_entry(const char *name);

#endif
