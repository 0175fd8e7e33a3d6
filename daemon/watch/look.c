/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/watch/state.h"

/* look: asks what a name is now, and reports it unless the name went or moved meanwhile. */

enum {
        BATCH = 64,                     /* names of one directory looked at with one opening of it */
        TRIES_OPEN = 3,                 /* a file that changes under the look: then it is a version `open` */
        TRIES_GONE = 1,                 /* a name that is not there: its notice may still be on its way */
};

typedef struct Sight {                  /* what one look found */
        enum { SIGHT_STATE, SIGHT_GONE, SIGHT_AGAIN, SIGHT_DROP, SIGHT_DIRECTORY, SIGHT_HEAD } what;
        IdentifyState state;
        uint8_t digest[32];
        bool has_digest, open, ignored, git;
        int error;                      /* content could not be read */
        uint8_t *target;
        size_t target_size;
        char commit[65];
} Sight;

static int pause_look(void *userdata, int64_t done) {
        const Watch *w = userdata;

        (void) done;
        return __atomic_load_n(&w->stop, __ATOMIC_RELAXED);
}

static void look_at_content(Watch *w, const Spot *p, const SettleJob *job, Sight *ret) {
        bool asked = job->change.flags & SETTLE_READ;
        int r;

        if (!(job->change.flags & SETTLE_CONTENT) || (!asked && ret->state.size > w->digest_max))
                return;
        r = identify_file(p->fd, job->name, asked ? 0 : w->digest_max, pause_look, w, &ret->state,
                          ret->digest);
        switch (r) {
        case 0:
        case IDENTIFY_E_RACY:           /* what comes later in the same tick is noticed by itself */
                ret->has_digest = true;
                break;
        case IDENTIFY_E_CHANGED:
                if (job->old || job->flushed || job->change.tries >= TRIES_OPEN)
                        ret->open = true;
                else
                        ret->what = SIGHT_AGAIN;
                break;
        case IDENTIFY_E_CANCELLED:
                ret->what = SIGHT_DROP;
                break;
        case IDENTIFY_E_NOT_FILE:
        case -ENOENT:
                ret->what = SIGHT_AGAIN;
                break;
        case -EFBIG:
                break;
        default:
                ret->error = -r;
        }
}

static void look_at_name(Watch *w, const Spot *p, const SettleJob *job, Sight *ret) {
        int r = identify_stat(p->fd, job->name, &ret->state);

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
        if (state_ignored(w, p->path, job->name, S_ISDIR(ret->state.mode))) {
                ret->what = SIGHT_GONE;
                ret->ignored = true;
        } else if (S_ISREG(ret->state.mode)) {
                look_at_content(w, p, job, ret);
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
        m.STATE.digest = sight->has_digest ? BYTES(sight->digest, sizeof(sight->digest)) : BYTES_NONE;
        m.STATE.digest_source = sight->has_digest ? DIGEST_SOURCE_READ : 0;
        m.STATE.target = sight->target ? BYTES(sight->target, sight->target_size) : BYTES_NONE;
        state_emit(w, &m, true);
        if (sight->error != 0)
                state_gap(w, 0, job->dir, BYTES(job->name, job->name_size),
                          sight->error == EACCES || sight->error == EPERM ? CAUSE_PERMISSION
                                                                          : CAUSE_READ_ERROR,
                          sight->error);
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

static void report_head(Watch *w, const Directory *d, const Sight *sight) {
        FeedMessage m = { .type = FEED_HEAD,
                          .HEAD = { .root = d->root, .git = sight->git, .commit = BYTES_STR(sight->commit),
                                    .time = now_usec(CLOCK_REALTIME) } };

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

/* What lies in .git, other than objects, may have moved HEAD. */
static void suspect_head(Watch *w, const Spot *p, const Directory *d, const SettleJob *job) {
        bool git = strcmp(p->path, ".git") == 0 || strncmp(p->path, ".git/", 5) == 0 ||
                   (p->path[0] == '\0' && strcmp(job->name, ".git") == 0);
        SettleNotice n = { .dir = (uint32_t) p->root.wd, .name = BYTES("", 0), .origin = ORIGIN_LIVE,
                           .epoch = job->change.epoch };

        if (git && d && strncmp(p->path, ".git/objects", 12) != 0)
                state_touch(w, &n, moment_now());
}

static void conclude(Watch *w, const Spot *p, const SettleJob *job, const Sight *sight) {
        Directory *d = table_find(w->table, (int) job->dir), *child;
        bool again = sight->what == SIGHT_AGAIN && job->change.tries < TRIES;
        bool reports = settle_fresh(w->settle, job) && d;

        if (reports) {
                switch (sight->what) {
                case SIGHT_STATE:
                        report_state(w, job, sight);
                        break;
                case SIGHT_GONE:
                        report_gone(w, job, sight->ignored);
                        break;
                case SIGHT_HEAD:
                        report_head(w, d, sight);
                        break;
                case SIGHT_DIRECTORY:
                        child = table_child(w->table, d, BYTES(job->name, job->name_size));
                        if (child && child->inode == sight->state.inode &&
                            child->btime == sight->state.btime) {
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
                case SIGHT_DROP:
                        state_failed(w, job->change.request, sight->error ? sight->error : ECANCELED);
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
        Root *lost = root_failed ? state_root(w, root) : NULL;

        if (lost && (error == -ENOENT || error == -ESTALE || error == -ENOTDIR || error == -ELOOP))
                state_root_lost(w, lost, CAUSE_ROOT_MOVED);
        for (size_t i = 0; i < n; i++) {
                bool known = table_find(w->table, (int) jobs[i].dir) && !lost;
                bool again = known && jobs[i].change.tries < TRIES;

                if (!again && known && root != 0)       /* it should be there: say that we do not know */
                        state_gap(w, 0, jobs[i].dir, BYTES_NONE,
                                  error == -EACCES ? CAUSE_PERMISSION : CAUSE_READ_ERROR, -error);
                state_done(w, &jobs[i], again, false);
        }
}

static void look(Watch *w, const Spot *p, const SettleJob *job, Sight *ret) {
        if (job->name_size > 0) {
                look_at_name(w, p, job, ret);
                return;
        }
        ret->what = SIGHT_HEAD;
        if (identify_git_head(p->root.path, &ret->git, ret->commit) < 0)
                ret->what = SIGHT_DROP;
}

static void look_batch(Watch *w, const SettleJob *jobs, size_t n) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        bool root_failed = false;
        int r = spot_find(w, jobs[0].dir, &spot);
        uint32_t root = spot.root.id;

        if (r == 0) {
                pthread_mutex_unlock(&w->lock);
                r = spot_open(&spot, &root_failed);
                pthread_mutex_lock(&w->lock);
        }
        if (r < 0) {
                conclude_unreachable(w, jobs, n, root, root_failed, r);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                Sight sight = { 0 };

                while (outbox_frames(w->outbox) >= OUTBOX_ROOM && !w->stop)
                        pthread_cond_wait(&w->room, &w->lock);
                pthread_mutex_unlock(&w->lock);
                look(w, &spot, &jobs[i], &sight);
                pthread_mutex_lock(&w->lock);
                conclude(w, &spot, &jobs[i], &sight);
                state_barriers(w);
                free(sight.target);
        }
}

/* Under the lock, which is let go meanwhile. Names that are one more of a file are due at once. */
static void glance(Watch *w) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        bool root_failed, open = false;
        SettleGlance g;

        while (settle_glance(w->settle, now_usec(CLOCK_MONOTONIC), &g)) {
                IdentifyState state = { 0 };

                if (g.dir != spot.dir) {        /* one opening serves all names of a directory in a row */
                        spot_done(&spot);
                        open = spot_find(w, g.dir, &spot) == 0;
                        spot.dir = g.dir;
                        pthread_mutex_unlock(&w->lock);
                        open = open && spot_open(&spot, &root_failed) == 0;
                } else {
                        pthread_mutex_unlock(&w->lock);
                }
                if (open && identify_stat(spot.fd, g.name, &state) < 0)
                        state.nlink = 0;
                pthread_mutex_lock(&w->lock);
                if (S_ISREG(state.mode) && state.nlink > 1)
                        settle_hasten(w->settle, g.dir, BYTES(g.name, g.name_size));
        }
}

static void wait_until_due(Watch *w) {
        int64_t due = settle_due(w->settle, false);
        struct timespec at = { .tv_sec = due / (int64_t) USEC_PER_SEC,
                               .tv_nsec = due % (int64_t) USEC_PER_SEC * (int64_t) NSEC_PER_USEC };

        if (w->stop)                    /* asked for while a glance let the lock go */
                return;
        if (due == INT64_MAX)
                pthread_cond_wait(&w->look, &w->lock);
        else
                pthread_cond_timedwait(&w->look, &w->lock, &at);
}

/* Readers of ours give way to whoever works here; where a sandbox forbids even that, its unit has set it. */
static void give_way(void) {
        enum { WHO_PROCESS = 1, CLASS_IDLE = 3, CLASS_SHIFT = 13 };     /* ioprio_set(2) */

        (void) setpriority(PRIO_PROCESS, (id_t) gettid(), 10);
        (void) syscall(SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE << CLASS_SHIFT);
}

void *look_thread(void *userdata) {
        Watch *w = userdata;
        SettleJob *jobs = calloc(BATCH, sizeof(*jobs));

        give_way();

        pthread_mutex_lock(&w->lock);
        while (jobs && !w->stop) {
                int64_t now;
                size_t n = 0;

                glance(w);
                now = now_usec(CLOCK_MONOTONIC);

                if (settle_next(w->settle, now, false, &jobs[0]))
                        for (n = 1; n < BATCH && settle_next_of(w->settle, now, jobs[0].dir, &jobs[n]);)
                                n++;
                if (n > 0) {
                        look_batch(w, jobs, n);
                        if (settle_count(w->settle) == 0)
                                state_counts(w);
                        state_barriers(w);
                } else {
                        wait_until_due(w);
                }
        }
        pthread_mutex_unlock(&w->lock);
        free(jobs);
        return NULL;
}
