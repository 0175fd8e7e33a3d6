/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "daemon/watch/poll.h"
#include "daemon/watch/roots.h"

/* The watcher's life, and the requests of scitraced: each is one function, called on the main thread. */

/* With fs.protected_hardlinks the kernel links only what the linker may write to. */
static bool links_are_open(void) {
        CLEANUP(fclosep) FILE *f = fopen("/proc/sys/fs/protected_hardlinks", "re");
        int on = 1;

        return f && fscanf(f, "%d", &on) == 1 && on == 0;
}

/* Readable, with -ECANCELED, once the clock was set. */
static int clock_new(void) {
        struct itimerspec never = { .it_value.tv_sec = INT32_MAX };
        int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

        if (fd >= 0)
                (void) timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
        return fd < 0 ? -errno : fd;
}

int watch_new(unsigned lookers, Watch **ret) {
        Watch *w = calloc(1, sizeof(*w));
        int r;

        assert(ret);
        if (!w)
                return -ENOMEM;
        w->walks_tail = &w->walks;
        w->wake_fd = w->stop_fd = w->clock_fd = -1;
        w->n_lookers = MIN_OF(MAX_OF(lookers, 1u), (unsigned) LOOKERS_MAX);
        w->digest_max = INT64_C(1) << 30;
        w->read_max = INT64_MAX;
        w->pressure_max = 100;
        w->answer_max = INT64_MAX;
        w->links_open = links_are_open();
        w->drained = now_usec(CLOCK_REALTIME);
        w->stale_since = INT64_MAX;
        w->poll.rate = POLL_ENTRIES;
        w->emptied = w->drained * INT64_C(1000) - INT64_C(10000000);    /* no tick is as coarse as that */
        pthread_mutex_init(&w->lock, NULL);
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&w->look, &monotonic);
        pthread_cond_init(&w->walk, &monotonic);
        pthread_cond_init(&w->room, &monotonic);
        pthread_cond_init(&w->probe, &monotonic);
        pthread_cond_init(&w->tend, &monotonic);
        pthread_condattr_destroy(&monotonic);
        r = notify_new(&w->notify);
        if (r == 0)
                r = table_new(&w->table);
        if (r == 0)
                r = settle_new(250 * USEC_PER_MSEC, 5 * USEC_PER_SEC, CHANGES_MAX, &w->settle);
        if (r == 0)
                r = outbox_new(&w->outbox);
        if (r == 0)
                r = w->clock_fd = clock_new();
        if (r >= 0) {
                r = 0;
                w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (w->wake_fd < 0 || w->stop_fd < 0)
                        r = -errno;
        }
        if (r < 0) {
                watch_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

int watch_start(Watch *w) {
        int r = pthread_create(&w->watch_thread, NULL, watch_thread, w);

        if (r == 0) {
                w->n_threads++;
                r = pthread_create(&w->walk_thread, NULL, walk_thread, w);
        }
        if (r == 0) {
                w->n_threads++;
                r = pthread_create(&w->sweep_thread, NULL, sweep_thread, w);
        }
        if (r == 0) {
                w->n_threads++;
                r = pthread_create(&w->probe_thread, NULL, probe_thread, w);
        }
        if (r != 0)
                return -r;
        w->n_threads++;
        return lookers_start(w);
}

int watch_tick(Watch *w) {
        int r;

        pthread_mutex_lock(&w->lock);
        probe_tick(w);
        r = w->failed ?: lookers_tick(w);
        pthread_mutex_unlock(&w->lock);
        return r;
}

Watch *watch_free(Watch *w) {
        if (!w)
                return NULL;
        pthread_mutex_lock(&w->lock);
        __atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);     /* who reads a large file looks without it */
        pthread_cond_broadcast(&w->look);
        pthread_cond_broadcast(&w->walk);
        pthread_cond_broadcast(&w->room);
        pthread_cond_broadcast(&w->probe);
        pthread_cond_broadcast(&w->tend);
        pthread_mutex_unlock(&w->lock);
        if (w->stop_fd >= 0)
                eventfd_write(w->stop_fd, 1);
        if (!lookers_end(w))
                return w;
        for (WalkRequest *q = w->walks, *next; q; q = next) {
                next = q->next;
                free(q->again);
                free(q);
        }
        for (Parked *k = w->slices.first, *next; k; k = next) {
                next = k->next;
                free(k);
        }
        for (size_t i = 0; i < ROOTS_MAX; i++)
                free(w->roots[i].path);
        free(w->poll.ids);
        identify_ignore_free(w->ignore);
        notify_free(w->notify);
        table_free(w->table);
        settle_free(w->settle);
        outbox_free(w->outbox);
        if (w->wake_fd >= 0)
                close(w->wake_fd);
        if (w->stop_fd >= 0)
                close(w->stop_fd);
        if (w->clock_fd >= 0)
                close(w->clock_fd);
        pthread_cond_destroy(&w->tend);
        pthread_cond_destroy(&w->look);
        pthread_cond_destroy(&w->walk);
        pthread_cond_destroy(&w->room);
        pthread_cond_destroy(&w->probe);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return NULL;
}

static int on_policy(Watch *w, const Feed_POLICY *m) {
        int r = 0;

        settle_times(w->settle, MAX_OF(m->settle, 1), MAX_OF(m->write_max, 1));
        w->digest_max = m->digest_max;
        w->read_max = m->read_max;
        w->poll.rate = MAX_OF(m->poll_rate, 1u);
        w->pressure_max = m->pressure_max;
        w->answer_max = m->answer_max > 0 ? m->answer_max : INT64_MAX;
        if (m->ignore.size > 0 && !w->ignore)
                r = identify_ignore_new(m->ignore, &w->ignore);
        return r;
}

static int on_exclude(Watch *w, const Feed_EXCLUDE *m) {
        CLEANUP(freep) char *path = strndup((const char *) m->path.data, m->path.size);
        CLEANUP(closep) int fd = -1;
        IdentifyState state;

        if (!path)
                return -ENOMEM;
        fd = identify_root(path);
        if (fd < 0 || identify_stat(fd, "", &state) < 0 || w->n_excludes == EXCLUDES_MAX)
                return 0;               /* a folder of ours that is not there cannot disturb */
        w->excludes[w->n_excludes].device = state.device;
        w->excludes[w->n_excludes++].inode = state.inode;
        return 0;
}

static int queue_walk(Watch *w, uint32_t root, uint32_t walk, uint8_t origin, bool watch, bool idle) {
        WalkRequest *q = calloc(1, sizeof(*q));

        if (!q)
                return -ENOMEM;
        *q = (WalkRequest) { .root = root, .walk = walk, .origin = origin, .watch = watch,
                             .idle = idle };
        *w->walks_tail = q;
        w->walks_tail = &q->next;
        pthread_cond_signal(&w->walk);
        return 0;
}

static int on_watch(Watch *w, const Feed_WATCH *m) {
        Root *root = state_root(w, m->root);

        for (size_t i = 0; !root && i < ROOTS_MAX; i++)
                if (w->roots[i].id == 0)
                        root = &w->roots[i];
        if (!root) {
                state_emit(w, &(FeedMessage) { .type = FEED_ROOT,
                                               .ROOT = { .root = m->root, .error = EMFILE } }, true);
                return 0;
        }
        w->n_roots = MAX_OF(w->n_roots, (size_t) (root - w->roots) + 1);
        free(root->path);
        root->id = m->root;
        root->path = strndup((const char *) m->path.data, m->path.size);
        if (m->inode != 0 && root->wd == 0) {
                root->inode = m->inode;
                root->btime = m->btime;
                root->device = 0;
        }
        if (!root->path)
                return -ENOMEM;
        pthread_cond_signal(&w->probe);
        return queue_walk(w, m->root, m->walk, m->origin, true, false);
}

static int on_unwatch(Watch *w, const Feed_UNWATCH *m) {
        Root *root = state_root(w, m->root);

        if (root)
                roots_end(w, root);
        return 0;
}

static int on_ask(Watch *w, uint32_t request, uint32_t dir, Bytes name, uint8_t origin, uint16_t flags) {
        SettleNotice notice = { .dir = dir, .name = name, .flags = flags, .origin = origin,
                                .request = request };

        if (name.size > 255)
                return -EBADMSG;
        state_touch(w, &notice, moment_now());
        pthread_cond_signal(&w->look);
        return 0;
}

/* Where a former watcher was with this one, for when it is looked at. */
static void keep_resume(Watch *w, const Feed_DIGEST *m) {
        IdentifyReading reading;
        unsigned at = w->slices.next_resume;

        if (!identify_reading_load(m->progress, &reading))
                return;
        w->slices.resumes[at].request = m->request;
        w->slices.resumes[at].reading = reading;
        w->slices.next_resume = (at + 1) % RESUMES_MAX;
}

static void on_list(Watch *w, const Feed_LIST *m) {
        Directory *d = table_find(w->table, (int) m->dir);

        if (!d || w->n_asked == ASKED_MAX) {
                state_failed(w, m->request, d ? EAGAIN : ENOENT);
                return;
        }
        d->stale = true;
        w->asked[w->n_asked].wd = (int) m->dir;
        w->asked[w->n_asked++].request = m->request;
        pthread_cond_signal(&w->tend);
}

static int on_barrier(Watch *w, const Feed_BARRIER *m) {
        if (w->n_barriers == BARRIERS_MAX)
                return -E2BIG;
        w->barriers[w->n_barriers++] =
                (Barrier) { .id = m->barrier, .flush = m->flush, .time = now_usec(CLOCK_REALTIME) };
        state_mark(w);
        return 0;
}

int watch_request(Watch *w, const FeedMessage *m) {
        int r;

        assert(w && m);
        if (m->type == FEED_EXCLUDE)    /* opens a folder: before any thread does, without the lock */
                return on_exclude(w, &m->EXCLUDE);
        pthread_mutex_lock(&w->lock);
        switch (m->type) {
        case FEED_POLICY:
                r = on_policy(w, &m->POLICY);
                break;
        case FEED_WATCH:
                r = on_watch(w, &m->WATCH);
                break;
        case FEED_UNWATCH:
                r = on_unwatch(w, &m->UNWATCH);
                break;
        case FEED_WALK:
                r = queue_walk(w, m->WALK.root, m->WALK.walk, m->WALK.origin, false, m->WALK.idle);
                break;
        case FEED_DIGEST:
                keep_resume(w, &m->DIGEST);
                r = on_ask(w, m->DIGEST.request, m->DIGEST.dir, m->DIGEST.name, m->DIGEST.origin,
                           SETTLE_CONTENT | SETTLE_READ);
                break;
        case FEED_CHECK:
                r = on_ask(w, m->CHECK.request, m->CHECK.dir, m->CHECK.name, m->CHECK.origin,
                           m->CHECK.list ? SETTLE_DIRECTORY | SETTLE_READ : 0);
                break;
        case FEED_LIST:
                on_list(w, &m->LIST);
                r = 0;
                break;
        case FEED_BARRIER:
                r = on_barrier(w, &m->BARRIER);
                break;
        default:
                r = -EBADMSG;
        }
        pthread_mutex_unlock(&w->lock);
        return r;
}

int watch_fd(const Watch *w) {
        return w->wake_fd;
}

uint8_t *watch_take(Watch *w, size_t *ret_size) {
        uint8_t *frame;
        eventfd_t value;

        pthread_mutex_lock(&w->lock);
        frame = outbox_frames(w->outbox) > (w->later ? 1u : 0u) ? outbox_take(w->outbox, ret_size) : NULL;
        if (!frame && w->woken)
                w->woken = eventfd_read(w->wake_fd, &value) < 0;
        if (outbox_frames(w->outbox) < OUTBOX_ROOM)
                pthread_cond_broadcast(&w->room);
        pthread_mutex_unlock(&w->lock);
        return frame;
}

void watch_return(Watch *w, uint8_t *frame, size_t size) {
        int r;

        pthread_mutex_lock(&w->lock);
        r = outbox_return(w->outbox, frame, size);
        if (r < 0)
                state_broken(w, r);
        pthread_mutex_unlock(&w->lock);
}
