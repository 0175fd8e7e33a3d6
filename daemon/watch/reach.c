/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "daemon/watch/appear.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/walk.h"

/* reach: how a walk opens directories. From the one above it, which nearly always is the one that was needed
 * for the last, and stays open for it; else by the path from the root. */

enum { MOMENT_USEC = 20000 };

void wait_for_room(Watch *w) {
        while (outbox_frames(w->outbox) >= OUTBOX_ROOM && !w->stop)
                pthread_cond_wait(&w->room, &w->lock);
}

static void wait_a_moment(Watch *w) {
        struct timespec at = timespec_of(now_usec(CLOCK_MONOTONIC) + MOMENT_USEC);

        (void) pthread_cond_timedwait(&w->walk, &w->lock, &at);
}

void reach_done(Walk *k) {
        spot_done(&k->above);
}

/* Its place may move between being asked for and being opened: the notice of that is on its way, and another
 * try knows better. */
static int by_path(Walk *k, int wd, Spot *p, bool *ret_root) {
        int r = -ENOENT;

        *ret_root = false;
        for (int tries = 0; tries < TRIES && !*ret_root && spot_moved(r); tries++) {
                spot_done(p);
                pthread_mutex_lock(&k->w->lock);
                state_wake(k->w);
                if (tries > 0) {
                        state_mark(k->w);
                        wait_a_moment(k->w);
                }
                appear_all(k->w);
                wait_for_room(k->w);
                r = table_find(k->w->table, wd) ? spot_find(k->w, (uint32_t) wd, p) : -EIDRM;
                pthread_mutex_unlock(&k->w->lock);
                if (r == 0)
                        r = spot_open(p, ret_root);
        }
        return r == -EIDRM ? -ENOENT : r;
}

/* Under the lock: what is known of a directory beneath another one; the name is *ret_name. */
static int find_below(Walk *k, int wd, Spot *p, int *ret_above, char ret_name[256]) {
        const Directory *d = table_find(k->w->table, wd);
        bool within = d && d->parent && table_attached(k->w->table, d);
        const Root *root = within ? state_root(k->w, d->root) : NULL;
        Bytes name;

        if (!root || root->wd <= 0)
                return -ENOENT;
        *p = (Spot) { .root = *root, .dir = (uint32_t) wd, .fd = -1, .inode = d->inode, .btime = d->btime };
        p->root.path = NULL;
        p->path = k->w->ignore ? table_path(k->w->table, d) : NULL;
        if (k->w->ignore && !p->path)
                return -ENOMEM;
        *ret_above = table_parent(k->w->table, d)->wd;
        name = table_name(d);
        memcpy(ret_name, name.data, name.size);
        ret_name[name.size] = '\0';
        return 0;
}

static int from_above(Walk *k, int wd, Spot *p) {
        bool root;
        char name[256];
        int above = 0, r;

        pthread_mutex_lock(&k->w->lock);
        appear_all(k->w);
        wait_for_room(k->w);
        r = find_below(k, wd, p, &above, name);
        pthread_mutex_unlock(&k->w->lock);
        if (r < 0)
                return r;
        if (k->above.fd < 0 || k->above.dir != (uint32_t) above) {
                spot_done(&k->above);
                r = by_path(k, above, &k->above, &root);
                if (r < 0) {
                        spot_done(&k->above);
                        return r;
                }
        }
        p->fd = identify_directory(k->above.fd, name);
        return p->fd < 0 ? p->fd : spot_prove(p);
}

int reach_open(Walk *k, int wd, Spot *p, bool *ret_root) {
        *ret_root = false;
        if (from_above(k, wd, p) == 0)
                return 0;
        spot_done(p);
        return by_path(k, wd, p, ret_root);
}

static bool is_wanted(const struct dirent64 *entry, bool directories) {
        if (directories && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
                return false;
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static void tell_unnameable(Watch *w, int wd) {
        pthread_mutex_lock(&w->lock);
        directory_unnameable(w, wd);
        pthread_mutex_unlock(&w->lock);
}

int reach_names(Walk *k, const Spot *p, int wd, bool directories, ReachFn fn) {
        ssize_t size;
        size_t n = 0;
        int error = 0;

        while ((size = getdents64(p->fd, k->buffer, sizeof(k->buffer))) > 0) {
                for (ssize_t at = 0; at < size;) {
                        const struct dirent64 *entry = (const void *) (k->buffer + at);
                        size_t length = strlen(entry->d_name);
                        Name *name = &k->slice[n].entry;

                        at += entry->d_reclen;
                        if (!is_wanted(entry, directories))
                                continue;
                        if (length > NAME_SIZE_MAX) {
                                tell_unnameable(k->w, wd);
                                continue;
                        }
                        memcpy(name->name, entry->d_name, length + 1);
                        name->inode = entry->d_ino;
                        name->type = entry->d_type;
                        if (++n == SLICE) {
                                fn(k, p, wd, n);
                                n = 0;
                        }
                }
        }
        if (size < 0)
                error = -errno;
        if (n > 0)
                fn(k, p, wd, n);
        return error;
}
