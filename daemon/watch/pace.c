/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>

#include "daemon/watch/pace.h"
#include "lib/util.h"

int64_t pace_slice_end(int64_t now) {
        int64_t at = now % PACE_WINDOW_USEC, end = PACE_WINDOW_USEC - PACE_REST_USEC;

        return at >= end ? now : now + MIN_OF(end - at, (int64_t) PACE_SLICE_USEC);
}

int64_t pace_rest_end(int64_t now) {
        int64_t at = now % PACE_WINDOW_USEC;

        return at < PACE_WINDOW_USEC - PACE_REST_USEC ? 0 : now - at + PACE_WINDOW_USEC;
}

double pace_pressure(const char *path) {
        CLEANUP(fclosep) FILE *f = fopen(path, "re");
        double some;

        return f && fscanf(f, "some avg10=%lf", &some) == 1 ? some : 0;
}

bool pace_slow(Pace *p, int64_t now, double pressure, double limit) {
        const double own = 100.0 / PACE_SLOW_PART;
        bool was_slow = p->slow_until != 0;

        assert(p);
        if (now < p->slow_until || (!was_slow && now < p->free_until))
                return was_slow;
        if (pressure > limit + (was_slow ? own : 0)) {
                p->slow_until = now + PACE_SLOW_USEC;
                return true;
        }
        if (was_slow)
                p->free_until = now + PACE_FREE_USEC;
        p->slow_until = 0;
        return false;
}
