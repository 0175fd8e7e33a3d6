/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_MEMORY_H
#define SCITRACE_DAEMON_CONTROL_MEMORY_H

/* memory: how much of it processes use. Any thread. May use: lib.  May not use: anything else in daemon/. */

#include <sys/types.h>

#include "lib/util.h"

/** memory_of() - bytes of these processes together: their proportional share (Pss of
 *  /proc/PID/smaps_rollup), or what is resident where that may not be read; a process that is gone counts
 *  0. */
int64_t memory_of(const pid_t *pids, int n);

#endif
