/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_MEMORY_H
#define SCITRACE_DAEMON_CONTROL_MEMORY_H

/* memory: how much of it processes use. Any thread. May use: lib.  May not use: anything else in daemon/. */

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/util.h"

/** memory_of() - bytes of these processes together: their proportional share (Pss of
 *  /proc/PID/smaps_rollup), or what is resident where that may not be read; a process that is gone counts
 *  0. */
int64_t memory_of(const pid_t *pids, int n);

enum { MEMORY_RECENT_USEC = 1000 * 1000 };

/** MemoryRecent: the last answer. The kernel walks all of a process for it, so it is kept for a while, for
 *  any thread; zeroed and with PTHREAD_MUTEX_INITIALIZER it is none yet. */
typedef struct MemoryRecent {
        pthread_mutex_t lock;
        bool known;
        int64_t at, bytes;              /* at: µs, of now's clock */
} MemoryRecent;

/** memory_recent() - as memory_of(), or what that said at most MEMORY_RECENT_USEC before now. */
int64_t memory_recent(MemoryRecent *m, const pid_t *pids, int n, int64_t now);

#endif
