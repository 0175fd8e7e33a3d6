/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <dirent.h>
#include <errno.h>

#include "daemon/watch/directory.h"
#include "daemon/watch/walk.h"

/* arm: the first half of a walk watches all directories, so that what happens in any of them is noticed from
 * then on, and reports them, so that what is noticed has its place. The second half lists their names. What
 * cannot be watched at once, or not at all, is left to that. A directory that by its links has no other one
 * in it, as most have none, is read in the second half only. */

/* Of those that wait, the last ones keep a descriptor: their turn comes first. */
static void let_one_go(Walk *k) {
        while (k->stack[k->lowest].fd < 0)
                k->lowest++;
        closep(&k->stack[k->lowest].fd);
        k->n_held--;
}

int arm_push(Walk *k, int wd, int fd) {
        Held *stack = array_room(k->stack, k->depth, &k->allocated, 64, sizeof(*stack));

        if (!stack) {
                closep(&fd);
                return -ENOMEM;
        }
        k->stack = stack;
        k->stack[k->depth++] = (Held) { wd, fd };
        if (fd >= 0 && ++k->n_held > HELD_MAX)
                let_one_go(k);
        return 0;
}

static int pop(Walk *k, Spot *p) {
        Held h = k->stack[--k->depth];

        k->lowest = MIN_OF(k->lowest, k->depth);
        k->n_held -= h.fd >= 0;
        p->fd = h.fd;
        return h.wd;
}

int arm_pop(Walk *k) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };

        return pop(k, &spot);
}

static int order_add(Walk *k, int wd) {
        int *order = array_room(k->order, k->n_order, &k->order_allocated, 64, sizeof(*order));

        if (!order)
                return -ENOMEM;
        k->order = order;
        k->order[k->n_order++] = wd;
        return 0;
}

/* No stat before it: what another file system covers is not opened. */
static void open_below(Walk *k, const Spot *p, Listed *l) {
        l->fd = -1;
        l->gone = true;                 /* until it is one to be watched */
        if (state_ignored(k->w, p->path, l->entry.name, true))
                return;
        l->fd = identify_below(p->fd, l->entry.name);
        if (l->fd < 0 || identify_stat(l->fd, "", &l->state) < 0)
                return;
        l->gone = directory_excluded(k->w, &l->state) || directory_foreign(&p->root, &l->state);
}

/* Each directory in one is a link to it, by its "..", where links of directories are counted at all: else
 * there is one. Should it not be so, the second half finds what is in it. */
static bool has_none_below(const IdentifyState *state) {
        return state->nlink == 2;
}

/* Under the lock: a new directory is to be listed, and before that, if it may have others in it, armed. */
static int arm_next(Walk *k, int wd, Listed *l) {
        return has_none_below(&l->state) ? order_add(k, wd) : arm_push(k, wd, STEAL_FD(l->fd));
}

static void report_armed(Walk *k, Directory *d, Listed *l, int64_t now) {
        FeedMessage m = { .type = FEED_STATE };
        Bytes name = BYTES_STR(l->entry.name);
        Directory *child;
        bool lists;
        int wd;

        if (l->gone)
                return;
        wd = directory_watch(k->w, d, name, l->fd, &l->state, false);
        if (wd <= 0)
                return;
        child = table_find(k->w->table, wd);
        child->armed = k->id;
        lists = walk_lists(k, child);
        state_describe(&m, &l->state);
        m.STATE.dir = (uint32_t) d->wd;
        m.STATE.name = name;
        m.STATE.flags = lists ? FEED_FLAG_ADOPTED : 0;
        m.STATE.origin = k->origin;
        m.STATE.first = m.STATE.last = now;
        state_emit_later(k->w, &m);
        state_announce(k->w, child);
        if (lists && arm_next(k, wd, l) < 0)
                state_stale(k->w, (uint32_t) wd);
}

static void arm_slice(Walk *k, const Spot *p, int wd, size_t n) {
        pass_slice(k, p, wd, n, open_below, report_armed);
}

/* What is needed of the directory, whose descriptor waited. */
static int describe(Walk *k, int wd, Spot *p) {
        const Directory *d;
        const Root *root;
        int r = 0, fd = p->fd;

        pthread_mutex_lock(&k->w->lock);
        d = table_find(k->w->table, wd);
        root = d && table_attached(k->w->table, d) ? state_root(k->w, d->root) : NULL;
        if (root) {
                *p = (Spot) { .root = *root, .dir = (uint32_t) wd, .fd = fd };
                p->root.path = NULL;
                p->path = k->w->ignore ? table_path(k->w->table, d) : NULL;
        }
        r = !root ? -ENOENT : k->w->ignore && !p->path ? -ENOMEM : 0;
        pthread_mutex_unlock(&k->w->lock);
        return r;
}

static void arm_one(Walk *k) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        int wd = pop(k, &spot), r;
        bool root_failed;

        if (walk_has_listed(k, wd))
                return;
        if (order_add(k, wd) < 0) {
                pthread_mutex_lock(&k->w->lock);
                state_stale(k->w, (uint32_t) wd);
                pthread_mutex_unlock(&k->w->lock);
                return;
        }
        r = spot.fd >= 0 ? describe(k, wd, &spot) : reach_open(k, wd, &spot, &root_failed);
        if (r == 0)                     /* else its turn to be listed will tell */
                (void) reach_names(k, &spot, wd, true, arm_slice);
}

void arm_all(Walk *k) {
        while (k->depth > 0 && !__atomic_load_n(&k->w->stop, __ATOMIC_RELAXED))
                arm_one(k);
}
