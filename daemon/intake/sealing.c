/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* sealing: when the log is sealed, and who hears of it. A checkpoint goes to the journal, and so to wherever
 * the site sends that: what the disk holds cannot be made to differ from it unnoticed. */

enum { SEAL_USEC = 60 * 1000 * 1000 };  /* between two checkpoints while events come */

static void set_unsealed(Intake *i, const char *why) {
        __atomic_store_n(&i->unsealed, why, __ATOMIC_RELEASE);
}

/* What cannot be sealed is recorded all the same. */
static void complain(Intake *i, int error) {
        if (i->unsealed)
                return;
        set_unsealed(i, error == -EBADMSG ? "nothing is sealed, since events in the store are damaged: see "
                                            "'scitracectl verify'" :
                                            "the log cannot be sealed: see the journal");
        if (error == -EBADMSG)
                log_event(LOG_CRIT, MSG_UNSEALED, 0,
                          "Events in the store cannot be read, or are not what was recorded: nothing is "
                          "sealed from here on, recording goes on; 'scitracectl verify' names them");
        else
                log_event(LOG_ERR, MSG_UNSEALED, error,
                          "The log cannot be sealed; recording goes on, and sealing is tried again each "
                          "minute");
}

void sealing_seal(Intake *i) {
        int r;

        i->seal_at = now_usec(CLOCK_MONOTONIC) + SEAL_USEC;
        store_seal_done(&i->seal);
        r = store_seal(i->store, &i->seal);
        if (r < 0)
                complain(i, r);
}

void sealing_tick(Intake *i, int64_t now) {
        if (now >= i->seal_at && store_seal_due(i->store, now_usec(CLOCK_REALTIME)))
                sealing_seal(i);
}

void sealing_committed(Intake *i, bool durable) {
        StoreSeal *s = &i->seal;

        if (s->note && durable) {
                set_unsealed(i, NULL);
                if (s->key_lost)
                        log_event(LOG_WARNING, MSG_KEY_LOST, 0,
                                  "The key that sealed the log so far is gone from the state folder; "
                                  "another one, for which it could not vouch, goes on from event %lld",
                                  (long long) s->size);
                /* Origin, events and root are a format: verify --against finds them. */
                log_event(LOG_INFO, MSG_CHECKPOINT, 0, "The log is sealed: %s %lld %s (checkpoint %lld)",
                          s->origin, (long long) s->size, s->root, (long long) s->number,
                          "SCITRACE_ORIGIN=%s", s->origin, "SCITRACE_EVENTS=%lld", (long long) s->size,
                          "SCITRACE_ROOT=%s", s->root, "SCITRACE_NOTE=%s", s->note);
        }
        store_seal_done(s);
}

void sealing_end(Intake *i) {
        int r = intake_begin(i);

        if (r != 0)
                return;
        sealing_seal(i);
        r = store_commit(i->store);
        intake_committed(i, r == 0);
}
