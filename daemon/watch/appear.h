/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_APPEAR_H
#define SCITRACE_DAEMON_WATCH_APPEAR_H

/* appear: directories that appear are watched and listed at once. */

#include "daemon/watch/state.h"

/** appear_all() - those that are due. Under the lock, which is let go while a directory is opened. Called by
 *  the walk thread alone. */
void appear_all(Watch *w);

#endif
