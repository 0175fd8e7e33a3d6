/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/watch/appear.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/roots.h"

/* appear: a directory that was noticed is watched, then listed: what is made in between is noticed, what
 * both report is one. */

static void report_directory(Watch *w, const SettleJob *job, const IdentifyState *state, uint16_t flags) {
        FeedMessage m;

        state_observed(&m, job, state);
        m.STATE.flags |= flags;
        state_emit(w, &m, true);
}

/* Names found in a directory that appeared settle like those that are noticed; directories come first. */
static void list_appeared(Watch *w, int fd, int wd, const SettleJob *job) {
        DIR *dir = fdopendir(fd);
        struct dirent *entry;

        if (!dir) {
                close(fd);
                pthread_mutex_lock(&w->lock);
                state_stale(w, (uint32_t) wd);
                pthread_mutex_unlock(&w->lock);
                return;
        }
        while (errno = 0, (entry = readdir(dir))) {
                SettleNotice n = { .dir = (uint32_t) wd, .name = BYTES_STR(entry->d_name),
                                   .flags = SETTLE_NEW | SETTLE_FOUND | SETTLE_CONTENT,
                                   .origin = job->change.origin, .count = 1, .epoch = job->change.epoch };
                IdentifyState state;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (entry->d_type == DT_UNKNOWN && identify_stat(dirfd(dir), entry->d_name, &state) == 0 &&
                    S_ISDIR(state.mode))
                        entry->d_type = DT_DIR;
                if (entry->d_type == DT_DIR)
                        n.flags |= SETTLE_DIRECTORY;
                pthread_mutex_lock(&w->lock);
                if (n.name.size > NAME_SIZE_MAX) {
                        directory_unnameable(w, wd);
                        pthread_mutex_unlock(&w->lock);
                        continue;
                }
                while (settle_count(w->settle) > CHANGES_MAX * 3 / 4 && !w->stop) {
                        struct timespec at;

                        clock_gettime(CLOCK_MONOTONIC, &at);
                        at.tv_sec++;
                        pthread_cond_timedwait(&w->room, &w->lock, &at);
                }
                state_touch(w, &n, moment_now());
                pthread_mutex_unlock(&w->lock);
        }
        if (errno != 0) {
                pthread_mutex_lock(&w->lock);
                state_stale(w, (uint32_t) wd);
                pthread_mutex_unlock(&w->lock);
        }
        closedir(dir);
}

typedef struct Appeared {
        int fd;                         /* open when it can be listed, else -1 */
        IdentifyState state;
        int error;
        bool foreign, excluded, ignored;
} Appeared;

static void open_appeared(Watch *w, const Spot *p, const SettleJob *job, Appeared *ret) {
        *ret = (Appeared) { .fd = -1 };
        ret->error = -identify_stat(p->fd, job->name, &ret->state);
        if (ret->error != 0 || !S_ISDIR(ret->state.mode))
                return;
        ret->ignored = state_ignored(w, p->path, job->name, true);
        ret->foreign = directory_foreign(&p->root, &ret->state);
        ret->excluded = directory_excluded(w, &ret->state);
        if (ret->ignored || ret->foreign || ret->excluded)
                return;
        ret->fd = identify_directory(p->fd, job->name);
        if (ret->fd < 0)
                ret->error = -ret->fd;
        else
                ret->error = -identify_stat(ret->fd, "", &ret->state);
}

/* Under the lock. What appeared is reported, watched and announced in one go; returns the wd to list,
 * or 0. */
static int admit_appeared(Watch *w, const Spot *p, const SettleJob *job, Appeared *a, bool *ret_answered) {
        Directory *parent = table_find(w->table, (int) job->dir), *d;
        Bytes name = BYTES(job->name, job->name_size);
        bool fresh;
        int wd;

        *ret_answered = false;
        if (!settle_fresh(w->settle, job))
                return 0;
        if (!parent || !table_attached(w->table, parent))
                return -ELOOP;          /* it moves, and may be found elsewhere with what is in it */
        if (a->error == ENOENT || a->error == ENOTDIR || (a->error == 0 && !S_ISDIR(a->state.mode))) {
                uint16_t flags = (uint16_t) ((job->change.flags & ~SETTLE_DIRECTORY) | SETTLE_CONTENT);
                SettleNotice n = { .dir = job->dir, .name = name, .origin = job->change.origin,
                                   .flags = flags, .count = job->change.count, .anew = true,
                                   .request = job->change.request, .epoch = job->change.epoch };

                state_touch(w, &n, moment_now());       /* not a directory any more: let it be looked at */
                *ret_answered = true;
                return 0;
        }
        if (a->ignored)
                return 0;
        wd = a->fd >= 0 && a->error == 0 ?
                     directory_watch(w, parent, name, a->fd, &a->state,
                                     job->change.flags & SETTLE_EARLY) : 0;
        if (wd == -ELOOP)
                return wd;
        *ret_answered = true;
        d = wd > 0 ? table_find(w->table, wd) : NULL;
        fresh = d && (!d->listed || job->change.flags & SETTLE_READ);
        report_directory(w, job, &a->state,
                         fresh ? FEED_FLAG_ADOPTED : a->foreign ? FEED_FLAG_FOREIGN : 0);
        settle_reported(w->settle, job);
        if (a->foreign && !roots_meet(w, parent->root, &a->state))
                state_gap(w, 0, job->dir, name, CAUSE_OTHER_FILESYSTEM, 0);
        else if (wd < 0 || a->error != 0)
                directory_unwatched(w, job->dir, name, wd < 0 ? -wd : a->error);
        if (!d)
                return 0;
        state_announce(w, d);
        if (!fresh)
                return 0;
        w->walked_twice += d->listed;
        d->listed = d->listing = true;
        return wd;
}

static void adopt(Watch *w, const SettleJob *job) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        Appeared a = { .fd = -1 };
        bool root_failed = false, again = false, answered = false;
        int r = spot_find(w, job->dir, &spot), wd = 0;

        if (r == 0) {
                pthread_mutex_unlock(&w->lock);
                r = spot_open(&spot, &root_failed);
                if (r == 0)
                        open_appeared(w, &spot, job, &a);
                pthread_mutex_lock(&w->lock);
                if (r == 0)
                        wd = admit_appeared(w, &spot, job, &a, &answered);
        }
        /* Its place moves or moved, and may be known again soon: the looking threads try again, or find the
         * root lost. */
        if (r < 0)
                again = directory_unreached(w, job, root_failed && spot_moved(r) ? 0 : spot.root.id, r);
        else if (wd == -ELOOP)
                again = directory_unreached(w, job, 0, wd);
        if (wd > 0) {
                pthread_mutex_unlock(&w->lock);
                list_appeared(w, STEAL_FD(a.fd), wd, job);
                pthread_mutex_lock(&w->lock);
                directory_listed(w, wd);
                state_mark(w);
        }
        state_done(w, job, again, answered);
        closep(&a.fd);
        state_barriers(w);
}

void appear_all(Watch *w) {
        SettleJob job;

        while (!w->stop && settle_next(w->settle, now_usec(CLOCK_MONOTONIC), true, &job))
                adopt(w, &job);
}
