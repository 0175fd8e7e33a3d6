/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/watch/directory.h"
#include "daemon/watch/poll.h"
#include "daemon/watch/sweep.h"
#include "daemon/watch/walk.h"

#define NSEC INT64_C(1000000000)
/* Between setting a ctime and queueing the notice lie a journal that commits, a thread that is put aside,
 * and in a write the copying of all its bytes, at 50 MB/s or more. */
#define SLACK_NSEC (2 * NSEC)
#define NSEC_PER_BYTE INT64_C(20)
#define WRITE_MAX INT64_C(0x7ffff000)   /* bytes that one write(2) takes at most */

enum {
        ROUNDS = 5,                     /* what moves while it is looked for is looked for again */
        ROUND_PAUSE_USEC = 50000,
        ROOM_PAUSE_USEC = 100000,
        BREATH = 256,                   /* directories in one hold of the lock */
};

typedef struct Sweep {
        Watch *w;
        int64_t since;                  /* ns; INT64_MAX: only what is known to be stale, */
        int64_t stale_since;            /* ... and that since then */
        bool full;
        int *ids;                       /* directories that are to be looked at */
        size_t n;
        bool by_ctime[ROOTS_MAX];
        uint32_t roots[ROOTS_MAX];
} Sweep;

static void wait_until(Watch *w, pthread_cond_t *cond, int64_t until) {
        struct timespec at = timespec_of(until);

        if (w->stop)
                return;
        if (until == INT64_MAX)
                pthread_cond_wait(cond, &w->lock);
        else
                pthread_cond_timedwait(cond, &w->lock, &at);
}

static void wait_for(Watch *w, int64_t usec) {
        wait_until(w, &w->tend, now_usec(CLOCK_MONOTONIC) + usec);
}

static bool roomy(const Watch *w) {
        return outbox_frames(w->outbox) <= OUTBOX_ROOM / 2 && settle_count(w->settle) <= CHANGES_MAX / 2;
}

/* Under the lock, which is let go meanwhile. */
static void look_at(Watch *w, uint32_t dir, Bytes name) {
        char copy[256];
        SettleNotice n = { .dir = dir, .name = BYTES(copy, MIN_OF(name.size, sizeof(copy))),
                           .flags = SETTLE_CONTENT, .origin = ORIGIN_RECONCILE };

        memcpy(copy, name.data, n.name.size);
        while (!w->stop && !roomy(w))
                wait_for(w, ROOM_PAUSE_USEC);
        state_touch(w, &n, moment_now());
}

static bool is_newer(const IdentifyState *state, int64_t since, int64_t slack) {
        return state->ctime >= since - slack - MIN_OF(state->size, WRITE_MAX) * NSEC_PER_BYTE;
}

int sweep_scan(Watch *w, const Spot *p, int64_t since, int64_t slack, uint64_t *ret_entries) {
        DIR *dir;
        struct dirent *entry;
        IdentifyState state;
        int fd, r = identify_stat(p->fd, "", &state);
        bool newer = r == 0 && state.ctime >= since - slack;

        *ret_entries = 1;
        if (r < 0)
                return r;
        fd = openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
        if (fd < 0)
                fd = openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                r = -errno;
                closep(&fd);
                return r;
        }
        while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED) && (errno = 0, entry = readdir(dir))) {
                (*ret_entries)++;
                if (strlen(entry->d_name) > NAME_SIZE_MAX) {
                        pthread_mutex_lock(&w->lock);
                        directory_unnameable(w, (int) p->dir);
                        pthread_mutex_unlock(&w->lock);
                        continue;
                }
                if (entry->d_type == DT_DIR)
                        continue;
                r = identify_stat(dirfd(dir), entry->d_name, &state);
                if (r == -EACCES) {     /* nobody may look into it: of each name it would be the same */
                        errno = EACCES;
                        break;
                }
                if (r < 0 ? r == -ENOENT : S_ISDIR(state.mode) || !is_newer(&state, since, slack))
                        continue;       /* of what cannot be looked at the look tells */
                pthread_mutex_lock(&w->lock);
                look_at(w, p->dir, BYTES_STR(entry->d_name));
                pthread_mutex_unlock(&w->lock);
        }
        r = -errno;
        closedir(dir);
        return r < 0 ? r : newer;
}

void sweep_list(Watch *w, int *ids, size_t n) {
        WalkRequest *q = calloc(1, sizeof(*q));
        uint32_t ticket = w->agains_asked + 1;

        if (!q) {                       /* they stay stale: another sweep */
                free(ids);
                state_lost(w);
                return;
        }
        *q = (WalkRequest) { .origin = ORIGIN_RECONCILE, .again = ids, .n_again = n };
        *w->walks_tail = q;
        w->walks_tail = &q->next;
        w->agains_asked = ticket;
        pthread_cond_signal(&w->walk);
        while (!w->stop && (int32_t) (w->agains_done - ticket) < 0)
                wait_until(w, &w->tend, INT64_MAX);
}

/* Whether the ctimes below a root are this kernel's own; false when it cannot be asked. */
static bool keeps_ctime(const char *root) {
        static const char *const types[] = { "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "overlay", "f2fs",
                                             "zfs", "bcachefs", "jfs" };
        CLEANUP(closep) int fd = identify_root(root);
        const char *type = "";
        bool network = true, has_uuid;
        uint8_t uuid[16];

        if (fd < 0 || identify_filesystem(fd, &type, &network, uuid, &has_uuid) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTS(types); i++)
                if (strcmp(types[i], type) == 0)
                        return !network;
        return false;
}

static void ask_roots(Sweep *s) {
        for (size_t i = 0; i < ROOTS_MAX; i++) {
                CLEANUP(freep) char *path = NULL;

                pthread_mutex_lock(&s->w->lock);
                s->roots[i] = s->w->roots[i].id;
                if (s->roots[i] != 0 && s->w->roots[i].wd > 0)
                        path = strdup(s->w->roots[i].path);
                pthread_mutex_unlock(&s->w->lock);
                s->by_ctime[i] = path && !s->full && keeps_ctime(path);
        }
}

static bool by_ctime(const Sweep *s, uint32_t root) {
        for (size_t i = 0; i < ROOTS_MAX; i++)
                if (s->roots[i] == root)
                        return s->by_ctime[i];
        return false;
}

void sweep_stale(Watch *w, int wd) {
        Directory *d = table_find(w->table, wd);

        if (!d)
                return;
        d->stale = true;
        if (d->parent)
                look_at(w, (uint32_t) table_parent(w->table, d)->wd, table_name(d));
}

/* Under the lock, which is let go meanwhile. False: nothing changed there; else it is stale, or cannot be
 * reached where it should be. */
static bool examine(Sweep *s, int id) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        Watch *w = s->w;
        Directory *d = table_find(w->table, id);
        bool root_failed = false, stale;
        uint64_t entries = 0;
        int64_t since;
        int r;

        if (!d || (!d->stale && s->since == INT64_MAX && !s->full))
                return false;
        d->stale |= !by_ctime(s, d->root);
        stale = d->stale;
        since = stale ? MIN_OF(s->since, s->stale_since) : s->since;
        r = spot_find(w, (uint32_t) id, &spot);
        if (r == 0) {
                pthread_mutex_unlock(&w->lock);
                r = spot_open(&spot, &root_failed);
                if (r == 0)
                        r = sweep_scan(w, &spot, since, SLACK_NSEC, &entries);
                pthread_mutex_lock(&w->lock);
        }
        w->swept += entries > 0;
        if (r > 0)
                sweep_stale(w, id);
        return r != 0 || stale;
}

static bool is_stale(Sweep *s, int id) {
        const Directory *d = table_find(s->w->table, id);

        return d && d->stale;
}

/* Under the lock, which is let go now and then. */
static size_t keep_if(Sweep *s, bool (*keep)(Sweep *s, int id), int *ids, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < n && !s->w->stop; i++) {
                if (keep(s, ids[i]))
                        ids[kept++] = ids[i];
                if (i % BREATH == BREATH - 1) {
                        pthread_mutex_unlock(&s->w->lock);
                        pthread_mutex_lock(&s->w->lock);
                }
        }
        return kept;
}

/* Under the lock, which is let go meanwhile. The stale ones are listed again; those that could not be, or
 * not even be reached, are left. */
static void list_stale(Sweep *s) {
        int *again = malloc(MAX_OF(s->n, 1u) * sizeof(*again));
        size_t n = 0, away = 0;

        for (size_t i = 0; again && i < s->n; i++)
                if (is_stale(s, s->ids[i]))
                        again[n++] = s->ids[i];
                else
                        s->ids[away++] = s->ids[i];
        if (!again)
                return;
        memcpy(s->ids + away, again, n * sizeof(*again));
        if (n > 0)
                sweep_list(s->w, again, n);
        else
                free(again);
        s->n = away + keep_if(s, is_stale, s->ids + away, n);
}

/* Under the lock. It is not where it was, after all that changed was listed again: it has left the tree, or
 * is gone, and the notice of that was lost too. */
static void give_up(Watch *w, int id) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        Directory *d = table_find(w->table, id);
        Root *root;
        bool root_failed = false;
        int r = d ? spot_find(w, (uint32_t) id, &spot) : 0;

        if (r == 0 && d) {
                pthread_mutex_unlock(&w->lock);
                r = spot_open(&spot, &root_failed);
                pthread_mutex_lock(&w->lock);
                d = table_find(w->table, id);
        }
        root = d ? state_root(w, d->root) : NULL;
        if (!d)
                return;
        if (r == 0)                     /* it is there, but never held still: a walk of all */
                state_gap(w, 0, (uint32_t) id, BYTES_NONE, CAUSE_READ_ERROR, 0);
        else if (root && (root_failed || root->wd == id))
                state_root_failed(w, root, r);
        else if (spot_moved(r))
                state_unwatch(w, d);
        else if (d->parent)
                directory_unwatched(w, (uint32_t) table_parent(w->table, d)->wd, table_name(d), -r);
}

/* Under the lock, which is let go meanwhile. */
static void find_changes(Sweep *s) {
        Watch *w = s->w;

        pthread_mutex_unlock(&w->lock);
        ask_roots(s);
        pthread_mutex_lock(&w->lock);
        for (int round = 0; s->n > 0 && round < ROUNDS && !w->stop; round++) {
                if (round > 0)
                        wait_for(w, ROUND_PAUSE_USEC);
                s->n = keep_if(s, examine, s->ids, s->n);
                list_stale(s);
        }
        for (size_t i = 0; i < s->n && !w->stop; i++)
                give_up(w, s->ids[i]);
}

static void sweep(Watch *w, int64_t since, bool full) {
        Sweep *s = calloc(1, sizeof(*s));
        bool failed = !s || table_ids(w->table, &s->ids, &s->n) < 0;

        if (!failed) {
                s->w = w;
                s->since = since;
                s->stale_since = w->stale_since;
                w->stale_since = INT64_MAX;
                s->full = full;
                find_changes(s);
        }
        if (s)
                free(s->ids);
        free(s);
        storm_end(&w->storm, failed, now_usec(CLOCK_MONOTONIC));
        state_swept(w);
}

/* Under the lock, which is let go meanwhile: what intake wants listed again. */
static void list_asked(Watch *w) {
        size_t n = w->n_asked;
        int *ids = malloc(n * sizeof(*ids));

        for (size_t i = 0; ids && i < n; i++)
                ids[i] = w->asked[i].wd;
        if (ids)
                sweep_list(w, ids, n);
        for (size_t i = 0; i < n; i++) {
                Directory *d = table_find(w->table, w->asked[i].wd);

                if (d && d->stale)      /* it could not be: a sweep will */
                        state_stale(w, (uint32_t) d->wd);
                state_failed(w, w->asked[i].request, 0);
        }
        w->n_asked -= n;
        memmove(w->asked, w->asked + n, w->n_asked * sizeof(w->asked[0]));
}

/* All that was lost is found: what is still to come is what intake asks for. */
static void tell_over(Watch *w) {
        for (size_t i = 0; i < ROOTS_MAX; i++) {
                FeedMessage m = { .type = FEED_RECONCILED,
                                  .RECONCILED = { .root = w->roots[i].id, .cause = CAUSE_OVERFLOW } };

                if (m.RECONCILED.root != 0)
                        state_emit(w, &m, true);
        }
        state_counts(w);
}

void *sweep_thread(void *userdata) {
        Watch *w = userdata;

        pthread_setname_np(pthread_self(), "sweep");
        give_way();
        pthread_mutex_lock(&w->lock);
        while (!w->stop) {
                int64_t now = now_usec(CLOCK_MONOTONIC), since;
                bool full;

                if (storm_over(&w->storm, now))
                        tell_over(w);
                if (w->n_asked > 0)
                        list_asked(w);
                else if (MIN_OF(storm_due(&w->storm), poll_due(w)) > now)
                        wait_until(w, &w->tend, MIN_OF(storm_due(&w->storm), poll_due(w)));
                else if (!roomy(w))     /* what was lost for want of room would be lost again */
                        wait_for(w, ROOM_PAUSE_USEC);
                else if (storm_begin(&w->storm, now, &since, &full))
                        sweep(w, since, full);
                else if (poll_due(w) <= now)
                        poll_some(w);
        }
        pthread_mutex_unlock(&w->lock);
        return NULL;
}
