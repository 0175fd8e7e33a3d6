/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/watch/state.h"

/* walk: watches directories and lists them: those that appear, at once; whole trees when asked to. First the
 * watch, then the listing: what is made in between is noticed, what both report is one. */

enum {
        TRIES = 8,                      /* for a directory whose place moved */
        SLICE = 128,                    /* names listed between two looks at what appeared meanwhile */
};

typedef struct Listed {
        char name[256];
        IdentifyState state;
        uint8_t *target;
        size_t target_size;
        int fd;                         /* directories to be watched, else -1 */
        bool foreign;                   /* another file system is mounted there */
        bool ignored, gone;
        int error;                      /* of opening a directory */
} Listed;

typedef struct Walk {
        Watch *w;
        uint32_t root, id;
        uint8_t origin;
        int *stack;                     /* wds of directories to be listed */
        size_t depth, allocated;
        uint64_t directories;
        Listed slice[SLICE];
} Walk;

static bool excluded(const Watch *w, const IdentifyState *state) {
        for (size_t i = 0; i < w->n_excludes; i++)
                if (w->excludes[i].device == state->device && w->excludes[i].inode == state->inode)
                        return true;
        return false;
}

static bool foreign(const Root *root, const IdentifyState *state) {
        return state->device != root->device || state->mount_root;
}

/* Under the lock. Watches an open directory as `name` in parent. Returns its wd, or -errno. When it is
 * watched already at another place, or another one is at this place, notices of moves are on their way:
 * unless early, -ELOOP asks to come back when they are here, so that each is taken for what it was. */
static int watch_directory(Watch *w, uint32_t root, Directory *parent, Bytes name, int fd,
                           const IdentifyState *state, bool early) {
        int wd = notify_add(w->notify, fd);
        Directory *d;
        int r;

        if (wd < 0)
                return wd;
        d = table_find(w->table, wd);
        if (d && parent && !d->parent && d->name_size == 0) {   /* the root of another tree was moved here */
                state_root_lost(w, state_root(w, d->root), CAUSE_ROOT_MOVED);
                wd = notify_add(w->notify, fd);
                if (wd < 0)
                        return wd;
                d = table_find(w->table, wd);
        }
        if (d && d->parent == parent && bytes_equal(BYTES(d->name, d->name_size), name))
                return wd;
        if (!early && parent && ((d && d->parent) || table_child(w->table, parent, name))) {
                if (!d)
                        notify_remove(w->notify, wd);
                return -ELOOP;
        }
        if (d && parent) {
                /* What else happened to the two names in between is on its way as well,
                 * and older than this. */
                if (d->parent)
                        state_listed(w, d->parent);
                state_listed(w, parent);
                r = table_move(w->table, d, parent, name, &d);
        } else if (d) {
                r = 0;                  /* a root that is watched already */
        } else {
                r = table_add(w->table, wd, root, parent, name, state->inode, state->btime, &d);
        }
        if (r == -ELOOP)
                return r;               /* so the notice of another move is on its way, too; then all fits */
        if (r < 0) {
                notify_remove(w->notify, wd);
                return r;
        }
        d->listing |= !d->listed;
        return wd;
}

static void explain_unwatched(Watch *w, uint32_t dir, Bytes name, int error) {
        Cause cause = error == ENOSPC ? CAUSE_WATCH_LIMIT :
                      error == EACCES || error == EPERM ? CAUSE_PERMISSION : CAUSE_READ_ERROR;

        state_gap(w, 0, dir, name, cause, error);
}

/* Directories that appear. */

static void report_directory(Watch *w, const SettleJob *job, const IdentifyState *state, bool adopted) {
        const SettleChange *c = &job->change;
        FeedMessage m = { .type = FEED_STATE };

        state_describe(&m, state);
        m.STATE.dir = job->dir;
        m.STATE.name = BYTES(job->name, job->name_size);
        m.STATE.request = c->request;
        m.STATE.flags =
                (uint16_t) (((c->flags & SETTLE_NEW) && !(c->flags & SETTLE_OVER) ? FEED_FLAG_CREATED : 0) |
                            (c->flags & SETTLE_ARRIVED ? FEED_FLAG_ARRIVED : 0) |
                            (adopted ? FEED_FLAG_ADOPTED : 0));
        m.STATE.origin = c->origin;
        m.STATE.first = c->first;
        m.STATE.last = c->last;
        m.STATE.count = c->count;
        state_emit(w, &m, true);
}

/* Names found in a directory that appeared settle like those that are noticed; directories come first. */
static void list_appeared(Watch *w, int fd, int wd, const SettleJob *job) {
        DIR *dir = fdopendir(fd);
        struct dirent *entry;

        if (!dir) {
                close(fd);
                pthread_mutex_lock(&w->lock);
                state_lost(w);
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
                state_lost(w);
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
        ret->foreign = foreign(&p->root, &ret->state);
        ret->excluded = excluded(w, &ret->state);
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
        if (!parent || !table_attached(parent))
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
                     watch_directory(w, p->root.id, parent, name, a->fd, &a->state,
                                     job->change.flags & SETTLE_EARLY) : 0;
        if (wd == -ELOOP)
                return wd;
        *ret_answered = true;
        d = wd > 0 ? table_find(w->table, wd) : NULL;
        fresh = d && (!d->listed || job->change.flags & SETTLE_READ);
        report_directory(w, job, &a->state, fresh);
        settle_reported(w->settle, job);
        if (a->foreign)
                state_gap(w, 0, job->dir, name, CAUSE_OTHER_FILESYSTEM, 0);
        else if (wd < 0 || a->error != 0)
                explain_unwatched(w, job->dir, name, wd < 0 ? -wd : a->error);
        if (!d)
                return 0;
        state_announce(w, d);
        if (!fresh)
                return 0;
        w->walked_twice += d->listed;
        d->listed = d->listing = true;
        return wd;
}

static void listed(Watch *w, int wd) {
        Directory *d = table_find(w->table, wd);

        if (d)
                state_listed(w, d);
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
                /* Its place moved: the looking threads try again, or find the root lost. */
                if (r < 0 || wd == -ELOOP)
                        again = job->change.tries < TRIES;
        }
        if (wd > 0) {
                pthread_mutex_unlock(&w->lock);
                list_appeared(w, STEAL_FD(a.fd), wd, job);
                pthread_mutex_lock(&w->lock);
                listed(w, wd);
        }
        state_done(w, job, again, answered);
        closep(&a.fd);
        state_barriers(w);
}

/* Under the lock, which is let go while a directory is opened. */
static void adopt_all(Watch *w) {
        SettleJob job;

        while (!w->stop && settle_next(w->settle, now_usec(CLOCK_MONOTONIC), true, &job))
                adopt(w, &job);
}

/* Whole trees. */

static int push(Walk *k, int wd) {
        if (k->depth == k->allocated) {
                size_t n = MAX_OF(k->allocated * 2, 64u);
                int *stack = reallocarray(k->stack, n, sizeof(*stack));

                if (!stack)
                        return -ENOMEM;
                k->stack = stack;
                k->allocated = n;
        }
        k->stack[k->depth++] = wd;
        return 0;
}

static void listed_done(Listed *l) {
        closep(&l->fd);
        free(l->target);
        l->target = NULL;
        l->fd = -1;
}

static void examine(Walk *k, const Spot *p, Listed *l) {
        int r = identify_stat(p->fd, l->name, &l->state);

        l->fd = -1;
        l->error = 0;
        l->foreign = l->ignored = false;
        l->gone = r < 0;
        if (l->gone)
                return;
        l->ignored = state_ignored(k->w, p->path, l->name, S_ISDIR(l->state.mode));
        if (S_ISLNK(l->state.mode) && identify_target(p->fd, l->name, &l->target, &l->target_size) < 0)
                l->gone = true;
        if (!S_ISDIR(l->state.mode) || l->ignored || excluded(k->w, &l->state))
                return;
        l->foreign = foreign(&p->root, &l->state);
        if (l->foreign)
                return;
        l->fd = identify_directory(p->fd, l->name);
        if (l->fd < 0)
                l->error = -l->fd;
        else    /* another directory may have taken the name in between */
                l->error = -identify_stat(l->fd, "", &l->state);
}

/* In a first look, what was met before, by this walk or as it appeared, has been watched since. */
static bool will_list(const Walk *k, int wd) {
        const Directory *d = table_find(k->w->table, wd);

        return d && !(d->listed && k->origin == ORIGIN_SCAN);
}

static void report_listed(Walk *k, Directory *d, const Listed *l) {
        FeedMessage m = { .type = FEED_STATE };
        Bytes name = BYTES_STR(l->name);
        int wd = 0;

        if (l->gone || l->ignored)
                return;
        if (l->fd >= 0)
                wd = watch_directory(k->w, k->root, d, name, l->fd, &l->state, true);
        if (wd == -ELOOP) {             /* notices of moves are on their way: looked at once they are here */
                SettleNotice n = { .dir = (uint32_t) d->wd, .name = name, .origin = k->origin };

                state_touch(k->w, &n, moment_now());
                return;
        }
        state_describe(&m, &l->state);
        m.STATE.dir = (uint32_t) d->wd;
        m.STATE.name = name;
        m.STATE.flags = FEED_FLAG_LISTED | (wd > 0 && will_list(k, wd) ? FEED_FLAG_ADOPTED : 0);
        m.STATE.origin = k->origin;
        m.STATE.first = m.STATE.last = now_usec(CLOCK_REALTIME);
        m.STATE.target = l->target ? BYTES(l->target, l->target_size) : BYTES_NONE;
        state_emit(k->w, &m, true);
        if (l->foreign)
                state_gap(k->w, 0, (uint32_t) d->wd, name, CAUSE_OTHER_FILESYSTEM, 0);
        else if (wd < 0 || (l->error != 0 && l->error != ENOENT))
                explain_unwatched(k->w, (uint32_t) d->wd, name, wd < 0 ? -wd : l->error);
        if (wd > 0) {
                state_announce(k->w, table_find(k->w->table, wd));
                if (push(k, wd) < 0)
                        state_lost(k->w);
        }
}

/* Under the lock. A name that went between its examination and this would be reported after its going: then
 * the slice is examined once more, name by name, so that the window is a few microseconds. */
static bool report_slice(Walk *k, int wd, uint32_t removals, Listed *slice, size_t n) {
        Directory *d = table_find(k->w->table, wd);

        if (!d || !table_attached(d))
                return true;            /* gone as a whole: so is all in it */
        if (d->removals != removals)
                return false;
        for (size_t i = 0; i < n; i++)
                report_listed(k, d, &slice[i]);
        return true;
}

static uint32_t removals_of(Walk *k, int wd) {
        const Directory *d = table_find(k->w->table, wd);

        return d ? d->removals : 0;
}

static void wait_for_room(Watch *w) {
        while (outbox_frames(w->outbox) >= OUTBOX_ROOM && !w->stop)
                pthread_cond_wait(&w->room, &w->lock);
}

static void wait_a_moment(Watch *w) {
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_nsec += 20 * 1000 * 1000;
        if (at.tv_nsec >= 1000 * 1000 * 1000) {
                at.tv_nsec -= 1000 * 1000 * 1000;
                at.tv_sec++;
        }
        (void) pthread_cond_timedwait(&w->walk, &w->lock, &at);
}

/* Called and left without the lock. */
static void pass_slice(Walk *k, const Spot *p, int wd, size_t n) {
        size_t step = n;

        for (size_t at = 0; at < n;) {
                size_t size = MIN_OF(step, n - at);
                uint32_t removals;
                bool passed;

                pthread_mutex_lock(&k->w->lock);
                adopt_all(k->w);
                wait_for_room(k->w);
                removals = removals_of(k, wd);
                pthread_mutex_unlock(&k->w->lock);
                for (size_t i = 0; i < size; i++)
                        examine(k, p, &k->slice[at + i]);
                pthread_mutex_lock(&k->w->lock);
                passed = k->w->stop || report_slice(k, wd, removals, &k->slice[at], size);
                pthread_mutex_unlock(&k->w->lock);
                for (size_t i = 0; i < size; i++)
                        listed_done(&k->slice[at + i]);
                if (passed)
                        at += size;
                else
                        step = 1;
        }
}

static int list_names(Walk *k, Spot *p, int wd) {
        DIR *dir = fdopendir(p->fd);
        struct dirent *entry;
        size_t n = 0;
        int r;

        if (!dir)
                return -errno;
        while (errno = 0, (entry = readdir(dir))) {
                size_t size = strlen(entry->d_name);

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || size > 255)
                        continue;
                memcpy(k->slice[n++].name, entry->d_name, size + 1);
                if (n == SLICE) {
                        pass_slice(k, p, wd, n);
                        n = 0;
                }
        }
        r = -errno;
        pass_slice(k, p, wd, n);
        closedir(dir);
        p->fd = -1;
        return r;
}

static bool place_moved(int error) {
        return error == -ENOENT || error == -ESTALE || error == -ENOTDIR || error == -ELOOP;
}

/* Its place may move between being asked for and being opened: the notice of that is on its way, and another
 * try knows better. -ENOENT: it is in no tree any more. */
static int open_listed(Walk *k, int wd, Spot *p, bool *ret_root) {
        int r = -ENOENT;

        *ret_root = false;
        for (int tries = 0; tries < TRIES && !*ret_root && place_moved(r); tries++) {
                spot_done(p);
                pthread_mutex_lock(&k->w->lock);
                if (tries > 0)
                        wait_a_moment(k->w);
                adopt_all(k->w);
                wait_for_room(k->w);
                r = table_find(k->w->table, wd) ? spot_find(k->w, (uint32_t) wd, p) : -EIDRM;
                pthread_mutex_unlock(&k->w->lock);
                if (r == 0)
                        r = spot_open(p, ret_root);
        }
        return r == -EIDRM ? -ENOENT : r;
}

/* Under the lock. A walk that leaves out a directory says so. */
static void explain_unlisted(Walk *k, int wd, bool root_failed, int error) {
        const Directory *d = table_find(k->w->table, wd);
        Root *root = d && table_attached(d) ? state_root(k->w, d->root) : NULL;

        if (!root)
                return;
        if (root_failed || !d->parent)
                state_root_lost(k->w, root, place_moved(error) ? CAUSE_ROOT_MOVED : CAUSE_PERMISSION);
        else if (place_moved(error))    /* it never held still: another walk */
                state_gap(k->w, 0, (uint32_t) wd, BYTES_NONE, CAUSE_READ_ERROR, -error);
        else
                explain_unwatched(k->w, (uint32_t) d->parent->wd, BYTES(d->name, d->name_size), -error);
}

/* By this walk already, before it moved; or, at a first look, when it appeared: nothing of it is recorded
 * that might be gone, and its notices tell the rest. */
static bool is_listed(Walk *k, int wd) {
        const Directory *d;
        bool listed;

        pthread_mutex_lock(&k->w->lock);
        d = table_find(k->w->table, wd);
        listed = d && d->listed && (d->walk == k->id || k->origin == ORIGIN_SCAN);
        pthread_mutex_unlock(&k->w->lock);
        return listed;
}

static void list_directory(Walk *k, int wd) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        FeedMessage begin = { .type = FEED_LIST_BEGIN,
                              .LIST_BEGIN = { .dir = (uint32_t) wd, .walk = k->id } };
        FeedMessage end = { .type = FEED_LIST_END, .LIST_END = { .dir = (uint32_t) wd, .walk = k->id } };
        bool root_failed;
        Directory *d;
        int r = open_listed(k, wd, &spot, &root_failed);

        pthread_mutex_lock(&k->w->lock);
        d = will_list(k, wd) ? table_find(k->w->table, wd) : NULL;
        if (d && r == 0) {
                k->w->walked_twice += d->listed;
                d->listed = d->listing = true;
                d->walk = k->id;
                k->directories++;
                state_emit(k->w, &begin, true);
        }
        pthread_mutex_unlock(&k->w->lock);
        if (!d)
                return;
        if (r == 0)
                r = list_names(k, &spot, wd);
        end.LIST_END.error = (uint32_t) -r;
        pthread_mutex_lock(&k->w->lock);
        listed(k->w, wd);
        state_emit(k->w, &end, true);
        if (r < 0 && !k->w->stop)
                explain_unlisted(k, wd, root_failed, r);
        pthread_mutex_unlock(&k->w->lock);
}

/* Opens a root for WATCH; fills the answer. Returns its descriptor or -errno. */
static int open_root(const char *path, FeedMessage *m, IdentifyState *state, uint8_t uuid[16],
                     int64_t *ret_btime) {
        const char *type = "";
        bool network = false, has_uuid = false;
        int fd = identify_root(path), r;

        if (fd < 0)
                return fd;
        r = identify_stat(fd, "", state);
        if (r == 0)
                r = identify_filesystem(fd, &type, &network, uuid, &has_uuid);
        if (r == 0) {
                int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                r = readable < 0 ? -errno : 0;
                closep(&readable);
        }
        if (r < 0) {
                close(fd);
                return r;
        }
        m->ROOT.inode = state->inode;
        m->ROOT.btime = *ret_btime = state->btime;
        m->ROOT.device = state->device;
        m->ROOT.fs_type = BYTES_STR(type);
        m->ROOT.fs_uuid = has_uuid ? BYTES(uuid, 16) : BYTES_NONE;
        m->ROOT.network = network;
        return fd;
}

/* Under the lock: the root's directory joins the table. */
static int watch_root(Watch *w, Root *root, int fd, const IdentifyState *state) {
        int wd = watch_directory(w, root->id, NULL, BYTES("", 0), fd, state, true);
        const Directory *d = wd > 0 ? table_find(w->table, wd) : NULL;

        if (d && (d->parent || d->root != root->id))
                return -EBUSY;          /* it is inside of another root, or is one */
        if (wd > 0) {
                root->wd = wd;
                root->inode = state->inode;
                root->btime = state->btime;
                root->device = state->device;
        }
        return wd;
}

static bool answer_watch(Walk *k) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int fd = -1;
        FeedMessage m = { .type = FEED_ROOT, .ROOT = { .root = k->root } };
        IdentifyState state;
        uint8_t uuid[16];
        int64_t btime;
        Root *root;
        int wd;

        pthread_mutex_lock(&k->w->lock);
        root = state_root(k->w, k->root);
        path = root ? strdup(root->path) : NULL;
        pthread_mutex_unlock(&k->w->lock);
        if (!path)
                return false;
        fd = wd = open_root(path, &m, &state, uuid, &btime);
        pthread_mutex_lock(&k->w->lock);
        root = state_root(k->w, k->root);
        if (!root)
                wd = -ENOENT;           /* not wanted any more */
        else if (fd >= 0)
                wd = excluded(k->w, &state) ? -EDEADLK : watch_root(k->w, root, fd, &state);
        if (wd > 0)
                m.ROOT.dir = (uint32_t) wd;
        else
                m.ROOT.error = (uint32_t) -wd;
        if (root)
                state_emit(k->w, &m, true);
        if (wd > 0) {
                SettleNotice head = { .dir = (uint32_t) wd, .name = BYTES("", 0), .origin = k->origin };

                state_announce(k->w, table_find(k->w->table, wd));
                state_touch(k->w, &head, moment_now());
                pthread_cond_signal(&k->w->look);
        }
        pthread_mutex_unlock(&k->w->lock);
        return wd > 0;
}

static void walk_tree(Walk *k, bool watch) {
        FeedMessage m = { .type = FEED_WALK_END, .WALK_END = { .root = k->root, .walk = k->id } };
        Root *root;
        int wd;

        if (watch && !answer_watch(k))
                return;
        pthread_mutex_lock(&k->w->lock);
        root = state_root(k->w, k->root);
        wd = root ? root->wd : 0;
        pthread_mutex_unlock(&k->w->lock);
        if (wd > 0)
                (void) push(k, wd);
        while (k->depth > 0 && !__atomic_load_n(&k->w->stop, __ATOMIC_RELAXED))
                if (!is_listed(k, k->stack[--k->depth]))
                        list_directory(k, k->stack[k->depth]);
        m.WALK_END.directories = k->directories;
        pthread_mutex_lock(&k->w->lock);
        state_emit(k->w, &m, true);
        state_barriers(k->w);
        pthread_mutex_unlock(&k->w->lock);
}

void *walk_thread(void *userdata) {
        Watch *w = userdata;
        Walk *k = calloc(1, sizeof(*k));

        pthread_mutex_lock(&w->lock);
        while (k && !w->stop) {
                WalkRequest *q;

                adopt_all(w);
                q = w->walks;
                if (!q) {
                        pthread_cond_wait(&w->walk, &w->lock);
                        continue;
                }
                w->walks = q->next;
                if (!w->walks)
                        w->walks_tail = &w->walks;
                pthread_mutex_unlock(&w->lock);
                *k = (Walk) { .w = w, .root = q->root, .id = q->walk, .origin = q->origin };
                walk_tree(k, q->watch);
                free(k->stack);
                free(q);
                pthread_mutex_lock(&w->lock);
        }
        pthread_mutex_unlock(&w->lock);
        free(k);
        return NULL;
}
