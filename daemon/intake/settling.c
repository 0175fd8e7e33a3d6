/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* settling: answers when everything before the question is recorded. In four stages: the walks under way
 * end; a barrier passes through the watcher's queues; the digests that its observations led to are asked
 * for; those requests are answered. The answer is given with the commit of the transaction in which the last
 * stage ends. One barrier is under way at a time: who comes meanwhile waits for the next one,
 * and shares it. */

static void ask_barrier(Intake *i, uint64_t barrier, bool flush) {
        FeedMessage m = { .type = FEED_BARRIER, .BARRIER = { .barrier = barrier, .flush = flush } };

        intake_request(i, &m);
}

static bool walking(const Intake *i, int64_t dataset) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].walk != 0 && (dataset == 0 || i->datasets[n].row.id == dataset))
                        return true;
        return !i->feed;
}

void settling_add(Intake *i, Work *w) {
        Settling *s;
        const Dataset *d = NULL;

        for (size_t n = 0; w->name && n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed && strcmp(i->datasets[n].row.name, w->name) == 0)
                        d = &i->datasets[n];
        if (w->name && !d) {
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_NO_DATASET,
                                                              .dataset = w->name });
                return;
        }
        s = calloc(1, sizeof(*s));
        if (!s) {
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED,
                                                              .error = -ENOMEM });
                return;
        }
        *s = (Settling) { .next = i->settlings, .dataset = d ? d->row.id : 0, .deadline = w->number,
                          .ticket = w->ticket };
        i->settlings = s;
}

/* Also the canary: a barrier of nobody's, whose return shows that the watcher sees. */
void settling_barrier(Intake *i, const Feed_BARRIER_DONE *m) {
        int64_t covered = m->oldest ? MIN_OF(m->oldest, m->time) : m->time;

        if (i->flushing == m->barrier)
                i->flushing = 0;
        for (Settling *s = i->settlings; s; s = s->next)
                if (s->stage == SETTLING_BARRIER && s->barrier == m->barrier)
                        s->stage = SETTLING_DIGESTS;
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (!d->watched || d->walk != 0 || gap_on_dataset(i, d) || d->row.covered_until >= covered)
                        continue;
                d->row.covered_until = covered;
                if (store_dataset_covered(i->store, d->row.id, covered) != 0)
                        intake_fail(i, STORE_E_FAILED);
        }
        pthread_mutex_lock(&i->lock);
        i->status.answered = now_usec(CLOCK_MONOTONIC);
        pthread_mutex_unlock(&i->lock);
}

static void settled(Intake *i, const Settling *s) {
        intake_finish(i, s->ticket,
                      &(IntakeResult) { .seq = store_last_seq(i->store),
                                        .digests_pending = store_wanted_count(i->store, INT64_MAX) });
}

/* A walk that began meanwhile, for an overflow say, sends it back to the first stage. */
static bool advance(Intake *i, Settling *s, uint64_t barrier) {
        if (walking(i, s->dataset)) {
                s->stage = SETTLING_WALK;
                return false;
        }
        if (s->stage == SETTLING_WALK && (i->flushing == 0 || i->flushing == barrier)) {
                s->stage = SETTLING_BARRIER;
                s->barrier = barrier;
                if (i->flushing == 0)
                        ask_barrier(i, barrier, true);
                i->flushing = barrier;
        }
        if (s->stage == SETTLING_DIGESTS)
                elsewhere_check(i);
        if (s->stage == SETTLING_DIGESTS && i->wanted_done) {
                s->stage = SETTLING_REQUESTS;
                s->limit = i->next_request;
        }
        return s->stage == SETTLING_REQUESTS && !requests_open_before(i, s->limit);
}

void settlings_advance(Intake *i) {
        uint64_t barrier = i->next_barrier++;

        for (Settling **p = &i->settlings, *s; (s = *p);)
                if (advance(i, s, barrier)) {
                        settled(i, s);
                        *p = s->next;
                        free(s);
                } else {
                        p = &s->next;
                }
}

void settlings_tick(Intake *i, int64_t now) {
        for (Settling **p = &i->settlings, *s; (s = *p);)
                if (s->deadline <= now) {
                        IntakeResult result = {
                                .outcome = INTAKE_E_NOT_SETTLED,
                                .pending = i->feed_pending + (int64_t) i->requests.count,
                                .stalled = !i->feed || s->stage == SETTLING_BARRIER,
                        };

                        intake_finish(i, s->ticket, &result);
                        *p = s->next;
                        free(s);
                } else {
                        p = &s->next;
                }
}

void settlings_lost(Intake *i) {
        i->flushing = 0;
        for (Settling *s = i->settlings; s; s = s->next)
                s->stage = SETTLING_WALK;
}

void settlings_free(Intake *i) {
        for (Settling *s = i->settlings, *next; s; s = next) {
                next = s->next;
                free(s);
        }
        i->settlings = NULL;
}
