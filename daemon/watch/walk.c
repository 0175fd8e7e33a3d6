/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/watch/appear.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/roots.h"

/* walk: watches and lists whole trees, when asked to; directories that appear come first. First the watch,
 * then the listing: what is made in between is noticed, what both report is one. */

enum {
        SLICE = 128,                    /* names listed between two looks at what appeared meanwhile */
        NAMES_SAMPLE = 4096,            /* bytes of names that the answer to WATCH tells, at most */
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
        bool again;                     /* what a sweep found stale, and what is new there; no tree */
        int *stack;                     /* wds of directories to be listed */
        size_t depth, allocated;
        uint64_t directories;
        Listed slice[SLICE];
} Walk;

static int push(Walk *k, int wd) {
        int *stack = array_room(k->stack, k->depth, &k->allocated, 64, sizeof(*stack));

        if (!stack)
                return -ENOMEM;
        k->stack = stack;
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
        if (!S_ISDIR(l->state.mode) || l->ignored || directory_excluded(k->w, &l->state))
                return;
        l->foreign = directory_foreign(&p->root, &l->state);
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

        return d && !(d->listed && (k->origin == ORIGIN_SCAN || (k->again && !d->stale)));
}

static void report_listed(Walk *k, Directory *d, const Listed *l) {
        FeedMessage m = { .type = FEED_STATE };
        Bytes name = BYTES_STR(l->name);
        int wd = 0;

        if (l->gone || l->ignored)
                return;
        if (l->fd >= 0)
                wd = directory_watch(k->w, d, name, l->fd, &l->state, true);
        if (wd == -ELOOP) {             /* notices of moves are on their way: looked at once they are here */
                SettleNotice n = { .dir = (uint32_t) d->wd, .name = name, .origin = k->origin };

                state_touch(k->w, &n, moment_now());
                return;
        }
        state_describe(&m, &l->state);
        m.STATE.dir = (uint32_t) d->wd;
        m.STATE.name = name;
        m.STATE.flags = (uint16_t) (FEED_FLAG_LISTED | (wd > 0 && will_list(k, wd) ? FEED_FLAG_ADOPTED : 0) |
                                     (l->foreign ? FEED_FLAG_FOREIGN : 0));
        m.STATE.origin = k->origin;
        m.STATE.first = m.STATE.last = now_usec(CLOCK_REALTIME);
        m.STATE.target = l->target ? BYTES(l->target, l->target_size) : BYTES_NONE;
        state_emit(k->w, &m, true);
        if (l->foreign && !roots_meet(k->w, d->root, &l->state))
                state_gap(k->w, 0, (uint32_t) d->wd, name, CAUSE_OTHER_FILESYSTEM, 0);
        else if (wd < 0 || (l->error != 0 && l->error != ENOENT))
                directory_unwatched(k->w, (uint32_t) d->wd, name, wd < 0 ? -wd : l->error);
        if (wd > 0) {
                state_announce(k->w, table_find(k->w->table, wd));
                if (push(k, wd) < 0)
                        state_stale(k->w, (uint32_t) wd);
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
                appear_all(k->w);
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
                appear_all(k->w);
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
                directory_unwatched(k->w, (uint32_t) d->parent->wd, BYTES(d->name, d->name_size), -error);
}

/* Under the lock. Where it is will be known when all else is listed again: then it is tried once more. */
static void leave_stale(const Walk *k, int wd) {
        Directory *d = table_find(k->w->table, wd);

        if (d)
                d->stale = true;
}

/* By this walk already, before it moved; or, at a first look, when it appeared: nothing of it is recorded
 * that might be gone, and its notices tell the rest. */
static bool is_listed(Walk *k, int wd) {
        const Directory *d;
        bool listed;

        pthread_mutex_lock(&k->w->lock);
        d = table_find(k->w->table, wd);
        listed = d && (k->again ? !will_list(k, wd) :
                                  d->listed && (d->walk == k->id || k->origin == ORIGIN_SCAN));
        pthread_mutex_unlock(&k->w->lock);
        return listed;
}

static void list_directory(Walk *k, int wd) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        FeedMessage begin = { .type = FEED_LIST_BEGIN,
                              .LIST_BEGIN = { .dir = (uint32_t) wd, .walk = k->id } };
        FeedMessage end = { .type = FEED_LIST_END, .LIST_END = { .dir = (uint32_t) wd, .walk = k->id } };
        bool root_failed, was_listed;
        Directory *d;
        int r = open_listed(k, wd, &spot, &root_failed);

        pthread_mutex_lock(&k->w->lock);
        d = will_list(k, wd) ? table_find(k->w->table, wd) : NULL;
        was_listed = k->again && d && d->listed;
        if (d && r == 0) {
                k->w->walked_twice += d->listed;
                k->w->walked_again += was_listed;
                d->listed = d->listing = true;
                d->stale = false;
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
        directory_listed(k->w, wd);
        state_emit(k->w, &end, true);
        if (r < 0 && was_listed)
                leave_stale(k, wd);
        else if (r < 0 && !k->w->stop)
                explain_unlisted(k, wd, root_failed, r);
        pthread_mutex_unlock(&k->w->lock);
}

/* Some names of a directory, by which a copy of a tree is known for one. Closes the descriptor. */
static Bytes sample_names(int fd, uint8_t names[NAMES_SAMPLE]) {
        DIR *dir = fdopendir(fd);
        struct dirent *entry;
        size_t at = 0;

        if (!dir) {
                close(fd);
                return BYTES(names, 0);
        }
        while ((entry = readdir(dir))) {
                size_t size = strlen(entry->d_name) + 1;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (at + size > NAMES_SAMPLE)
                        break;
                memcpy(names + at, entry->d_name, size);
                at += size;
        }
        closedir(dir);
        return BYTES(names, at);
}

/* Opens a root for WATCH; fills the answer. Returns its descriptor or -errno. */
static int open_root(const char *path, FeedMessage *m, IdentifyState *state, uint8_t uuid[16],
                     uint8_t names[NAMES_SAMPLE]) {
        const char *type = "";
        bool network = false, has_uuid = false;
        int fd = identify_root(path), r;

        if (fd < 0)
                return fd;
        r = identify_stat(fd, "", state);
        if (r == 0)
                r = identify_filesystem(fd, &type, &network, uuid, &has_uuid);
        if (r == 0 && strcmp(type, "overlay") == 0) {   /* so are all roots of this watcher */
                identify_without_btime();
                state->btime = 0;
        }
        if (r == 0) {
                int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                r = readable < 0 ? -errno : 0;
                if (r == 0)
                        m->ROOT.names = sample_names(readable, names);
        }
        if (r < 0) {
                close(fd);
                return r;
        }
        m->ROOT.inode = state->inode;
        m->ROOT.btime = state->btime;
        m->ROOT.mode = state->mode & 07777;
        m->ROOT.uid = state->uid;
        m->ROOT.gid = state->gid;
        m->ROOT.device = state->device;
        m->ROOT.fs_type = BYTES_STR(type);
        m->ROOT.fs_uuid = has_uuid ? BYTES(uuid, 16) : BYTES_NONE;
        m->ROOT.network = network;
        return fd;
}

static void announce(void *userdata, Directory *d) {
        state_announce(userdata, d);
}

/* FUSE over a disk of this machine has a server, too. */
static bool is_remote(const Feed_ROOT *m) {
        return m->network || bytes_equal(m->fs_type, BYTES_STR("fuse"));
}

static bool answer_watch(Walk *k) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int fd = -1;
        FeedMessage m = { .type = FEED_ROOT, .ROOT = { .root = k->root } };
        IdentifyState state;
        uint8_t uuid[16], names[NAMES_SAMPLE];
        Root *root;
        int wd;

        pthread_mutex_lock(&k->w->lock);
        root = state_root(k->w, k->root);
        path = root ? strdup(root->path) : NULL;
        pthread_mutex_unlock(&k->w->lock);
        if (!path)
                return false;
        fd = wd = open_root(path, &m, &state, uuid, names);
        pthread_mutex_lock(&k->w->lock);
        root = state_root(k->w, k->root);
        if (!root)
                wd = -ENOENT;           /* not wanted any more */
        else if (fd >= 0)
                wd = directory_excluded(k->w, &state) ? -EDEADLK : roots_begin(k->w, root, fd, &state);
        if (root && wd > 0)
                root->remote = is_remote(&m.ROOT);
        if (wd > 0)
                m.ROOT.dir = (uint32_t) wd;
        else
                m.ROOT.error = (uint32_t) -wd;
        if (root)
                state_emit(k->w, &m, true);
        if (wd > 0) {
                SettleNotice head = { .dir = (uint32_t) wd, .name = BYTES("", 0), .origin = k->origin };

                table_subtree(table_find(k->w->table, wd), announce, k->w);
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

/* One listing after the other, since intake takes one at a time. */
static void walk_again(Walk *k, const WalkRequest *q) {
        for (size_t i = 0; i < q->n_again; i++) {
                (void) push(k, q->again[i]);
                while (k->depth > 0 && !__atomic_load_n(&k->w->stop, __ATOMIC_RELAXED))
                        if (!is_listed(k, k->stack[--k->depth]))
                                list_directory(k, k->stack[k->depth]);
        }
        pthread_mutex_lock(&k->w->lock);
        k->w->agains_done++;
        pthread_cond_broadcast(&k->w->tend);
        pthread_mutex_unlock(&k->w->lock);
}

void *walk_thread(void *userdata) {
        Watch *w = userdata;
        Walk *k = calloc(1, sizeof(*k));

        pthread_setname_np(pthread_self(), "walk");
        pthread_mutex_lock(&w->lock);
        while (k && !w->stop) {
                WalkRequest *q;

                appear_all(w);
                if (w->stop)            /* it may have been asked for while the lock was let go */
                        break;
                q = w->walks;
                if (!q) {
                        pthread_cond_wait(&w->walk, &w->lock);
                        continue;
                }
                w->walks = q->next;
                if (!w->walks)
                        w->walks_tail = &w->walks;
                pthread_mutex_unlock(&w->lock);
                *k = (Walk) { .w = w, .root = q->root, .id = q->walk, .origin = q->origin,
                              .again = q->again };
                if (q->idle)
                        read_idly(true);
                if (q->again)
                        walk_again(k, q);
                else
                        walk_tree(k, q->watch);
                if (q->idle)
                        read_idly(false);
                free(k->stack);
                free(q->again);
                free(q);
                pthread_mutex_lock(&w->lock);
        }
        pthread_mutex_unlock(&w->lock);
        free(k);
        return NULL;
}
