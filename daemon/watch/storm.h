/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_STORM_H
#define SCITRACE_DAEMON_WATCH_STORM_H

/* storm: when to sweep after notices were lost. A loss begins a stretch, in which changes may have gone
 * unseen; each loss wants a sweep that begins after it; the stretch ends when a sweep was the last one
 * wanted and nothing was lost for a while since. The first sweep of quiet times begins at once; the pauses
 * before further ones double, so that a storm of losses is one long stretch and few sweeps. Pure: the
 * caller passes the time in (µs of a clock that is never set) and serialises.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

enum {
        STORM_PAUSE_USEC = 1000000,             /* before the second sweep; then twice that, ... */
        STORM_PAUSE_MAX_USEC = 60000000,
        STORM_LINGER_USEC = 1000000,            /* without a loss: the stretch has ended */
        STORM_QUIET_USEC = 10000000,            /* the least time without a loss that forgets the pauses; it
                                                 * grows with them */
};

/** Storm: all zero to begin with. */
typedef struct Storm {
        bool open;                      /* in a stretch */
        bool wanted, running;           /* a sweep, of what was lost since `since` */
        bool full;                      /* ... which no time can tell: all is wanted */
        int64_t since;                  /* the caller's clock */
        int64_t due, pause, heard, ended;
} Storm;

/** storm_lost() - notices of what changed from `since` on (by any clock of the caller's; INT64_MAX: the
 *  caller knows what it lost) were lost. Whether a stretch begins. */
bool storm_lost(Storm *s, int64_t since, bool full, int64_t now);
/** storm_due() - when storm_begin() or storm_over() is to be asked next; INT64_MAX: not before a loss. */
int64_t storm_due(const Storm *s);
/** storm_begin() - whether a sweep is due; it has begun then, and is to find what changed from *ret_since
 *  on, or all. storm_end() - it has ended; failed: another one is wanted. */
bool storm_begin(Storm *s, int64_t now, int64_t *ret_since, bool *ret_full);
void storm_end(Storm *s, bool failed, int64_t now);
/** storm_over() - whether the stretch has ended just now. */
bool storm_over(Storm *s, int64_t now);

/** storm_unswept() - whether something is lost that no sweep has found yet. */
static inline bool storm_unswept(const Storm *s) {
        return s->wanted || s->running;
}

#endif
