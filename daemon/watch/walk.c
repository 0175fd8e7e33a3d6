/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/watch/appear.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/roots.h"
#include "daemon/watch/walk.h"

/* walk: watches and lists whole trees, when asked to; directories that appear come first. First all watches,
 * then all listings: what is made in between is noticed, what both report is one. */

enum { NAMES_SAMPLE = 4096 };           /* bytes of names that the answer to WATCH tells, at most */

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

                table_subtree(k->w->table, table_find(k->w->table, wd), announce, k->w);
                state_touch(k->w, &head, moment_now());
                pthread_cond_signal(&k->w->look);
        }
        pthread_mutex_unlock(&k->w->lock);
        return wd > 0;
}

/* Directories that come meanwhile are armed at once, and listed in their turn. */
static void list_all(Walk *k) {
        for (size_t i = 0; i < k->n_order && !__atomic_load_n(&k->w->stop, __ATOMIC_RELAXED); i++) {
                if (!walk_has_listed(k, k->order[i]))
                        list_directory(k, k->order[i]);
                arm_all(k);
        }
}

static void walk_done(Walk *k) {
        while (k->depth > 0)
                closep(&k->stack[--k->depth].fd);
        free(k->stack);
        free(k->order);
        reach_done(k);
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
                (void) arm_push(k, wd, -1);
        arm_all(k);
        pthread_mutex_lock(&k->w->lock);
        state_counts(k->w);             /* all watches are set */
        pthread_mutex_unlock(&k->w->lock);
        list_all(k);
        m.WALK_END.directories = k->directories;
        pthread_mutex_lock(&k->w->lock);
        state_emit(k->w, &m, true);
        state_mark(k->w);
        state_barriers(k->w);
        pthread_mutex_unlock(&k->w->lock);
}

/* One listing after the other, since intake takes one at a time. */
static void walk_again(Walk *k, const WalkRequest *q) {
        for (size_t i = 0; i < q->n_again && !__atomic_load_n(&k->w->stop, __ATOMIC_RELAXED); i++) {
                (void) arm_push(k, q->again[i], -1);
                while (k->depth > 0 && !__atomic_load_n(&k->w->stop, __ATOMIC_RELAXED)) {
                        int wd = arm_pop(k);

                        if (!walk_has_listed(k, wd))
                                list_directory(k, wd);
                }
        }
        pthread_mutex_lock(&k->w->lock);
        state_wake(k->w);
        state_mark(k->w);
        k->w->agains_done++;
        pthread_cond_broadcast(&k->w->tend);
        pthread_mutex_unlock(&k->w->lock);
}

void *walk_thread(void *userdata) {
        Watch *w = userdata;
        Walk *k = calloc(1, sizeof(*k));

        pthread_setname_np(pthread_self(), "walk");
        pthread_mutex_lock(&w->lock);
        if (!k)
                state_broken(w, -ENOMEM);
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
                *k = (Walk) { .w = w, .root = q->root, .id = q->walk, .origin = q->origin, .above.fd = -1,
                              .again = q->again };
                if (q->idle)
                        read_idly(true);
                if (q->again)
                        walk_again(k, q);
                else
                        walk_tree(k, q->watch);
                if (q->idle)
                        read_idly(false);
                walk_done(k);
                free(q->again);
                free(q);
                pthread_mutex_lock(&w->lock);
        }
        pthread_mutex_unlock(&w->lock);
        free(k);
        return NULL;
}
