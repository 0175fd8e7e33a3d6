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
/** name_is_entry() - whether it can name an entry of a directory: not "..", no slash. "" and "." are the
 *  directory. */
bool name_is_entry(const char *name);

#endif
