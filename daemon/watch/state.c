/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include "daemon/watch/poll.h"
#include "daemon/watch/state.h"

static void say_lost(Watch *w, int64_t since) {
        if (storm_lost(&w->storm, since, w->clock_set, now_usec(CLOCK_MONOTONIC)))
                for (size_t i = 0; i < ROOTS_MAX; i++)
                        if (w->roots[i].id != 0)
                                state_gap(w, w->roots[i].id, 0, BYTES_NONE, CAUSE_OVERFLOW, 0);
        pthread_cond_signal(&w->tend);
}

void state_lost(Watch *w) {
        w->clock_set |= state_clock_set(w);
        w->overflows++;
        say_lost(w, w->emptied);
}

void state_stale(Watch *w, uint32_t dir) {
        Directory *d = table_find(w->table, (int) dir);

        if (!d)
                return;                 /* nothing of it is of interest any more */
        d->stale = true;
        w->stale_since = MIN_OF(w->stale_since, w->emptied);
        w->overflows += !w->storm.wanted;       /* one queue, however much it could not take */
        say_lost(w, INT64_MAX);
}

bool state_clock_set(Watch *w) {
        uint64_t expirations;

        return read(w->clock_fd, &expirations, sizeof(expirations)) < 0 && errno == ECANCELED;
}

void state_broken(Watch *w, int error) {
        assert(error < 0);
        w->failed = w->failed ?: error;
        (void) eventfd_write(w->wake_fd, 1);
}

static void lost_message(Watch *w, const FeedMessage *m, int error) {
        uint32_t request = 0;           /* that it answers */

        switch (m->type) {
        case FEED_STATE:
                request = m->STATE.request;
                state_stale(w, m->STATE.dir);
                break;
        case FEED_GONE:
                request = m->GONE.request;
                state_stale(w, m->GONE.dir);
                break;
        case FEED_MOVED:
                state_stale(w, m->MOVED.old_dir);
                state_stale(w, m->MOVED.dir);
                break;
        case FEED_EXCHANGED:
                state_stale(w, m->EXCHANGED.old_dir);
                state_stale(w, m->EXCHANGED.dir);
                break;
        case FEED_PROGRESS:             /* the next one tells as much */
                break;
        default:
                state_broken(w, error);
        }
        if (request != 0)
                state_broken(w, error);
}

void state_emit(Watch *w, const FeedMessage *m, bool must) {
        int r = outbox_add(w->outbox, m, must);

        if (r != 0)
                lost_message(w, m, r);
        state_wake(w);
}

void state_wake(Watch *w) {
        w->later = false;
        if (!w->woken && outbox_frames(w->outbox) > 0)
                w->woken = eventfd_write(w->wake_fd, 1) == 0;
}

void state_emit_later(Watch *w, const FeedMessage *m) {
        size_t frames = outbox_frames(w->outbox);
        bool waits = frames == 0 || w->later;   /* else something in the last frame is to leave */
        int r = outbox_add(w->outbox, m, true);

        if (r != 0)
                lost_message(w, m, r);
        if (outbox_frames(w->outbox) > MAX_OF(frames, 1u))
                state_wake(w);          /* one is full */
        if (waits)
                w->later = true;
}

void state_failed(Watch *w, uint32_t request, int error) {
        FeedMessage m = { .type = FEED_FAILED, .FAILED = { .request = request, .error = (uint32_t) error } };

        if (request != 0)
                state_emit(w, &m, true);
}

void state_displaced(Watch *w) {
        for (uint32_t request; (request = settle_displaced(w->settle)) != 0;)
                state_failed(w, request, EAGAIN);
}

void state_done(Watch *w, const SettleJob *job, bool again, bool answered) {
        int64_t due = settle_due(w->settle, false);

        if (!again && !answered && settle_fresh(w->settle, job))
                state_failed(w, job->change.request, ENOENT);
        settle_done(w->settle, job, again, now_usec(CLOCK_MONOTONIC));
        state_displaced(w);
        if (settle_due(w->settle, true) < INT64_MAX)    /* what came due while this one was looked at */
                pthread_cond_signal(&w->walk);
        if (settle_due(w->settle, false) < due)
                pthread_cond_signal(&w->look);
}

void state_touch(Watch *w, const SettleNotice *n, Moment now) {
        int64_t due = settle_due(w->settle, false);

        if (settle_touch(w->settle, n, now) != 0) {
                state_stale(w, n->dir);
                state_failed(w, n->request, EAGAIN);
        }
        state_displaced(w);
        if (n->flags & SETTLE_DIRECTORY)
                pthread_cond_signal(&w->walk);
        if (settle_due(w->settle, false) < due)
                pthread_cond_signal(&w->look);
}

Root *state_root(Watch *w, uint32_t id) {
        for (size_t i = 0; id != 0 && i < w->n_roots; i++)
                if (w->roots[i].id == id)
                        return &w->roots[i];
        return NULL;
}

Cause state_cause(int error) {
        return error == EACCES || error == EPERM ? CAUSE_PERMISSION : CAUSE_READ_ERROR;
}

void state_gap(Watch *w, uint32_t root, uint32_t dir, Bytes name, Cause cause, int error) {
        FeedMessage m = { .type = FEED_GAP,
                          .GAP = { .root = root, .dir = dir, .name = name, .cause = cause,
                                   .from = w->drained, .error = (uint32_t) error } };

        state_emit(w, &m, true);
}

static void forget(void *userdata, Directory *d) {
        Watch *w = userdata;

        if (!d->unwatched)
                notify_remove(w->notify, d->wd);
        w->poll.count -= d->polled;
        table_remove(w->table, d);
}

void state_unwatch(Watch *w, Directory *d) {
        table_subtree(w->table, d, forget, w);
}

void state_root_lost(Watch *w, Root *root, Cause cause) {
        Directory *d = root->wd > 0 ? table_find(w->table, root->wd) : NULL;
        size_t n = strlen(root->path);

        if (root->wd <= 0)
                return;
        root->wd = 0;
        state_gap(w, root->id, 0, BYTES_NONE, cause, 0);
        if (d)
                state_unwatch(w, d);
        for (size_t i = 0; cause == CAUSE_ROOT_MOVED && i < ROOTS_MAX; i++) {
                Root *within = &w->roots[i];

                if (within->wd > 0 && strncmp(within->path, root->path, n) == 0 && within->path[n] == '/')
                        state_root_lost(w, within, cause);
        }
}

void state_root_failed(Watch *w, Root *root, int error) {
        state_root_lost(w, root, spot_moved(error) ? CAUSE_ROOT_MOVED : state_cause(-error));
}

void state_announce(Watch *w, Directory *d) {
        FeedMessage m = { .type = FEED_DIR,
                          .DIR = { .dir = (uint32_t) d->wd, .root = d->root,
                                   .parent = d->parent ? (uint32_t) table_parent(w->table, d)->wd : 0,
                                   .name = table_name(d), .inode = d->inode,
                                   .btime = d->btime } };

        state_emit(w, &m, true);
        poll_announced(w, d);
}

void state_counts(Watch *w) {
        FeedMessage m = { .type = FEED_COUNTS,
                          .COUNTS = { .pending = settle_count(w->settle),
                                      .watches = table_count(w->table) - w->poll.count,
                                      .overflows = w->overflows, .walked_twice = w->walked_twice,
                                      .swept = w->swept, .walked_again = w->walked_again,
                                      .polled = w->poll.count,
                                      .watch_limit = (uint64_t) w->poll.limit,
                                      .namespaced = w->poll.namespaced } };

        state_emit(w, &m, true);
}

/* What was lost is found before a flush is over. One that flushes nothing waits for no other: it shows that
 * we live, however long a file takes to be read. */
static bool is_through(const Watch *w, const Barrier *b) {
        return b->stage == BARRIER_REACHED &&
               (!b->flush || (!storm_unswept(&w->storm) && settle_flushed(w->settle, b->epoch)));
}

void state_barriers(Watch *w) {
        for (size_t i = 0; i < w->n_barriers;) {
                const Barrier *b = &w->barriers[i];
                FeedMessage m = { .type = FEED_BARRIER_DONE };

                if (!is_through(w, b)) {
                        i++;
                        continue;
                }
                m.BARRIER_DONE.barrier = b->id;
                m.BARRIER_DONE.time = b->time;
                m.BARRIER_DONE.oldest = settle_oldest(w->settle);
                state_counts(w);
                state_emit(w, &m, true);
                w->n_barriers--;
                memmove(&w->barriers[i], &w->barriers[i + 1], (w->n_barriers - i) * sizeof(*b));
        }
}

/* What it led to is flushed as well. */
void state_swept(Watch *w) {
        uint32_t epoch = 0;

        for (size_t i = 0; i < w->n_barriers; i++)
                if (w->barriers[i].stage == BARRIER_REACHED && w->barriers[i].flush)
                        w->barriers[i].epoch = epoch = epoch ? epoch : settle_flush(w->settle);
        state_barriers(w);
        pthread_cond_broadcast(&w->look);
}

void state_mark(Watch *w) {
        bool wanted = w->mark_wanted != w->mark_posted;

        if (w->mark_posted != w->mark_seen)
                return;
        for (size_t i = 0; i < w->n_barriers; i++)
                wanted |= w->barriers[i].stage == BARRIER_WAITING;
        if (!wanted || notify_mark(w->notify) < 0)      /* no answer then: the watcher is replaced */
                return;
        w->mark_posted++;
        if ((int32_t) (w->mark_wanted - w->mark_posted) < 0)
                w->mark_wanted = w->mark_posted;
        for (size_t i = 0; i < w->n_barriers; i++)
                if (w->barriers[i].stage == BARRIER_WAITING)
                        w->barriers[i].stage = BARRIER_MARKED;
}

void state_mark_lost(Watch *w) {
        if (w->mark_posted == w->mark_seen)
                return;
        notify_mark_lost(w->notify);
        w->mark_posted--;
        for (size_t i = 0; i < w->n_barriers; i++)
                if (w->barriers[i].stage == BARRIER_MARKED)
                        w->barriers[i].stage = BARRIER_WAITING;
        state_mark(w);
}

void state_marked(Watch *w) {
        w->mark_seen = w->mark_posted;
        for (size_t i = 0; i < w->n_barriers; i++) {
                Barrier *b = &w->barriers[i];

                if (b->stage != BARRIER_MARKED)
                        continue;
                b->stage = BARRIER_REACHED;
                if (b->flush)
                        b->epoch = settle_flush(w->settle);
        }
        state_mark(w);
        pthread_cond_broadcast(&w->look);
}

bool state_blurred(const Watch *w, const Directory *d) {
        return d->listing || (int32_t) (d->clear_mark - w->mark_seen) > 0;
}

void state_blur(Watch *w, Directory *d) {
        d->clear_mark = w->mark_wanted = w->mark_posted + 1;
        state_mark(w);
}

int spot_find(Watch *w, uint32_t dir, Spot *ret) {
        Directory *d = table_find(w->table, (int) dir);
        Root *root = d && table_attached(w->table, d) ? state_root(w, d->root) : NULL;

        if (!root || root->wd <= 0)
                return -ENOENT;
        *ret = (Spot) { .root = *root, .dir = dir, .fd = -1, .inode = d->inode, .btime = d->btime };
        ret->root.path = strdup(root->path);
        ret->path = table_path(w->table, d);
        if (ret->root.path && ret->path)
                return 0;
        spot_done(ret);
        return -ENOMEM;
}

static int prove(int fd, uint64_t inode, int64_t btime) {
        IdentifyState state;
        int r = identify_stat(fd, "", &state);

        if (r < 0)
                return r;
        return state.inode == inode && state.btime == btime ? 0 : -ESTALE;
}

int spot_open(Spot *p, bool *ret_root) {
        CLEANUP(closep) int root_fd = identify_root(p->root.path);
        int r;

        *ret_root = true;
        if (root_fd < 0)
                return root_fd;
        r = prove(root_fd, p->root.inode, p->root.btime);
        if (r < 0)
                return r;
        *ret_root = false;
        p->fd = identify_directory(root_fd, p->path);
        if (p->fd < 0)
                return p->fd;
        return spot_prove(p);
}

bool spot_moved(int error) {
        return error == -ENOENT || error == -ESTALE || error == -ENOTDIR || error == -ELOOP;
}

int spot_prove(const Spot *p) {
        return prove(p->fd, p->inode, p->btime);
}

void spot_done(Spot *p) {
        if (p->fd >= 0)
                close(p->fd);
        free(p->path);
        free(p->root.path);
        *p = (Spot) { .fd = -1 };
}

bool state_ignored(const Watch *w, const char *dir_path, const char *name, bool directory) {
        CLEANUP(freep) char *path = NULL;

        if (!w->ignore || asprintf(&path, "%s%s%s", dir_path, dir_path[0] ? "/" : "", name) < 0)
                return false;
        return identify_ignored(w->ignore, path, directory);
}

void state_describe(FeedMessage *m, const IdentifyState *state) {
        m->STATE.inode = state->inode;
        m->STATE.btime = state->btime;
        m->STATE.mode = state->mode;
        m->STATE.uid = state->uid;
        m->STATE.gid = state->gid;
        m->STATE.nlink = state->nlink;
        m->STATE.size = state->size;
        m->STATE.mtime = state->mtime;
        m->STATE.ctime = state->ctime;
}

void state_observed(FeedMessage *m, const SettleJob *job, const IdentifyState *state) {
        const SettleChange *c = &job->change;

        *m = (FeedMessage) { .type = FEED_STATE };
        state_describe(m, state);
        m->STATE.dir = job->dir;
        m->STATE.name = BYTES(job->name, job->name_size);
        m->STATE.request = c->request;
        m->STATE.origin = c->origin;
        m->STATE.first = c->first;
        m->STATE.last = c->last;
        m->STATE.count = c->count;
        if ((c->flags & (SETTLE_NEW | SETTLE_OVER)) == SETTLE_NEW)
                m->STATE.flags |= FEED_FLAG_CREATED;
        if (c->flags & SETTLE_ARRIVED)
                m->STATE.flags |= FEED_FLAG_ARRIVED;
}
