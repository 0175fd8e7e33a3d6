/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/eventfd.h>

#include "daemon/intake/internal.h"
#include "daemon/store/ballast.h"

/* The store thread: its transactions; and the beginning and end of it all. */

enum {
        GATHER_USEC = 20 * 1000,        /* between commits, at least, while only frames come ... */
        GATHER_FRAMES = 16,             /* ... and not so many: the watcher has credit for more */
        GATHER_REQUESTS = REQUESTS_SENT_MAX / 4,        /* more are under way: who waits, waits for many */
        WORKED_MANY = 10000,            /* events */
        REST_SECONDS = 1,
};

static int read_boot_id(uint8_t ret[EVENT_ID_SIZE]) {
        CLEANUP(fclosep) FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

        if (!f)
                return -errno;
        for (size_t n = 0; n < EVENT_ID_SIZE;) {
                char digits[3] = { 0 };
                int c = fgetc(f);

                if (c == '-')
                        continue;
                digits[0] = (char) c;
                digits[1] = (char) fgetc(f);
                if (c == EOF)
                        return -EBADMSG;
                ret[n++] = (uint8_t) strtoul(digits, NULL, 16);
        }
        return 0;
}

void intake_fail(Intake *i, int error) {
        if (i->error == 0)
                i->error = error == -ENOSPC ? STORE_E_FULL : error;
}

int intake_append(Intake *i, Event *e) {
        Dataset *d = dataset_find(i, e->dataset);
        StoreLink lost;
        int64_t seq;
        int r;

        memcpy(e->boot, i->boot, EVENT_ID_SIZE);
        if (d)
                memcpy(e->dataset_uuid, d->row.uuid, EVENT_ID_SIZE);
        r = store_append(i->store, e, &seq);
        if (r != 0) {
                intake_fail(i, r);
                return r;
        }
        i->appended++;
        fresh_appended(i, e);
        while (store_let_go(i->store, &lost))
                request_check(i, lost.parent, BYTES(lost.name, lost.name_size), e->origin, true);
        return 0;
}

static int64_t answered_before(const Intake *i, uint32_t feed) {
        for (size_t n = 0; n < i->n_feed_status; n++)
                if (i->feed_status[n].id == feed)
                        return i->feed_status[n].answered;
        return 0;
}

static void publish_feeds(Intake *i, IntakeStatus *all, int64_t wanted_count) {
        FeedStatus status[FEEDS_MAX];
        size_t n = 0;

        for (const Feed *f = i->feeds; f && n < FEEDS_MAX; f = f->next, n++) {
                status[n] = (FeedStatus) { .id = f->id, .counts = f->counts,
                                           .pending = (int64_t) f->counts.pending + f->n_requests,
                                           .answered = answered_before(i, f->id) };
                all->pending += status[n].pending;
                all->watches += (int64_t) f->counts.watches;
                all->overflows += (int64_t) f->counts.overflows;
                all->walked_twice += (int64_t) f->counts.walked_twice;
                all->swept += (int64_t) f->counts.swept;
                all->walked_again += (int64_t) f->counts.walked_again;
                add_limit(all, &f->counts);
                if (!f->wanted_done)
                        status[n].pending += wanted_count;
        }
        memcpy(i->feed_status, status, n * sizeof(status[0]));
        i->n_feed_status = n;
}

static void sooner(int64_t *due, int64_t at) {
        if (at != 0 && (*due == 0 || at < *due))
                *due = at;
}

static void publish_status(Intake *i, int64_t wanted_count) {
        IntakeStatus all = { .watched = true, .pending = wanted_count };

        map_clear(&i->status_of);
        for (size_t n = 0; n < i->n_datasets; n++) {
                const Dataset *d = &i->datasets[n];
                uint64_t flags = (d->walk != 0 ? 1u : 0u) | (d->watched ? 2u : 0u) | (d->stalled ? 4u : 0u);

                if (d->row.removed)
                        continue;
                all.scanning |= d->walk != 0;
                all.watched &= d->watched;
                all.stalled |= d->stalled;
                sooner(&all.due, d->retry_at);
                sooner(&all.due, d->network && d->watched ? d->poll_at : 0);
                (void) map_put(&i->status_of, (uint64_t) d->row.id,
                               flags | (d->feed ? (uint64_t) d->feed->id << 8 : 0));
        }
        publish_feeds(i, &all, wanted_count);
        i->status = all;
}

void intake_deliver(Intake *i) {
        pthread_mutex_lock(&i->lock);
        publish_status(i, store_wanted_count(i->store));
        if (i->error == 0)              /* else it may tell of what never was committed */
                i->committed = store_last_seq(i->store);
        answers_release(i);
        pthread_mutex_unlock(&i->lock);
        eventfd_write(i->event_fd, 1);
}

int intake_begin(Intake *i) {
        ClocksNow now = clocks_read();
        int r = store_begin(i->store, now.realtime, now.boottime, i->boot);

        return r == 0 ? clocks_begun(i, &now) : r;
}

void intake_committed(Intake *i, bool durable) {
        sealing_committed(i, durable);
        clocks_committed(i, durable);
}

static void grant_credit(Intake *i) {
        for (Feed *f = i->feeds; f; f = f->next) {
                if (f->frames > 0)
                        answers_consumed(i, f, f->frames);
                f->frames = 0;
        }
}

static void finish_transaction(Intake *i) {
        if (i->error == 0) {
                requests_pump(i);
                settlings_advance(i);
                feeds_trim(i);
        }
        if (i->error == 0)
                i->error = store_commit(i->store);
        else
                store_rollback(i->store);
        intake_committed(i, i->error == 0);
        i->worked += i->appended;
        i->appended = 0;
        if (i->error != 0) {
                trouble_recover(i);
                return;
        }
        grant_credit(i);
        intake_deliver(i);
}

void work_free(Work *w) {
        if (w->done)
                w->done(w);
        free(w->data);
        free(w->name);
        free(w);
}

static void run_works(Intake *i, Work *works) {
        bool open = false;

        for (Work *w = works, *next; w; w = next) {
                next = w->next;
                if (i->trouble.on) {    /* we are ending in it */
                        work_refuse(i, w);
                        continue;
                }
                if (!open && intake_begin(i) != 0)
                        intake_fail(i, STORE_E_FAILED);
                open = true;
                if (i->error == 0) {
                        w->run(i, w);
                        work_free(w);
                } else {
                        work_refuse(i, w);
                }
                if (i->appended >= TRANSACTION_MAX || i->error != 0) {
                        finish_transaction(i);
                        open = false;
                }
        }
        if (open)
                finish_transaction(i);
}

/* Under the lock. A commit writes every page that its events touched, so in a storm many small ones cost
 * several times what one costs: after a commit, frames gather for a moment. A change that comes alone waits
 * for nothing; nor does what somebody asks for, nor the watcher's answers to few requests of ours. */
static bool gathers(Intake *i) {
        int64_t until = i->committed_at + GATHER_USEC;
        struct timespec at = timespec_of(until);

        if (i->stop || i->n_urgent > 0 || i->n_frames >= GATHER_FRAMES ||
            (i->requests.count > 0 && i->requests.count < GATHER_REQUESTS) ||
            now_usec(CLOCK_MONOTONIC) >= until)
                return false;
        pthread_cond_timedwait(&i->wake, &i->lock, &at);
        return true;
}

/* Under the lock. After much work, and a moment without any, the system gets back what the store and malloc
 * keep. */
static void rest(Intake *i) {
        struct timespec at;

        if (i->worked < WORKED_MANY) {
                pthread_cond_wait(&i->wake, &i->lock);
                return;
        }
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += REST_SECONDS;
        if (pthread_cond_timedwait(&i->wake, &i->lock, &at) != ETIMEDOUT)
                return;
        i->worked = 0;
        pthread_mutex_unlock(&i->lock);
        store_rest(i->store);
        (void) malloc_trim(0);
        pthread_mutex_lock(&i->lock);
}

static void *store_thread(void *userdata) {
        Intake *i = userdata;

        pthread_setname_np(pthread_self(), "store");
        if (i->error != 0)
                trouble_recover(i);
        pthread_mutex_lock(&i->lock);
        while (!i->stop || i->works) {
                Work *works = i->works;

                if (!works) {
                        rest(i);
                        continue;
                }
                if (gathers(i))
                        continue;
                i->works = NULL;
                i->works_tail = &i->works;
                i->n_frames = i->n_urgent = 0;
                pthread_mutex_unlock(&i->lock);
                run_works(i, works);
                i->committed_at = now_usec(CLOCK_MONOTONIC);
                pthread_mutex_lock(&i->lock);
        }
        pthread_mutex_unlock(&i->lock);
        return NULL;
}

/* The main thread's side. */

int intake_queue(Intake *i, Work *w) {
        if (!w)
                return -ENOMEM;
        pthread_mutex_lock(&i->lock);
        *i->works_tail = w;
        i->works_tail = &w->next;
        if (w->run == observe_frame)
                i->n_frames++;
        else
                i->n_urgent++;
        pthread_cond_signal(&i->wake);
        pthread_mutex_unlock(&i->lock);
        return 0;
}

int intake_load(Intake *i) {
        int r = i->running ? 0 : store_run_start(i->store, &i->clean, &i->first);
        Cause ended = i->clean ? CAUSE_STOPPED : CAUSE_CRASHED;

        if (r < 0)
                return r;
        i->running = true;
        r = intake_begin(i);
        if (r == 0)
                r = lost_record(i);
        if (r == 0)
                r = datasets_load(i, i->first ? CAUSE_NONE : lost_cause(i, ended));
        return r == 0 ? i->error : r;
}

void intake_loaded(Intake *i, int r) {
        if (r != 0)
                return;
        i->first = true;
        i->lost = (Lost) { 0 };
}

/* On a full volume, or on one that is as good as full, the store thread begins in trouble. */
static int load(Intake *i) {
        int r;

        lost_look(i, false);
        readings_load(i);
        r = intake_load(i);
        if (r == 0)
                sealing_seal(i);
        if (r == 0)
                r = store_commit(i->store);
        else
                store_rollback(i->store);
        intake_committed(i, r == 0);
        i->committed = store_last_seq(i->store);
        intake_loaded(i, r);
        if (r == 0)
                r = ballast_make(store_dir(i->store)) == -ENOSPC ? STORE_E_FULL : 0;
        if (r == STORE_E_FULL || r == -ENOSPC) {
                ballast_drop(store_dir(i->store));      /* whatever else is made at the start needs it too */
                i->error = STORE_E_FULL;
                return 0;
        }
        return r > 0 ? -EIO : r;
}

static void init_wake(Intake *i) {
        pthread_condattr_t monotonic;

        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&i->wake, &monotonic);
        pthread_condattr_destroy(&monotonic);
}

int intake_new(Store *store, Intake **ret) {
        Intake *i = calloc(1, sizeof(*i));
        int r;

        assert(store && ret);
        if (!i)
                return -ENOMEM;
        i->store = store;
        i->works_tail = &i->works;
        i->dones_tail = &i->dones;
        i->held_tail = &i->held;
        i->digest_max = INT64_MAX;
        i->poll_usec = 600 * (int64_t) USEC_PER_SEC;
        i->next_walk = i->next_request = 1;
        i->next_token = TOKEN_NEW;
        i->next_feed = 1;
        i->next_barrier = 1;
        pthread_mutex_init(&i->lock, NULL);
        init_wake(i);
        i->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = i->event_fd < 0 ? -errno : read_boot_id(i->boot);
        if (r == 0)
                r = load(i);
        if (r == 0)
                r = -pthread_create(&i->thread, NULL, store_thread, i);
        if (r < 0) {
                i->store = NULL;        /* stays the caller's */
                intake_free(i, false);
                return r;
        }
        i->started = true;
        *ret = i;
        return 0;
}

Intake *intake_free(Intake *i, bool clean) {
        if (!i)
                return NULL;
        if (i->started) {
                pthread_mutex_lock(&i->lock);
                __atomic_store_n(&i->stop, true, __ATOMIC_RELAXED);
                pthread_cond_signal(&i->wake);
                pthread_mutex_unlock(&i->lock);
                pthread_join(i->thread, NULL);
        }
        if (i->store && store_is_gone(i->store)) {      /* what is not saved now is lost */
                intake_fail(i, STORE_E_FAILED);
                trouble_recover(i);
        }
        if (i->store && clean) {        /* in trouble it may fail, and the gap begins where it did */
                sealing_end(i);
                (void) store_run_end(i->store);
        }
        datasets_free(i);
        feeds_free(i);
        mounts_done(&i->mounts);
        settlings_free(i);
        store_close(i->store);
        answers_free(i);
        map_done(&i->status_of);
        map_done(&i->nodes);
        map_done(&i->dirs);
        map_done(&i->roots);
        map_done(&i->fresh);
        map_done(&i->requests);
        map_done(&i->asked);
        if (i->event_fd >= 0)
                close(i->event_fd);
        pthread_cond_destroy(&i->wake);
        pthread_mutex_destroy(&i->lock);
        free(i);
        return NULL;
}

void intake_digest_max(Intake *i, int64_t bytes) {
        i->digest_max = bytes;
}

void intake_poll(Intake *i, int64_t usec) {
        i->poll_usec = usec;
}

int intake_fd(const Intake *i) {
        return i->event_fd;
}

const char *intake_degraded(const Intake *i) {
        return __atomic_load_n(&i->degraded, __ATOMIC_ACQUIRE);
}

const char *intake_unsealed(const Intake *i) {
        return __atomic_load_n(&i->unsealed, __ATOMIC_ACQUIRE);
}

void intake_status(Intake *i, int64_t dataset, IntakeStatus *ret) {
        uint64_t flags = 0;

        pthread_mutex_lock(&i->lock);
        *ret = i->status;
        if (dataset != 0) {
                map_get(&i->status_of, (uint64_t) dataset, &flags);
                *ret = (IntakeStatus) { .scanning = flags & 1, .watched = flags & 2, .stalled = flags & 4 };
        }
        for (size_t n = 0; dataset != 0 && n < i->n_feed_status; n++) {
                const FeedStatus *f = &i->feed_status[n];

                if (f->id != flags >> 8)
                        continue;
                ret->pending = f->pending;
                ret->watches = (int64_t) f->counts.watches;
                ret->overflows = (int64_t) f->counts.overflows;
                ret->walked_twice = (int64_t) f->counts.walked_twice;
                ret->swept = (int64_t) f->counts.swept;
                ret->walked_again = (int64_t) f->counts.walked_again;
                add_limit(ret, &f->counts);
        }
        pthread_mutex_unlock(&i->lock);
}

int64_t intake_answered(Intake *i, uint32_t feed) {
        int64_t answered;

        pthread_mutex_lock(&i->lock);
        answered = answered_before(i, feed);
        pthread_mutex_unlock(&i->lock);
        return answered;
}
