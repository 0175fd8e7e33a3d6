/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"
#include "lib/time.h"

/* clocks: CLOCK_REALTIME, which is set, beside CLOCK_BOOTTIME, which is not, and which goes on in suspend.
 * What slews the one slews the other; so the difference of both changes when, and only when, the clock is
 * set. That is an event, the first of the next transaction; one comes every eight seconds at least. */

enum {
        STEP_USEC = 100 * 1000,         /* what is less is no step, until it adds up */
        SURE_USEC = 10 * 1000,          /* while both are read, no more may pass */
        READS_MAX = 5,
};

#define NOTE_USEC (600 * (int64_t) USEC_PER_SEC)        /* between two notes of how long a clock has stood */

ClocksNow clocks_read(void) {
        ClocksNow now = { 0 };

        for (int n = 0; !now.sure && n < READS_MAX; n++) {
                int64_t after;

                now.realtime = now_usec(CLOCK_REALTIME);
                now.boottime = now_usec(CLOCK_BOOTTIME);
                after = now_usec(CLOCK_REALTIME);
                now.sure = after >= now.realtime && after - now.realtime < SURE_USEC;
        }
        return now;
}

/* Of a boot before this one nobody knows how long ago it was: only a clock that shows less than it did then
 * was set for sure, by so much at least. */
static int load(Intake *i, const ClocksNow *now) {
        Clocks *k = &i->clocks;
        StoreClock last;
        int r = store_clock(i->store, &last);
        bool same = r == 0 && memcmp(last.boot, i->boot, EVENT_ID_SIZE) == 0;
        int64_t passed = same ? now->boottime - last.boottime : 0;

        if (r < 0)
                return r;
        k->offset = (same ? last.time + passed : MAX_OF(last.time, now->realtime)) - now->boottime;
        k->passed = k->noted_at = now->boottime;
        k->noted = last.doubted;
        if (last.doubted)
                trust_start(&k->trust, last.trusted, last.stood, now->realtime);
        else
                trust_start(&k->trust, MAX_OF(last.time + passed, last.sealed), 0, now->realtime);
        k->loaded = true;
        return 0;
}

static int note_doubt(Intake *i, int64_t boottime) {
        Clocks *k = &i->clocks;
        bool doubts = k->trust.off != 0;

        k->notes = doubts != k->noted || (doubts && boottime - k->noted_at >= NOTE_USEC);
        return k->notes ? store_doubt(i->store, doubts, k->trust.time, k->trust.stood) : 0;
}

/* To the millisecond: no better are they read at once. */
static int64_t moved_by(const Clocks *k, const ClocksNow *now) {
        int64_t moved = now->realtime - now->boottime - k->offset, ms = USEC_PER_MSEC;

        return now->sure && imaxabs(moved) >= STEP_USEC ? (moved + (moved < 0 ? -ms : ms) / 2) / ms * ms : 0;
}

static int record_step(Intake *i, const ClocksNow *now) {
        Event e = { .kind = KIND_CLOCK_STEP, .origin = ORIGIN_LIVE, .first = now->realtime,
                    .last = now->realtime };
        char moved[24];

        snprintf(moved, sizeof(moved), "%lld", (long long) i->clocks.moved);
        e.detail = BYTES_STR(moved);
        return intake_append(i, &e);
}

int clocks_begun(Intake *i, const ClocksNow *now) {
        Clocks *k = &i->clocks;
        int r = k->loaded ? 0 : load(i, now);

        if (r < 0)
                return r;
        pthread_mutex_lock(&i->lock);
        trust_pass(&k->trust, now->realtime, now->boottime - k->passed);
        k->passed = now->boottime;
        pthread_mutex_unlock(&i->lock);
        r = note_doubt(i, now->boottime);
        k->moved = moved_by(k, now);
        return r == 0 && k->moved != 0 ? record_step(i, now) : r;
}

void clocks_committed(Intake *i, bool durable) {
        Clocks *k = &i->clocks;
        char span[TIME_TEXT_MAX];

        if (durable && k->notes) {
                k->noted = k->trust.off != 0;
                k->noted_at = k->passed;
        }
        if (durable && k->moved != 0) {
                k->offset += k->moved;
                log_event(LOG_NOTICE, MSG_CLOCK_STEP, 0,
                          "The clock was set %s by %s; recording goes on, in the order of what happens",
                          k->moved < 0 ? "back" : "ahead", time_format_span(imaxabs(k->moved), span),
                          "SCITRACE_USEC=%lld", (long long) k->moved);
        }
        k->notes = false;
        k->moved = 0;
}

void intake_time(Intake *i, IntakeTime *ret) {
        ClocksNow now = clocks_read();
        Trust t;
        int64_t passed;

        pthread_mutex_lock(&i->lock);
        t = i->clocks.trust;
        passed = now.boottime - i->clocks.passed;
        pthread_mutex_unlock(&i->lock);
        trust_pass(&t, now.realtime, passed);
        *ret = (IntakeTime) { .time = trust_time(&t), .off = t.off,
                              .left = t.off != 0 ? TRUST_STOOD_USEC - t.stood : 0 };
}
