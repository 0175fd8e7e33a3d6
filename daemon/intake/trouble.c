/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"
#include "daemon/store/ballast.h"
#include "lib/log.h"

/* trouble: the store cannot be written. What was not committed is forgotten, and so is all that was derived
 * from it; until it is over nothing is recorded, who asks for something that would be is told so at once,
 * and queries are answered, since they have connections of their own. That there is a gap is recorded as
 * soon as the store takes that much, for which a full volume gets its ballast back. The trouble is over when
 * a transaction succeeds and the ballast could be made anew: then the watchers begin anew, too, and what
 * they find is compared with the record. It is said once that it begins, and once that it is over; each try
 * in between is silent. */

enum { RETRY_USEC = 1000000 };          /* between two tries */

static int refusal(const Intake *i) {
        return i->trouble.full ? -ENOSPC : -EIO;
}

static void set_degraded(Intake *i, const char *sentence) {
        __atomic_store_n(&i->degraded, sentence, __ATOMIC_RELEASE);
}

/* Whether the volume has room for more than to say that it is full. */
static bool has_room(const Intake *i) {
        return ballast_make(store_dir(i->store)) != -ENOSPC;
}

static void refuse(Intake *i, const Work *w, int error) {
        if (w->run == work_backup || w->run == work_step || w->run == work_note)
                intake_counted(i, w->ticket, error, 0, 0);
        else if (w->run == run_mounts)
                mounts_refused(i, w);
        else
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED, .error = error });
}

void work_refuse(Intake *i, Work *w) {
        refuse(i, w, refusal(i));
        work_free(w);
}

static void refuse_all(Intake *i, Work *works) {
        for (Work *w = works, *next; w; w = next) {
                next = w->next;
                work_refuse(i, w);
        }
        settlings_tick(i, now_usec(CLOCK_MONOTONIC));
        intake_deliver(i);
}

/* Until the next try. False: we are to end. */
static bool wait_refusing(Intake *i) {
        int64_t until = now_usec(CLOCK_MONOTONIC) + RETRY_USEC;
        struct timespec at = timespec_of(until);
        bool stop;

        do {
                Work *works;

                pthread_mutex_lock(&i->lock);
                works = STEAL(i->works);
                i->works_tail = &i->works;
                i->n_frames = i->n_urgent = 0;
                pthread_mutex_unlock(&i->lock);
                refuse_all(i, works);
                pthread_mutex_lock(&i->lock);
                if (!i->works && !i->stop)
                        pthread_cond_timedwait(&i->wake, &i->lock, &at);
                stop = i->stop;
                pthread_mutex_unlock(&i->lock);
        } while (!stop && now_usec(CLOCK_MONOTONIC) < until);
        return !stop;
}

static int open_anew(Intake *i) {
        int r;

        i->trouble.gone |= store_is_gone(i->store);
        r = store_reopen(i->store);
        if (r == 0)
                lost_look(i, i->trouble.gone);
        return r;
}

static void open_gaps(Intake *i) {
        for (Feed *f = i->feeds; f; f = f->next)
                feed_forget(i, f);
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (d->row.removed)
                        continue;
                dataset_unwatched(i, d);
                gap_open(i, d, 0, lost_cause(i, CAUSE_STORE_FULL), d->row.covered_until);
        }
}

/* A transaction of its own: what is watched is learned from the record anew, and all of it has a gap. */
static int record(Intake *i) {
        Adding *addings = STEAL(i->addings);    /* they are asked for anew */
        int r;

        datasets_free(i);
        i->addings = addings;
        r = intake_load(i);
        if (r == 0) {
                if (i->mounts_told)
                        datasets_place(i);
                open_gaps(i);
                r = i->error ? i->error : store_commit(i->store);
        }
        store_rollback(i->store);       /* after a commit there is nothing to forget */
        answers_drop(i, refusal(i));    /* the watchers are asked when it is over */
        intake_loaded(i, r);
        return r;
}

/* One try. room: more than what it takes to say that there is a gap. */
static bool resume(Intake *i, bool room) {
        Trouble *t = &i->trouble;

        if (i->error != STORE_E_FULL && open_anew(i) != 0) {
                t->full = !room;
                return false;
        }
        i->error = 0;
        if (room || !t->recorded)
                intake_fail(i, record(i));
        t->recorded |= i->error == 0;
        if (i->error == 0 && room)
                return true;
        if (i->error == 0)
                i->error = STORE_E_FULL;
        t->full = i->error == STORE_E_FULL;
        if (t->full)
                ballast_drop(store_dir(i->store));
        return false;
}

static const char *sentence(const Trouble *t) {
        return t->full ? "the store's volume is full: free some space" :
               t->gone ? "the store's database was taken away, and cannot be saved so far" :
                         "the store cannot be written";
}

static void tell(Intake *i) {
        Trouble *t = &i->trouble;

        if (t->told)
                return;
        t->told = true;
        log_event(LOG_CRIT, t->full ? MSG_STORE_FULL : MSG_STORE_FAILED, 0,
                  "The store %s; what happens until it can be written again is a gap",
                  t->full && t->gone ? "was taken away, and there is no space to save it" :
                  t->full            ? "has no space left on its volume" :
                  t->gone            ? "was taken away, and cannot be saved so far" :
                                       "could not be written",
                  "SCITRACE_STORE=%s", store_path(i->store));
}

void trouble_recover(Intake *i) {
        Trouble *t = &i->trouble;
        bool room = i->error != STORE_E_FULL && has_room(i);

        if (!room)
                ballast_drop(store_dir(i->store));
        *t = (Trouble) { .on = true, .full = i->error == STORE_E_FULL || !room,
                         .gone = store_is_gone(i->store), .since = now_usec(CLOCK_MONOTONIC) };
        if (!t->gone)                   /* else it may be saved at once, which is told then */
                tell(i);
        answers_drop(i, refusal(i));
        while (!resume(i, room)) {
                tell(i);
                set_degraded(i, sentence(t));
                if (!wait_refusing(i))
                        return;
                room = has_room(i);
        }
        t->on = false;
        set_degraded(i, NULL);
        if (t->told)
                log_event(LOG_NOTICE, MSG_STORE_WRITABLE, 0,
                          "The store can be written again, after %lld s; what happened meanwhile is looked "
                          "for",
                          (long long) ((now_usec(CLOCK_MONOTONIC) - t->since) / (int64_t) USEC_PER_SEC),
                          "SCITRACE_STORE=%s", store_path(i->store));
        answers_reset(i, NULL);
        feeds_open(i);
        intake_deliver(i);
}
