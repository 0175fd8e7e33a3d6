/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/watch/directory.h"
#include "daemon/watch/poll.h"
#include "daemon/watch/sweep.h"
#include "daemon/watch/walk.h"

enum {
        ROUND_USEC = 2000000,           /* a round takes at least that long */
        STEP_USEC = 100000,             /* so much of the budget is spent at a time */
        STEP_MAX = 256,                 /* directories in a step */
        AWAY_MAX = 2,                   /* rounds in which a directory may not be where it should */
        STEPPED_USEC = 500000,          /* the clock of ctimes against one that is never set */
};
#define SLACK_NSEC INT64_C(1000000000)  /* nothing is missed before its ctime, but ticks are coarse */

static bool is_it(const Directory *d, const IdentifyState *state) {
        return d && d->polled && d->inode == state->inode && d->btime == state->btime;
}

static Directory *polled_root(Watch *w, const IdentifyState *state) {
        for (size_t i = 0; i < ROOTS_MAX; i++) {
                Directory *d = w->roots[i].wd > 0 ? table_find(w->table, w->roots[i].wd) : NULL;

                if (is_it(d, state))
                        return d;
        }
        return NULL;
}

/* The kernel counts from 1 up, and would take years to meet these. */
static int free_id(Watch *w) {
        do
                w->poll.last_id = w->poll.last_id > INT32_MAX / 2 ? w->poll.last_id - 1 : INT32_MAX;
        while (table_find(w->table, w->poll.last_id));
        return w->poll.last_id;
}

/* It was polled, and has its watch now. What happened before is still to be found. */
static Directory *give_watch(Watch *w, Directory *d, int wd) {
        Root *root = d->parent ? NULL : state_root(w, d->root);

        if (root && root->wd == d->wd)
                root->wd = wd;
        table_rekey(w->table, d, wd);
        d->unwatched = false;
        d->stale = true;
        return d;
}

int poll_watch(Watch *w, Directory *parent, Bytes name, int fd, const IdentifyState *state,
               bool *ret_unwatched) {
        int wd = notify_add(w->notify, fd);
        Directory *d;

        *ret_unwatched = false;
        if (wd != -ENOSPC && w->poll.count == 0)
                return wd;
        d = parent ? table_child(w->table, parent, name) : polled_root(w, state);
        if (!is_it(d, state) || !d->unwatched)
                d = NULL;
        if (wd > 0 && d && !table_find(w->table, wd))
                (void) give_watch(w, d, wd);
        if (wd != -ENOSPC)
                return wd;
        *ret_unwatched = true;
        return d ? d->wd : free_id(w);
}

static int64_t clock_offset(void) {
        return now_usec(CLOCK_REALTIME) - now_usec(CLOCK_BOOTTIME);
}

void poll_added(Watch *w, Directory *d) {
        if (d->polled)
                return;
        if (w->poll.count == 0 && w->poll.n == 0) {     /* they are listed from now on */
                w->poll.started = ctime_now();
                w->poll.offset = clock_offset();
        }
        d->polled = d->unwatched = true;
        w->poll.count++;
        pthread_cond_signal(&w->tend);
}

void poll_announced(Watch *w, Directory *d) {
        Root *root = d->polled ? state_root(w, d->root) : NULL;

        if (!root || d->poll_said)
                return;
        d->poll_said = root->limited = true;
        if (!d->parent || !table_parent(w->table, d)->polled)
                state_gap(w, root->id, (uint32_t) d->wd, BYTES_NONE, CAUSE_WATCH_LIMIT, ENOSPC);
}

int64_t poll_due(const Watch *w) {
        return w->poll.count > 0 || w->poll.n > 0 ? w->poll.next : INT64_MAX;
}

/* Under the lock. All of a root have their watch: its gap is over. */
static void tell_watched(Watch *w) {
        for (size_t i = 0; i < ROOTS_MAX; i++) {
                Root *root = &w->roots[i];
                FeedMessage m = { .type = FEED_RECONCILED,
                                  .RECONCILED = { .root = root->id, .cause = CAUSE_WATCH_LIMIT } };
                bool any = false;

                for (size_t n = 0; root->limited && n < w->poll.n && !any; n++) {
                        const Directory *d = table_find(w->table, w->poll.ids[n]);

                        any = d && d->root == root->id;
                }
                if (root->id == 0 || !root->limited || any)
                        continue;
                root->limited = false;
                state_emit(w, &m, true);
        }
}

/* What changed before the last round came by has been found. */
static void begin_round(Watch *w) {
        int64_t offset = clock_offset();
        int *ids;
        size_t n, polled = 0;

        free(w->poll.ids);
        w->poll.ids = NULL;
        w->poll.n = w->poll.at = 0;
        w->poll.next = now_usec(CLOCK_MONOTONIC) + ROUND_USEC;
        if (table_ids(w->table, &ids, &n) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                if (table_find(w->table, ids[i])->polled)
                        ids[polled++] = ids[i];
        w->poll.ids = ids;
        w->poll.n = w->poll.count = polled;
        tell_watched(w);
        w->poll.limit = notify_watch_limit(&w->poll.namespaced);
        state_counts(w);
        w->poll.since = w->poll.started;
        if (llabs(offset - w->poll.offset) > STEPPED_USEC)
                w->poll.since = 0;
        w->poll.offset = offset;
        w->poll.started = ctime_now();
        w->poll.least = w->poll.next;
        if (polled > 0)
                w->poll.next = now_usec(CLOCK_MONOTONIC);
}

/* Under the lock. It is not where it should be, or has left the tree, or is gone; or may not be read, which
 * is a gap until it can be. */
static void not_there(Watch *w, Directory *d, bool root_failed, int error) {
        Root *root = state_root(w, d->root);

        if (root && (root_failed || root->wd == d->wd)) {
                state_root_failed(w, root, error);
        } else if (d->parent && table_attached(w->table, d) && !spot_moved(error)) {
                if (d->away <= AWAY_MAX)        /* else it was said */
                        directory_unwatched(w, (uint32_t) table_parent(w->table, d)->wd, table_name(d),
                                            -error);
                d->away = AWAY_MAX + 1;
        } else if (!table_attached(w->table, d) || ++d->away > AWAY_MAX) {
                state_unwatch(w, d);
        }
}

/* Under the lock. Where it was away for a round, that round's changes in it are still to be found. */
static void is_back(Watch *w, Directory *d) {
        if (d->away == 0)
                return;
        d->away = 0;
        d->stale = true;
        state_announce(w, d);
}

/* Under the lock. One that has its watch, and was listed since, is as any other. */
static void graduate(Watch *w, int wd) {
        Directory *d = table_find(w->table, wd);

        if (!d || !d->polled || d->unwatched || d->stale)
                return;
        d->polled = d->poll_said = false;
        w->poll.count--;
}

/* Under the lock, which is let go meanwhile. The wd of a directory that is to be listed, or 0. */
static int visit(Watch *w, int id, uint64_t *spent) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        Directory *d = table_find(w->table, id);
        bool root_failed = false, watched = d && !d->unwatched, full = w->poll.full;
        int64_t since = w->poll.since;
        uint64_t entries = 0;
        int r = d ? spot_find(w, (uint32_t) id, &spot) : 0, wd = 0;

        if (!d)
                return 0;
        if (r == 0) {
                pthread_mutex_unlock(&w->lock);
                r = spot_open(&spot, &root_failed);
                if (r == 0 && !watched && !full)
                        wd = notify_add(w->notify, spot.fd);
                if (r == 0)
                        r = sweep_scan(w, &spot, since, SLACK_NSEC, &entries);
                pthread_mutex_lock(&w->lock);
        }
        *spent += MAX_OF(entries, 1u);
        w->poll.full |= wd == -ENOSPC;
        d = table_find(w->table, id);
        if (wd > 0 && !table_find(w->table, wd)) {
                if (d)
                        d = give_watch(w, d, wd);
                else
                        notify_remove(w->notify, wd);
                if (d)
                        state_announce(w, d);
        }
        if (!d)
                return 0;
        if (r < 0) {
                not_there(w, d, root_failed, r);
                return 0;
        }
        is_back(w, d);
        if (r == 0 && !d->stale) {
                graduate(w, d->wd);
                return 0;
        }
        *spent += entries;
        wd = d->wd;
        sweep_stale(w, wd);
        return wd;
}

void poll_some(Watch *w) {
        uint64_t spent = 0, budget = MAX_OF(w->poll.rate * STEP_USEC / (int64_t) USEC_PER_SEC, 1);
        int *list, copy[STEP_MAX];
        size_t n = 0;

        if (w->poll.at == w->poll.n)
                begin_round(w);
        if (w->poll.at == w->poll.n)
                return;
        list = malloc(STEP_MAX * sizeof(*list));
        w->poll.full = false;           /* one try a step */
        while (list && !w->stop && w->poll.at < w->poll.n && spent < budget && n < STEP_MAX) {
                int wd = visit(w, w->poll.ids[w->poll.at++], &spent);

                if (wd > 0)
                        list[n++] = wd;
        }
        for (size_t i = 0; i < n; i++)
                copy[i] = list[i];
        if (n > 0)
                sweep_list(w, list, n);
        else
                free(list);
        for (size_t i = 0; i < n; i++)
                graduate(w, copy[i]);
        w->poll.next = now_usec(CLOCK_MONOTONIC) + (int64_t) (spent * USEC_PER_SEC) / w->poll.rate;
        if (w->poll.at == w->poll.n)
                w->poll.next = MAX_OF(w->poll.next, w->poll.least);
}
