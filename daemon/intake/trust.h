/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_INTAKE_TRUST_H
#define SCITRACE_DAEMON_INTAKE_TRUST_H

/* trust: what time it surely is, for whoever removes what is old. A clock that is off by more than a week
 * from what the record shows last, and from what passed since, counts only when it has stood so for a day in
 * which we ran; until then the earlier of both is taken. Pure: the caller passes the clocks in; µs.
 * May use: lib.  May not use: anything else in daemon/. */

#include "lib/util.h"

#define TRUST_OFF_USEC (7 * 86400 * (int64_t) USEC_PER_SEC)
#define TRUST_STOOD_USEC (86400 * (int64_t) USEC_PER_SEC)

typedef struct Trust {
        int64_t time;                   /* since the epoch: what it is, if the clock is not believed */
        int64_t off;                    /* the clock is so far ahead of that; 0: it is believed */
        int64_t stood;                  /* for so long it has been, while we ran */
} Trust;

/** trust_start() - last: the time that the record shows last, 0: none; stood: what was told of it. */
void trust_start(Trust *t, int64_t last, int64_t stood, int64_t realtime);
/** trust_pass() - so much passed on a clock that nobody sets. */
void trust_pass(Trust *t, int64_t realtime, int64_t elapsed);
/** trust_time() - nothing that is younger than this can be told to be old. */
static inline int64_t trust_time(const Trust *t) {
        return t->off < 0 ? t->time + t->off : t->time;
}

#endif
