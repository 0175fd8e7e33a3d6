/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/eventfd.h>

#include "daemon/intake/internal.h"

/* answers: what goes back from the store thread to the main thread: results for callbacks, requests and
 * credit for the feed. All of it is held until the transaction that it depends on is committed. The store
 * thread knows callbacks by their tickets; they are the main thread's, and run there. */

typedef struct Callback {
        struct Callback *next;
        uint64_t ticket;
        void (*fn)(void);
        void *userdata;
} Callback;

static Done *hold(Intake *i, void (*run)(Intake *i, const Done *d)) {
        Done *d = calloc(1, sizeof(*d));

        if (!d) {
                intake_fail(i, -ENOMEM);
                return NULL;
        }
        d->run = run;
        *i->held_tail = d;
        i->held_tail = &d->next;
        return d;
}

static void done_free(Done *d) {
        free(d->dataset);
        free(d->data);
        free(d);
}

uint64_t intake_ticket(Intake *i, void (*fn)(void), void *userdata) {
        Callback *c = calloc(1, sizeof(*c));

        if (!c)
                return 0;
        *c = (Callback) { .next = i->callbacks, .ticket = ++i->next_ticket, .fn = fn, .userdata = userdata };
        i->callbacks = c;
        return c->ticket;
}

static Callback *take_callback(Intake *i, uint64_t ticket) {
        for (Callback **p = &i->callbacks, *c; (c = *p); p = &c->next)
                if (c->ticket == ticket) {
                        *p = c->next;
                        return c;
                }
        return NULL;
}

void intake_forget(Intake *i, void *userdata) {
        for (Callback **p = &i->callbacks, *c; (c = *p);)
                if (c->userdata == userdata) {
                        *p = c->next;
                        free(c);
                } else {
                        p = &c->next;
                }
}

static void run_result(Intake *i, const Done *d) {
        CLEANUP(freep) Callback *c = take_callback(i, d->ticket);
        IntakeResult result = d->result;

        result.dataset = d->dataset;
        if (c)
                ((IntakeDoneFn) c->fn)(c->userdata, &result);
}

void intake_finish(Intake *i, uint64_t ticket, const IntakeResult *result) {
        Done *d;

        if (ticket == 0)
                return;
        d = hold(i, run_result);
        if (!d)
                return;
        d->ticket = ticket;
        d->result = *result;
        d->dataset = result->dataset ? strdup(result->dataset) : NULL;
}

static void run_request(Intake *i, const Done *d) {
        if (i->ops.request)
                i->ops.request(i->ops_userdata, d->feed, &d->message);
}

/* The runs of bytes of a request, two at most; NULL: there is none. */
static void bytes_of(FeedMessage *m, Bytes *ret[2]) {
        ret[0] = ret[1] = NULL;
        switch (m->type) {
        case FEED_WATCH:
                ret[0] = &m->WATCH.path;
                break;
        case FEED_DIGEST:
                ret[0] = &m->DIGEST.name;
                ret[1] = &m->DIGEST.progress;
                break;
        case FEED_CHECK:
                ret[0] = &m->CHECK.name;
                break;
        default:
                break;
        }
}

/* One copy holds both. */
static int own_bytes(Done *d) {
        Bytes *runs[2];
        size_t size = 0;

        bytes_of(&d->message, runs);
        for (int n = 0; n < 2; n++)
                size += runs[n] ? runs[n]->size : 0;
        if (size == 0)
                return 0;
        d->data = malloc(size);
        if (!d->data)
                return -ENOMEM;
        for (int n = 0, at = 0; n < 2; n++) {
                if (!runs[n] || runs[n]->size == 0)
                        continue;
                memcpy(d->data + at, runs[n]->data, runs[n]->size);
                runs[n]->data = d->data + at;
                at += (int) runs[n]->size;
        }
        return 0;
}

void intake_request(Intake *i, const Feed *f, const FeedMessage *m) {
        Done *d = hold(i, run_request);

        if (!d)
                return;
        d->feed = f->id;
        d->message = *m;
        if (own_bytes(d) < 0) {
                intake_fail(i, -ENOMEM);
                d->message.type = FEED_CREDIT;  /* of none: harmless */
                d->message.CREDIT.frames = 0;
        }
}

static void run_counted(Intake *i, const Done *d) {
        CLEANUP(freep) Callback *c = take_callback(i, d->ticket);

        if (c)
                ((IntakeCountedFn) c->fn)(c->userdata, d->error, d->number, d->number2);
}

void intake_counted(Intake *i, uint64_t ticket, int error, int64_t number, int64_t number2) {
        Done *d = hold(i, run_counted);

        if (!d)
                return;
        d->ticket = ticket;
        d->error = error;
        d->number = number;
        d->number2 = number2;
}

static void hold_for(Intake *i, const Feed *f, void (*run)(Intake *i, const Done *d), int64_t number) {
        Done *d = hold(i, run);

        if (!d)
                return;
        d->feed = f ? f->id : 0;
        d->number = number;
}

static void run_consumed(Intake *i, const Done *d) {
        if (i->ops.consumed)
                i->ops.consumed(i->ops_userdata, d->feed, (unsigned) d->number);
}

void answers_consumed(Intake *i, const Feed *f, unsigned frames) {
        hold_for(i, f, run_consumed, frames);
}

static void run_open(Intake *i, const Done *d) {
        if (i->ops.open)
                i->ops.open(i->ops_userdata, d->feed);
}

void answers_feed_open(Intake *i, const Feed *f) {
        hold_for(i, f, run_open, 0);
}

static void run_close(Intake *i, const Done *d) {
        if (i->ops.close)
                i->ops.close(i->ops_userdata, d->feed);
}

void answers_feed_close(Intake *i, const Feed *f) {
        hold_for(i, f, run_close, 0);
}

static void run_reset(Intake *i, const Done *d) {
        if (i->ops.reset)
                i->ops.reset(i->ops_userdata, d->feed);
}

void answers_reset(Intake *i, const Feed *f) {
        hold_for(i, f, run_reset, 0);
}

void answers_drop(Intake *i, int error) {
        Done *kept = NULL, **tail = &kept;

        for (Done *d = i->held, *next; d; d = next) {
                next = d->next;
                d->next = NULL;
                if (d->run != run_result && d->run != run_counted) {
                        done_free(d);
                        continue;
                }
                if (d->run == run_result)       /* a snapshot is what it is */
                        d->result = (IntakeResult) { .outcome = INTAKE_E_FAILED, .error = error };
                *tail = d;
                tail = &d->next;
        }
        i->held = kept;
        i->held_tail = kept ? tail : &i->held;
}

void answers_release(Intake *i) {
        if (i->held) {
                *i->dones_tail = i->held;
                i->dones_tail = i->held_tail;
        }
        i->held = NULL;
        i->held_tail = &i->held;
}

static void free_dones(Done *dones) {
        for (Done *d = dones, *next; d; d = next) {
                next = d->next;
                done_free(d);
        }
}

void answers_free(Intake *i) {
        free_dones(i->dones);
        free_dones(i->held);
        for (Callback *c = i->callbacks, *next; c; c = next) {
                next = c->next;
                free(c);
        }
}

void intake_dispatch(Intake *i) {
        eventfd_t value;
        Done *dones;
        int64_t committed;

        (void) eventfd_read(i->event_fd, &value);
        pthread_mutex_lock(&i->lock);
        dones = i->dones;
        i->dones = NULL;
        i->dones_tail = &i->dones;
        committed = i->committed;
        pthread_mutex_unlock(&i->lock);
        for (Done *d = dones, *next; d; d = next) {
                next = d->next;
                d->run(i, d);
                done_free(d);
        }
        if (committed != i->commit_told && i->commit_fn) {
                i->commit_told = committed;
                i->commit_fn(i->commit_userdata, committed);
        }
}

void intake_on_commit(Intake *i, IntakeCommitFn fn, void *userdata) {
        i->commit_fn = fn;
        i->commit_userdata = userdata;
}

void intake_feed(Intake *i, const IntakeFeedOps *ops, void *userdata) {
        i->ops = ops ? *ops : (IntakeFeedOps) { 0 };
        i->ops_userdata = userdata;
}

bool intake_waiting(const Intake *i) {
        return i->callbacks;
}
