/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>

#include "daemon/watch/storm.h"

bool storm_lost(Storm *s, int64_t since, bool full, int64_t now) {
        bool first = !s->open;

        assert(s);
        if (now - s->heard > MAX_OF(2 * s->pause, (int64_t) STORM_QUIET_USEC))
                s->pause = 0;
        s->heard = now;
        s->open = true;
        if (s->wanted) {
                s->since = MIN_OF(s->since, since);
                s->full |= full;
                return first;
        }
        s->wanted = true;
        s->since = since;
        s->full = full;
        s->due = now + s->pause;
        return first;
}

int64_t storm_due(const Storm *s) {
        if (s->running)
                return INT64_MAX;
        if (s->wanted)
                return s->due;
        return s->open ? MAX_OF(s->heard, s->ended) + STORM_LINGER_USEC : INT64_MAX;
}

bool storm_begin(Storm *s, int64_t now, int64_t *ret_since, bool *ret_full) {
        assert(s && ret_since && ret_full);
        if (!s->wanted || s->running || s->due > now)
                return false;
        s->wanted = false;
        s->running = true;
        s->pause = s->pause ? MIN_OF(2 * s->pause, (int64_t) STORM_PAUSE_MAX_USEC) : STORM_PAUSE_USEC;
        *ret_since = s->since;
        *ret_full = s->full;
        return true;
}

void storm_end(Storm *s, bool failed, int64_t now) {
        assert(s && s->running);
        s->running = false;
        s->ended = now;
        if (failed)
                (void) storm_lost(s, INT64_MAX, true, now);
        if (s->wanted)
                s->due = now + s->pause;
}

bool storm_over(Storm *s, int64_t now) {
        assert(s);
        if (!s->open || storm_unswept(s) || storm_due(s) > now)
                return false;
        s->open = false;
        return true;
}
