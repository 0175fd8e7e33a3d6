/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* settling: answers when everything before the question is recorded. For each watcher that is asked, in
 * four stages: the walks under way end; a barrier passes through its queues; the digests that its
 * observations led to are asked for; those requests are answered. The answer is given with the commit of the
 * transaction in which the last stage of the last one ends. Of each watcher one barrier is under way at a
 * time: who comes meanwhile waits for the next one, and shares it. */

static void ask_barrier(Intake *i, const Feed *f, uint64_t barrier, bool flush) {
        FeedMessage m = { .type = FEED_BARRIER, .BARRIER = { .barrier = barrier, .flush = flush } };

        intake_request(i, f, &m);
}

static bool walking(const Intake *i, const Feed *f, int64_t dataset) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].feed == f && i->datasets[n].walk != 0 &&
                    (dataset == 0 || i->datasets[n].row.id == dataset))
                        return true;
        return !f->there;
}

static Settling *settling_new(Intake *i, const Work *w, const Dataset *d) {
        size_t n = 0;
        Settling *s;

        for (const Feed *f = i->feeds; f; f = f->next)
                n += !d || d->feed == f;
        s = calloc(1, sizeof(*s) + n * sizeof(s->parts[0]));
        if (!s)
                return NULL;
        *s = (Settling) { .next = i->settlings, .dataset = d ? d->row.id : 0, .deadline = w->number,
                          .ticket = w->ticket };
        for (const Feed *f = i->feeds; f; f = f->next)
                if (!d || d->feed == f)
                        s->parts[s->n_parts++] = (SettlingPart) { .feed = f->id };
        return s;
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
        s = settling_new(i, w, d);
        if (!s) {
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED,
                                                              .error = -ENOMEM });
                return;
        }
        i->settlings = s;
}

static void answered(Intake *i, const Feed *f) {
        pthread_mutex_lock(&i->lock);
        for (size_t n = 0; n < i->n_feed_status; n++)
                if (i->feed_status[n].id == f->id)
                        i->feed_status[n].answered = now_usec(CLOCK_MONOTONIC);
        pthread_mutex_unlock(&i->lock);
}

/* Also the canary: a barrier of nobody's, whose return shows that the watcher sees. */
void settling_barrier(Intake *i, const Feed_BARRIER_DONE *m) {
        int64_t covered = m->oldest ? MIN_OF(m->oldest, m->time) : m->time;
        Feed *f = i->from;

        if (f->flushing == m->barrier)
                f->flushing = 0;
        for (Settling *s = i->settlings; s; s = s->next)
                for (size_t n = 0; n < s->n_parts; n++)
                        if (s->parts[n].feed == f->id && s->parts[n].stage == SETTLING_BARRIER &&
                            s->parts[n].barrier == m->barrier)
                                s->parts[n].stage = SETTLING_DIGESTS;
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (d->feed != f || !d->watched || d->walk != 0 || gap_on_dataset(i, d) ||
                    d->row.covered_until >= covered)
                        continue;
                d->row.covered_until = covered;
                if (store_dataset_covered(i->store, d->row.id, covered) != 0)
                        intake_fail(i, STORE_E_FAILED);
        }
        answered(i, f);
}

static void settled(Intake *i, const Settling *s) {
        intake_finish(i, s->ticket,
                      &(IntakeResult) { .seq = store_last_seq(i->store),
                                        .digests_pending = store_wanted_count(i->store) });
}

/* A walk that began meanwhile, for an overflow say, sends it back to the first stage. */
static bool advance_part(Intake *i, Feed *f, SettlingPart *p, int64_t dataset, uint64_t barrier) {
        if (walking(i, f, dataset)) {
                p->stage = SETTLING_WALK;
                return false;
        }
        if (p->stage == SETTLING_WALK && (f->flushing == 0 || f->flushing == barrier)) {
                p->stage = SETTLING_BARRIER;
                p->barrier = barrier;
                p->first = i->next_request;
                p->again = false;
                if (f->flushing == 0)
                        ask_barrier(i, f, barrier, true);
                f->flushing = barrier;
        }
        if (p->stage == SETTLING_DIGESTS)
                elsewhere_check(i);
        if (p->stage == SETTLING_DIGESTS && requests_compared(f)) {
                p->stage = SETTLING_REQUESTS;
                p->limit = i->next_request;
        }
        if (p->stage != SETTLING_REQUESTS || requests_open_before(f, p->limit))
                return false;
        if (!p->again)
                return true;
        p->stage = SETTLING_WALK;
        return advance_part(i, f, p, dataset, barrier);
}

/* A directory that came back was listed for a request: what is in it the watcher looks at in its own time,
 * unless a barrier makes it. */
void settlings_listed(Intake *i, const Feed *f, uint32_t request) {
        for (Settling *s = i->settlings; s; s = s->next)
                for (size_t n = 0; n < s->n_parts; n++)
                        if (s->parts[n].feed == f->id && s->parts[n].stage != SETTLING_WALK &&
                            request >= s->parts[n].first)
                                s->parts[n].again = true;
}

/* What a request asked for will be asked for once more: who waits for the one waits for that. */
void settlings_again(Intake *i, const Feed *f, uint32_t request) {
        for (Settling *s = i->settlings; s; s = s->next)
                for (size_t n = 0; n < s->n_parts; n++)
                        if (s->parts[n].feed == f->id && s->parts[n].stage == SETTLING_REQUESTS &&
                            request < s->parts[n].limit)
                                s->parts[n].again = true;
}

/* The answer to a request led to others: who waits for the one waits for these. */
void settlings_led(Intake *i, const Feed *f, uint32_t request) {
        for (Settling *s = i->settlings; s; s = s->next)
                for (size_t n = 0; n < s->n_parts; n++)
                        if (s->parts[n].feed == f->id && s->parts[n].stage == SETTLING_REQUESTS &&
                            request < s->parts[n].limit)
                                s->parts[n].limit = i->next_request;
}

/* The dataset's file system may have become another one's meanwhile. */
static void follow_dataset(Intake *i, const Settling *s, SettlingPart *p) {
        const Dataset *d = s->dataset ? dataset_find(i, s->dataset) : NULL;

        if (d && d->feed && p->feed != d->feed->id)
                *p = (SettlingPart) { .feed = d->feed->id };
}

static bool advance(Intake *i, Settling *s, uint64_t barrier) {
        bool through = true;

        for (size_t n = 0; n < s->n_parts; n++) {
                SettlingPart *p = &s->parts[n];
                Feed *f;

                follow_dataset(i, s, p);
                f = feed_find(i, p->feed);
                through &= !f || advance_part(i, f, p, s->dataset, barrier);
        }
        return through;
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

static void not_settled(Intake *i, const Settling *s) {
        IntakeResult result = { .outcome = INTAKE_E_NOT_SETTLED };

        for (size_t n = 0; n < s->n_parts; n++) {
                const Feed *f = feed_find(i, s->parts[n].feed);

                if (!f)
                        continue;
                result.pending += (int64_t) f->counts.pending + f->n_requests;
                result.stalled |= !f->there || s->parts[n].stage == SETTLING_BARRIER;
        }
        intake_finish(i, s->ticket, &result);
}

void settlings_tick(Intake *i, int64_t now) {
        for (Settling **p = &i->settlings, *s; (s = *p);)
                if (s->deadline <= now) {
                        not_settled(i, s);
                        *p = s->next;
                        free(s);
                } else {
                        p = &s->next;
                }
}

void settlings_lost(Intake *i, const Feed *f) {
        for (Settling *s = i->settlings; s; s = s->next)
                for (size_t n = 0; n < s->n_parts; n++)
                        if (s->parts[n].feed == f->id)
                                s->parts[n].stage = SETTLING_WALK;
}

void settlings_free(Intake *i) {
        for (Settling *s = i->settlings, *next; s; s = next) {
                next = s->next;
                free(s);
        }
        i->settlings = NULL;
}
