/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/watch/directory.h"
#include "daemon/watch/walk.h"

/* look: asks what a name is now, and reports it unless the name went or moved meanwhile. What takes long to
 * read is parked between two slices, with nothing open, and other names come first. */

enum {
        BATCH = 64,                     /* names of one directory looked at with one opening of it */
        TRIES_OPEN = 3,                 /* a file that changes under the look: then it is a version `open` */
        TRIES_GONE = 1,                 /* a name that is not there: its notice may still be on its way */
        PARKED_MANY = 8,                /* then those are gone on with before more is begun */
        PARKED_WAIT_USEC = 1000 * 1000, /* so long at most names that are due come before a slice */
        TOLD_USEC = 5 * 1000 * 1000,    /* progress is told so often, or ... */
        TOLD_BYTES = 1 << 30,           /* ... when so much more is read */
};

static const char pressure_path[] = "/proc/pressure/io";

typedef struct Sight {                  /* what one look found */
        enum { SIGHT_STATE, SIGHT_GONE, SIGHT_AGAIN, SIGHT_DROP, SIGHT_DIRECTORY, SIGHT_HEAD,
               SIGHT_PARK } what;
        IdentifyState state;
        IdentifyContent content;
        DigestSource digest_source;     /* NONE: there is no digest */
        bool open, ignored;
        DatasetKind kind;
        int error;                      /* content could not be read */
        uint8_t *target;
        size_t target_size;
        char commit[65];
} Sight;

typedef struct Slice {
        const Watch *w;
        int64_t from, end;              /* bytes where it began; µs */
} Slice;

/* A slice reads something, however late it is. */
static int pause_slice(void *userdata, int64_t done) {
        const Slice *s = userdata;

        return __atomic_load_n(&s->w->stop, __ATOMIC_RELAXED) ||
               (done > s->from && now_usec(CLOCK_MONOTONIC) >= s->end);
}

/* Of files that people may not read but have linked here (where the kernel lets them), the content is none
 * of the dataset's. */
static bool is_foreign(const Watch *w, const Spot *p, const IdentifyState *state) {
        return w->links_open && state->nlink > 1 && state->uid != p->root.uid && p->root.uid != 0 &&
               !(state->mode & S_IROTH);
}

static void read_content(Looker *l, int held, const SettleJob *job, IdentifyReading *reading, Sight *ret) {
        const Watch *w = l->watch;
        bool asked = job->change.flags & SETTLE_READ;
        int64_t now = now_usec(CLOCK_MONOTONIC);
        Slice slice = { w, reading->done, pace_slice_end(now) };
        IdentifyLimits limits = { asked ? w->read_max : MIN_OF(w->digest_max, w->read_max), pause_slice,
                                  &slice };
        int r;

        l->state = ret->state;
        __atomic_store_n(&l->reads, true, __ATOMIC_RELEASE);
        r = identify_file(held, &l->state, &limits, reading, &ret->state, &ret->content);

        switch (r) {
        case IDENTIFY_E_RACY:           /* what comes later in the same tick is noticed by itself; should */
                ret->state.ctime = -ret->state.ctime;   /* that be lost, no ctime shows it */
                /* fall through */
        case 0:
                ret->digest_source = DIGEST_SOURCE_READ;
                break;
        case IDENTIFY_E_CHANGED:
                if (job->old || job->flushed || job->change.tries >= TRIES_OPEN)
                        ret->open = true;
                else
                        ret->what = SIGHT_AGAIN;
                break;
        case IDENTIFY_E_PAUSED:
                ret->what = __atomic_load_n(&w->stop, __ATOMIC_RELAXED) ? SIGHT_DROP : SIGHT_PARK;
                break;
        case -ENOENT:
                ret->what = SIGHT_AGAIN;
                break;
        case -EAGAIN:                   /* who holds a lease is asked to give it up, and not waited for: */
                ret->open = true;       /* after a while the kernel takes it, of which no notice tells */
                ret->error = EAGAIN;
                break;
        case -EFBIG:                    /* larger than it was, and read when asked for; or never */
                ret->error = asked ? EFBIG : 0;
                break;
        default:
                ret->error = -r;
        }
}

static void look_at_content(Looker *l, const Spot *p, int held, const SettleJob *job,
                            IdentifyReading *reading, Sight *ret) {
        const Watch *w = l->watch;

        if (!(job->change.flags & SETTLE_CONTENT))
                return;
        if (held < 0)                   /* a moment before it was a symbolic link */
                ret->what = SIGHT_AGAIN;
        else if (identify_object(p->path, job->name, &ret->state, ret->content.digest))
                ret->digest_source = DIGEST_SOURCE_KEY;
        else if (is_foreign(w, p, &ret->state))
                ret->error = EPERM;
        else if (job->change.flags & SETTLE_READ || ret->state.size <= w->digest_max)
                read_content(l, held, job, reading, ret);
}

/* What may be read is held from here on: it is the same node throughout. A symbolic link cannot be. */
static int take_state(const Spot *p, const SettleJob *job, int *ret_held, IdentifyState *ret) {
        if (job->change.flags & SETTLE_CONTENT) {
                int r = identify_hold(p->fd, job->name, ret);

                if (r >= 0)
                        *ret_held = r;
                if (r != -ELOOP)
                        return MIN_OF(r, 0);
        }
        return identify_stat(p->fd, job->name, ret);
}

static void look_at_name(Looker *l, const Spot *p, const SettleJob *job, IdentifyReading *reading,
                         Sight *ret) {
        CLEANUP(closep) int held = -1;
        int r = take_state(p, job, &held, &ret->state);

        ret->what = SIGHT_STATE;
        if (r == -ENOENT) {
                /* Who asks after a walk asks for what is; a notice may still be on its way. */
                ret->what = job->change.origin == ORIGIN_LIVE && job->change.tries < TRIES_GONE
                            ? SIGHT_AGAIN : SIGHT_GONE;
                return;
        }
        if (r < 0) {
                ret->what = SIGHT_DROP;
                ret->error = -r;
                return;
        }
        if (state_ignored(l->watch, p->path, job->name, S_ISDIR(ret->state.mode))) {
                ret->what = SIGHT_GONE;
                ret->ignored = true;
        } else if (S_ISREG(ret->state.mode)) {
                look_at_content(l, p, held, job, reading, ret);
        } else if (S_ISLNK(ret->state.mode)) {
                r = identify_target(p->fd, job->name, &ret->target, &ret->target_size);
                if (r < 0)
                        ret->what = SIGHT_AGAIN;
        } else if (S_ISDIR(ret->state.mode)) {
                ret->what = SIGHT_DIRECTORY;
        }
}

static void report_state(Watch *w, const SettleJob *job, const Sight *sight) {
        FeedMessage m;

        state_observed(&m, job, &sight->state);
        m.STATE.flags |= (uint16_t) ((job->change.flags & SETTLE_CONTENT ? FEED_FLAG_CONTENT : 0) |
                                     (sight->open ? FEED_FLAG_OPEN : 0));
        if (sight->digest_source != DIGEST_SOURCE_NONE)
                m.STATE.digest = BYTES(sight->content.digest, sizeof(sight->content.digest));
        m.STATE.digest_source = (uint8_t) sight->digest_source;
        m.STATE.target = sight->target             ? BYTES(sight->target, sight->target_size) :
                         sight->content.key_size > 0 ? BYTES(sight->content.key, sight->content.key_size) :
                                                       BYTES_NONE;
        state_emit(w, &m, true);
        if (sight->error != 0)
                state_gap(w, 0, job->dir, BYTES(job->name, job->name_size),
                          state_cause(sight->error), sight->error);
}

static void report_gone(Watch *w, const SettleJob *job, bool was_ignored) {
        const SettleChange *c = &job->change;
        FeedMessage m = { .type = FEED_GONE,
                          .GONE = { .dir = job->dir, .name = BYTES(job->name, job->name_size),
                                    .request = c->request, .origin = c->origin, .first = c->first,
                                    .last = c->last, .count = was_ignored ? 0 : c->count,
                                    .flags = was_ignored                   ? FEED_FLAG_IGNORED :
                                             c->flags & SETTLE_CONTENT     ? FEED_FLAG_CONTENT :
                                                                             0 } };

        state_emit(w, &m, true);
}

/* Of the root itself: what it is, under no name, and its repository's HEAD. */
static void report_head(Watch *w, const SettleJob *job, const Directory *d, const Sight *sight) {
        FeedMessage m = { .type = FEED_HEAD,
                          .HEAD = { .root = d->root, .kind = (uint8_t) sight->kind,
                                    .commit = BYTES_STR(sight->commit), .time = now_usec(CLOCK_REALTIME) } };
        FeedMessage root;

        if (sight->state.inode != 0) {
                state_observed(&root, job, &sight->state);
                state_emit(w, &root, true);
        }
        state_emit(w, &m, true);
}

static void touch_more(Watch *w, uint32_t dir, const SettleJob *job, uint16_t flags, bool inherit) {
        SettleNotice n = { .dir = dir, .name = BYTES(job->name, job->name_size), .flags = flags,
                           .origin = job->change.origin };

        if (inherit) {
                n.anew = true;
                n.count = job->change.count;
                n.request = job->change.request;
                n.epoch = job->change.epoch;
        }
        state_touch(w, &n, moment_now());
}

/* What lies in .git, other than objects, may have moved HEAD; that, and .datalad, makes the kind. */
static void suspect_head(Watch *w, const Spot *p, const Directory *d, const SettleJob *job) {
        bool git = strcmp(p->path, ".git") == 0 || strncmp(p->path, ".git/", 5) == 0 ||
                   strcmp(p->path, ".datalad") == 0 ||
                   (p->path[0] == '\0' && (strcmp(job->name, ".git") == 0 ||
                                           strcmp(job->name, ".datalad") == 0));
        SettleNotice n = { .dir = (uint32_t) p->root.wd, .name = BYTES("", 0), .origin = ORIGIN_LIVE,
                           .epoch = job->change.epoch };

        if (git && d && strncmp(p->path, ".git/objects", 12) != 0 &&
            strncmp(p->path, ".git/annex/objects", 18) != 0)
                state_touch(w, &n, moment_now());
}

/* A directory that is watched; one that is to be listed goes back to those who list. */
static bool is_all(const SettleJob *job, const Directory *child, const IdentifyState *state) {
        const uint16_t list = SETTLE_DIRECTORY | SETTLE_READ;

        return child && child->inode == state->inode && child->btime == state->btime &&
               (job->change.flags & list) != list;
}

static void conclude(Watch *w, const Spot *p, const SettleJob *job, const Sight *sight) {
        Directory *d = table_find(w->table, (int) job->dir), *child;
        bool again = sight->what == SIGHT_AGAIN && job->change.tries < TRIES;
        bool reports = settle_fresh(w->settle, job) && d;

        if (reports) {
                switch (sight->what) {
                case SIGHT_STATE:
                        d->removals++;  /* what a listing saw of it before must not be reported after this */
                        report_state(w, job, sight);
                        break;
                case SIGHT_GONE:
                        report_gone(w, job, sight->ignored);
                        break;
                case SIGHT_HEAD:
                        report_head(w, job, d, sight);
                        break;
                case SIGHT_DIRECTORY:
                        child = table_child(w->table, d, BYTES(job->name, job->name_size));
                        if (is_all(job, child, &sight->state)) {
                                report_state(w, job, sight);
                                state_announce(w, child);
                        } else {
                                touch_more(w, job->dir, job,
                                           (uint16_t) (job->change.flags | SETTLE_DIRECTORY |
                                                       (job->change.tries > 0 ? SETTLE_EARLY : 0)),
                                           true);
                        }
                        break;
                case SIGHT_AGAIN:
                        if (!again)
                                report_gone(w, job, false);
                        break;
                case SIGHT_PARK:
                case SIGHT_DROP:
                        state_failed(w, job->change.request, sight->error ? sight->error : ECANCELED);
                        if (sight->error != 0)
                                directory_refused(w, d, BYTES(job->name, job->name_size), sight->error);
                        break;
                }
                suspect_head(w, p, sight->what == SIGHT_HEAD ? NULL : d, job);
                if (sight->open)        /* a version of now; what follows belongs to the next */
                        touch_more(w, job->dir, job, SETTLE_CONTENT, false);
        }
        state_done(w, job, again, reports);
}

/* The directory could not be reached as the one that was meant. */
static void conclude_unreachable(Watch *w, const SettleJob *jobs, size_t n, uint32_t root, bool root_failed,
                                 int error) {
        Root *lost = root_failed && spot_moved(error) ? state_root(w, root) : NULL;

        if (lost)
                state_root_lost(w, lost, CAUSE_ROOT_MOVED);
        for (size_t i = 0; i < n; i++)
                state_done(w, &jobs[i], !lost && directory_unreached(w, &jobs[i], root, error), false);
}

static void look(Looker *l, const Spot *p, const SettleJob *job, IdentifyReading *reading, Sight *ret) {
        if (job->name_size > 0) {
                look_at_name(l, p, job, reading, ret);
                return;
        }
        ret->what = SIGHT_HEAD;
        (void) identify_stat(p->fd, "", &ret->state);
        if (identify_git_head(p->root.path, &ret->kind, ret->commit) < 0)
                ret->what = SIGHT_DROP;
}

/* From here on under the lock, which is let go for what may wait. */

static void park(Watch *w, Parked *k) {
        k->next = w->slices.first;      /* one is gone on with until it is done */
        w->slices.first = k;
        w->slices.count++;
        pthread_cond_signal(&w->look);
}

static void park_new(Watch *w, const SettleJob *job, const IdentifyReading *reading) {
        Parked *k = malloc(sizeof(*k));

        if (!k) {
                state_done(w, job, true, false);
                return;
        }
        *k = (Parked) { .job = *job, .reading = *reading, .told = reading->done,
                        .told_at = now_usec(CLOCK_MONOTONIC) };
        park(w, k);
}

static void let_go(Looker *l) {
        __atomic_store_n(&l->reads, false, __ATOMIC_RELAXED);
        __atomic_store_n(&l->waits, true, __ATOMIC_RELAXED);
        l->waited = 0;
        pthread_mutex_unlock(&l->watch->lock);
}

/* False: it took so long that the looker was given up, and with it all that it had in hand. */
static bool take_back(Looker *l) {
        __atomic_store_n(&l->waits, false, __ATOMIC_RELAXED);   /* but, from here on, for us */
        pthread_mutex_lock(&l->watch->lock);
        if (l->lost)
                looker_back(l);
        return !l->lost;
}

enum { OPEN_E_LOST = 1 };

static int find_and_open(Looker *l, uint32_t dir, Spot *ret, uint32_t *ret_root, bool *ret_root_failed) {
        int r = spot_find(l->watch, dir, ret);

        *ret_root = ret->root.id;
        if (r == 0) {
                let_go(l);
                r = spot_open(ret, ret_root_failed);
                if (!take_back(l))
                        r = OPEN_E_LOST;
        }
        return r;
}

static void take_resume(Watch *w, const SettleJob *job, IdentifyReading *ret) {
        for (size_t i = 0; job->change.request != 0 && i < RESUMES_MAX; i++)
                if (w->slices.resumes[i].request == job->change.request) {
                        *ret = w->slices.resumes[i].reading;
                        w->slices.resumes[i].request = 0;
                }
}

static bool look_one(Looker *l, const Spot *spot, const SettleJob *job) {
        IdentifyReading reading = { 0 };
        Watch *w = l->watch;
        Sight sight = { 0 };
        bool here;

        take_resume(w, job, &reading);
        let_go(l);
        look(l, spot, job, &reading, &sight);
        here = take_back(l);
        if (here && sight.what == SIGHT_PARK)
                park_new(w, job, &reading);
        else if (here)
                conclude(w, spot, job, &sight);
        state_barriers(w);
        free(sight.target);
        return here;
}

static void look_batch(Looker *l, const SettleJob *jobs, size_t n) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        int64_t until = 0;

        for (size_t i = 0; i < n; i++) {
                bool root_failed = false;
                uint32_t root = 0;
                int r = 0;

                if (outbox_frames(l->watch->outbox) >= OUTBOX_ROOM)
                        spot_done(&spot);
                wait_for_room(l->watch);
                l->jobs = jobs + i;
                l->n_jobs = n - i;
                /* Not kept open for long: its file system could not be unmounted. */
                if (spot.fd < 0 || now_usec(CLOCK_MONOTONIC) > until) {
                        spot_done(&spot);
                        r = find_and_open(l, jobs[0].dir, &spot, &root, &root_failed);
                        until = now_usec(CLOCK_MONOTONIC) + PACE_SLICE_USEC;
                }
                if (r < 0)
                        conclude_unreachable(l->watch, jobs + i, n - i, root, root_failed, r);
                if (r != 0 || !look_one(l, &spot, &jobs[i]))
                        break;
        }
        l->n_jobs = 0;
}

static void tell_progress(Watch *w, Parked *k, int64_t now) {
        uint8_t saved[IDENTIFY_READING_SIZE];
        FeedMessage m = { .type = FEED_PROGRESS,
                          .PROGRESS = { .request = k->job.change.request, .done = k->reading.done,
                                        .reading = BYTES(saved, sizeof(saved)) } };

        if (m.PROGRESS.request == 0 ||
            (now - k->told_at < TOLD_USEC && k->reading.done - k->told < TOLD_BYTES))
                return;
        identify_reading_save(&k->reading, saved);
        k->told = k->reading.done;
        k->told_at = now;
        state_emit(w, &m, false);
}

/* After a slice: whether there are more. */
static bool looked_on(Looker *l, Parked *k, const Spot *spot, const Sight *sight, int64_t began) {
        int64_t now = now_usec(CLOCK_MONOTONIC);
        Watch *w = l->watch;

        if (w->slices.slow)
                w->slices.not_before = now + (now - began) * (PACE_SLOW_PART - 1);
        if (sight->what != SIGHT_PARK) {
                conclude(w, spot, &k->job, sight);
                return false;
        }
        tell_progress(w, k, now);
        park(w, k);
        return true;
}

/* One more slice. */
static void look_on(Looker *l, Parked *k) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        int64_t began = now_usec(CLOCK_MONOTONIC);
        bool root_failed = false, more = false;
        Watch *w = l->watch;
        Sight sight = { 0 };
        uint32_t root = 0;
        int r;

        w->slices.last = began;
        wait_for_room(w);
        l->jobs = &k->job;
        l->n_jobs = 1;
        r = find_and_open(l, k->job.dir, &spot, &root, &root_failed);
        if (r < 0)
                conclude_unreachable(w, &k->job, 1, root, root_failed, r);
        if (r == 0) {
                let_go(l);
                look(l, &spot, &k->job, &k->reading, &sight);
                if (take_back(l))
                        more = looked_on(l, k, &spot, &sight, began);
        }
        l->n_jobs = 0;
        if (!more)
                free(k);
        state_barriers(w);
        free(sight.target);
}

static void measure_pressure(Watch *w, int64_t now) {
        double pressure;

        if (now < w->slices.measure_at)
                return;
        w->slices.measure_at = now + USEC_PER_SEC;
        pthread_mutex_unlock(&w->lock);
        pressure = pace_pressure(pressure_path);
        pthread_mutex_lock(&w->lock);
        w->slices.slow = pace_slow(&w->slices.pace, now, pressure, w->pressure_max);
}

/* The file that is parked first, if now is a time for it. */
static bool slice_next(Looker *l, int64_t now) {
        Watch *w = l->watch;
        Slices *s = &w->slices;
        Parked *k = s->first;

        if (!k || now < s->not_before || pace_rest_end(now) != 0)
                return false;
        s->first = k->next;
        s->count--;
        if (settle_fresh(w->settle, &k->job)) {
                measure_pressure(w, now);
                look_on(l, k);
        } else {
                state_done(w, &k->job, false, false);
                free(k);
        }
        return true;
}

static bool slices_first(const Watch *w, int64_t now) {
        return w->slices.count >= PARKED_MANY || now - w->slices.last > PARKED_WAIT_USEC;
}

/* Names that are one more of a file are due at once. */
static bool glance(Looker *l) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        bool root_failed, open = false;
        Watch *w = l->watch;
        SettleGlance g;

        while (settle_glance(w->settle, now_usec(CLOCK_MONOTONIC), &g)) {
                IdentifyState state = { 0 };
                bool other = g.dir != spot.dir; /* one opening serves all names of a directory in a row */

                if (other) {
                        spot_done(&spot);
                        open = spot_find(w, g.dir, &spot) == 0;
                        spot.dir = g.dir;
                }
                let_go(l);
                if (other)
                        open = open && spot_open(&spot, &root_failed) == 0;
                if (open && identify_stat(spot.fd, g.name, &state) < 0)
                        state.nlink = 0;
                if (!take_back(l))
                        return false;
                if (S_ISREG(state.mode) && state.nlink > 1)
                        settle_hasten(w->settle, g.dir, BYTES(g.name, g.name_size));
        }
        return true;
}

static void wait_until_due(Watch *w) {
        int64_t now = now_usec(CLOCK_MONOTONIC), due = settle_due(w->settle, false);
        int64_t slice = w->slices.first ? MAX_OF(pace_rest_end(now), w->slices.not_before) : INT64_MAX;
        struct timespec at;

        due = MIN_OF(due, slice);
        at = timespec_of(due);
        if (w->stop)                    /* asked for while a glance let the lock go */
                return;
        if (due == INT64_MAX)
                pthread_cond_wait(&w->look, &w->lock);
        else
                pthread_cond_timedwait(&w->look, &w->lock, &at);
}

/* Readers of ours give way to whoever works here; where a sandbox forbids even that, its unit has set it. */
void give_way(void) {
        (void) setpriority(PRIO_PROCESS, (id_t) gettid(), 10);
        read_idly(true);
}

void read_idly(bool idle) {
        enum { WHO_PROCESS = 1, CLASS_NONE = 0, CLASS_IDLE = 3, CLASS_SHIFT = 13 };     /* ioprio_set(2) */

        (void) syscall(SYS_ioprio_set, WHO_PROCESS, 0, (idle ? CLASS_IDLE : CLASS_NONE) << CLASS_SHIFT);
}

static size_t take_jobs(Watch *w, int64_t now, SettleJob *jobs) {
        size_t most = w->slices.count >= PARKED_MANY ? 1 : BATCH, n = 0;

        if (settle_next(w->settle, now, false, &jobs[0]))
                for (n = 1; n < most && settle_next_of(w->settle, now, jobs[0].dir, &jobs[n]);)
                        n++;
        return n;
}

/* What is due, in the order in which it is; else waits until something is. */
static void look_around(Looker *l, SettleJob *jobs) {
        int64_t now = now_usec(CLOCK_MONOTONIC);
        Watch *w = l->watch;
        size_t n;

        if (slices_first(w, now))
                (void) slice_next(l, now);
        n = l->lost ? 0 : take_jobs(w, now, jobs);
        if (n > 0) {
                if (settle_due(w->settle, false) <= now)        /* more than one of us can do */
                        pthread_cond_signal(&w->look);
                look_batch(l, jobs, n);
                if (settle_count(w->settle) == 0)
                        state_counts(w);
                state_barriers(w);
        } else if (!l->lost && !slice_next(l, now)) {
                wait_until_due(w);
        }
}

void *look_thread(void *userdata) {
        Looker *l = userdata;
        Watch *w = l->watch;
        SettleJob *jobs = calloc(BATCH, sizeof(*jobs));

        pthread_setname_np(pthread_self(), "look");
        give_way();

        pthread_mutex_lock(&w->lock);
        l->tid = gettid();
        if (!jobs)
                state_broken(w, -ENOMEM);
        while (jobs && !w->stop && !l->lost)
                if (glance(l))
                        look_around(l, jobs);
        l->ended = true;
        pthread_mutex_unlock(&w->lock);
        free(jobs);
        return NULL;
}
