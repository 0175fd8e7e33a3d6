/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_PACE_H
#define SCITRACE_DAEMON_WATCH_PACE_H

/* pace: when may the next slice of a large file be read? Slices end together, so that each second there is
 * a moment in which nothing of ours is open on the file system, and it can be unmounted; and they grow
 * rare while the machine is under pressure (PSI). But for pace_pressure() pure: no clock, no descriptor.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

enum {
        PACE_SLICE_USEC = 50 * 1000,    /* of reading, and other work comes first again */
        PACE_WINDOW_USEC = 1000 * 1000, /* one such moment in each ... */
        PACE_REST_USEC = 20 * 1000,     /* ... of this length */
        PACE_SLOW_USEC = 10 * 1000 * 1000,      /* as long as the kernel's average looks back */
        PACE_FREE_USEC = 60 * 1000 * 1000,
        PACE_SLOW_PART = 8,             /* while slow, a reader reads this part of the time */
};

/** pace_slice_end() - when a slice that begins now ends (µs of CLOCK_MONOTONIC); within a rest: now.
 *  pace_rest_end() - when the rest that lasts now ends; 0: none lasts. */
int64_t pace_slice_end(int64_t now);
int64_t pace_rest_end(int64_t now);

/** pace_pressure() - percent of the last ten seconds in which some work stood still for want of the disk;
 *  path: /proc/pressure/io. 0 where the kernel does not tell. Of processors there is no such measure: a
 *  reader that is nice waits for one while they are busy, and that wait itself would count. */
double pace_pressure(const char *path);

/** pace_slow() - whether to be slow. pressure: as just measured, our own reading included, since the kernel
 *  does not tell it apart: so pressure above the limit (percent) makes slow for ten seconds, and only what
 *  is left then is others'. If it is not above the limit and our own part, it was ours: free for a
 *  minute. */
typedef struct Pace {
        int64_t slow_until, free_until;
} Pace;
bool pace_slow(Pace *p, int64_t now, double pressure, double limit);

#endif
