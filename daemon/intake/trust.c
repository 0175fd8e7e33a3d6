/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <inttypes.h>

#include "daemon/intake/trust.h"

void trust_start(Trust *t, int64_t last, int64_t stood, int64_t realtime) {
        assert(t);
        *t = (Trust) { .time = last != 0 ? last : realtime, .stood = stood };
        t->off = realtime - t->time;
        trust_pass(t, realtime, 0);
}

void trust_pass(Trust *t, int64_t realtime, int64_t elapsed) {
        int64_t off;

        assert(t);
        t->time += MAX_OF(elapsed, 0);
        off = realtime - t->time;
        if (imaxabs(off - t->off) > TRUST_OFF_USEC)     /* it is another clock that is off */
                t->stood = 0;
        else if (t->off != 0)
                t->stood += MAX_OF(elapsed, 0);
        t->off = off;
        if (imaxabs(off) <= TRUST_OFF_USEC || t->stood >= TRUST_STOOD_USEC)
                *t = (Trust) { .time = realtime };
}
