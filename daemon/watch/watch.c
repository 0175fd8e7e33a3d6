/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "daemon/watch/batch.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/roots.h"

enum {
        LOCK_SLICE = 128,               /* notices handled in one hold of the lock */
        PAIR_WAIT_USEC = 3000,          /* for the second half of a rename */
        BACK_WAIT_USEC = 300,           /* for the way back, when it is an exchange */
        PAIR_FOLLOWERS = 16,            /* notices behind the first half after which it is not awaited */
        GATHER_MSEC = 2,                /* after notices were taken: the kernel then wakes nobody for each */
};

static bool is_directory(const Notice *n) {
        return n->mask & IN_ISDIR;
}

static bool ignored(const Watch *w, const Directory *d, const Notice *n) {
        CLEANUP(freep) char *path = w->ignore ? table_path(w->table, d) : NULL;

        return path && state_ignored(w, path, n->name, is_directory(n));
}

static void report_gone(Watch *w, Directory *d, const Notice *n, Moment now) {
        SettleChange change;
        FeedMessage m = { .type = FEED_GONE };

        settle_gone(w->settle, (uint32_t) d->wd, notice_name(n), &change);
        state_displaced(w);
        m.GONE.dir = (uint32_t) d->wd;
        m.GONE.name = notice_name(n);
        m.GONE.request = change.request;
        m.GONE.origin = ORIGIN_LIVE;
        m.GONE.flags = (uint16_t) ((is_directory(n) ? FEED_FLAG_DIRECTORY : 0) |
                                   (change.first != 0 ? FEED_FLAG_CONTENT : 0) |
                                   ((change.flags & SETTLE_NEW) && !(change.flags & SETTLE_OVER) ?
                                            FEED_FLAG_CREATED : 0));
        m.GONE.first = change.first ? change.first : now.real;
        m.GONE.last = now.real;
        m.GONE.count = change.count + 1;
        if (m.GONE.request != 0 || !ignored(w, d, n))
                state_emit(w, &m, m.GONE.request != 0);
        d->removals++;
        if (n->mask & IN_MOVED_FROM) {
                /* It may be gone, or be one side of an exchange with a name that is not watched (yet). */
                SettleNotice again = { .dir = (uint32_t) d->wd, .name = notice_name(n),
                                       .origin = ORIGIN_LIVE,
                                       .flags = SETTLE_NEW | SETTLE_OVER | SETTLE_CONTENT };

                state_touch(w, &again, now);
        }
}

static void set_leaving(void *userdata, Directory *d) {
        (void) userdata;
        d->leaving = true;
}

static bool is_leaving(void *userdata, uint32_t dir) {
        const Watch *w = userdata;
        const Directory *d = table_find(w->table, (int) dir);

        return d && d->leaving;
}

static void report_leaving(void *userdata, uint32_t dir, Bytes name, const SettleChange *change) {
        FeedMessage m = { .type = FEED_GONE,
                          .GONE = { .dir = dir, .name = name, .request = change->request,
                                    .origin = change->origin, .first = change->first, .last = change->last,
                                    .count = change->count } };

        if (change->count > 0 || change->request != 0)
                state_emit(userdata, &m, change->request != 0);
}

/* A directory leaves the tree, and with it names of which something is pending: that counts still. */
static void leave_with(Watch *w, Directory *child) {
        if (settle_count(w->settle) == 0)
                return;
        table_subtree(w->table, child, set_leaving, NULL);
        settle_leave(w->settle, is_leaving, report_leaving, w);
        state_displaced(w);
}

static void on_gone(Watch *w, Directory *d, const Notice *n, Moment now) {
        Directory *child = is_directory(n) ? table_child(w->table, d, notice_name(n)) : NULL;

        if (child)
                roots_leave(w, child);
        if (child && n->mask & IN_MOVED_FROM)
                leave_with(w, child);
        report_gone(w, d, n, now);
        if (!child)
                return;
        if (n->mask & IN_MOVED_FROM || child->unwatched)
                state_unwatch(w, child);        /* it lives on elsewhere: what happens there is not ours */
        else
                table_detach(w->table, child);  /* the kernel's IN_IGNORED ends it */
}

static void announce(void *userdata, Directory *d) {
        state_announce(userdata, d);
}

/* What is watched at a name is not there any more; where it is now will be found. */
static void vacate(Watch *w, Directory *d, Bytes name) {
        const Directory *child = table_child(w->table, d, name);

        if (child)
                roots_leave(w, child);
        table_vacate(w->table, d, name);
}

static void look_again(Watch *w, const Directory *d, Bytes name, Moment now) {
        SettleNotice n = { .dir = (uint32_t) d->wd, .name = name, .origin = ORIGIN_LIVE };

        state_touch(w, &n, now);
}

/* Where a notice says that it is now; false: out of memory. If that is believed to be beneath it, a look was
 * faster than this notice, and found one of the two elsewhere: what is in between is parted from it, and
 * looked at where it was, and so is the name that it leaves. */
static bool place(Watch *w, Directory *d, Directory *to, Bytes name, Moment now) {
        const Directory *between = to;

        while (between && between != d && table_parent(w->table, between) != d)
                between = table_parent(w->table, between);
        if (between == d)
                return true;            /* another one, which had its name before, has moved into it */
        if (between) {
                look_again(w, d, table_name(between), now);
                if (d->parent)
                        look_again(w, table_parent(w->table, d), table_name(d), now);
                vacate(w, d, table_name(between));
        }
        return table_move(w->table, d, to, name) == 0;
}

static void move_directory(Watch *w, Directory *from, Directory *to, const Notice *old, const Notice *new,
                           Moment now) {
        Directory *child = table_child(w->table, from, notice_name(old));
        uint32_t root;

        if (!child)
                return;
        roots_leave(w, child);
        root = child->root;
        if (!place(w, child, to, notice_name(new), now)) {
                state_stale(w, (uint32_t) from->wd);
                state_stale(w, (uint32_t) to->wd);
                return;
        }
        if (child->root != root)
                table_subtree(w->table, child, announce, w);
}

/* Nothing is there any more, and nothing is recorded there, as far as we know. (Of two equal halves in a
 * row the kernel makes one, whatever their cookies: then this may be the way back of an exchange whose first
 * half was lost so, and something is there.) */
static void report_left(Watch *w, Directory *d, Bytes name, Moment now) {
        FeedMessage m = { .type = FEED_GONE,
                          .GONE = { .dir = (uint32_t) d->wd, .name = name, .origin = ORIGIN_LIVE,
                                    .first = now.real, .last = now.real } };

        state_emit(w, &m, false);
        look_again(w, d, name, now);
}

static void report_moved(Watch *w, Directory *from, Bytes old_name, Directory *to, Bytes name,
                         bool directory, const SettleChange *change) {
        FeedMessage m = { .type = FEED_MOVED,
                          .MOVED = { .old_dir = (uint32_t) from->wd, .old_name = old_name,
                                     .dir = (uint32_t) to->wd, .name = name,
                                     .flags = directory ? FEED_FLAG_DIRECTORY : 0,
                                     .first = change->first, .last = change->last,
                                     .count = change->count } };

        state_emit(w, &m, false);
}

static void on_touched(Watch *w, Directory *d, const Notice *n, Moment now);

/* A name that is ignored is not counted, nor what happened to it: who leaves it arrives, who takes it is
 * gone. */
static bool moved_ignored(Watch *w, Directory *from, const Notice *old, Directory *to, const Notice *new,
                          Moment now) {
        bool out = ignored(w, from, old), in = ignored(w, to, new);
        SettleChange change;

        if (!out && !in)
                return false;
        if (out) {
                settle_gone(w->settle, (uint32_t) from->wd, notice_name(old), &change);
                state_failed(w, change.request, ENOENT);
                from->removals++;
        } else {
                on_gone(w, from, old, now);
        }
        if (!in)
                on_touched(w, to, new, now);
        state_displaced(w);
        return true;
}

static void pair_set(Pair *p, unsigned side, const Directory *d, const Notice *n) {
        Bytes name = notice_name(n);

        p->dirs[side] = (uint32_t) d->wd;
        p->sizes[side] = (uint8_t) name.size;
        memcpy(p->names[side], name.data, name.size);
}

static bool pair_has(const Pair *p, unsigned side, const Directory *d, const Notice *n) {
        return p->dirs[side] == (uint32_t) d->wd &&
               bytes_equal(BYTES(p->names[side], p->sizes[side]), notice_name(n));
}

/* Where names are exchanged again and again it cannot be told which way is a way back. One that stands alone
 * between the same names as the last may be half of an exchange: then something is at its old name. */
static void look_back(Watch *w, Directory *from, const Notice *old, Directory *to, const Notice *new,
                      Moment now) {
        bool there = pair_has(&w->moved, 0, from, old) && pair_has(&w->moved, 1, to, new);
        bool back = pair_has(&w->moved, 1, from, old) && pair_has(&w->moved, 0, to, new);

        pair_set(&w->moved, 0, from, old);
        pair_set(&w->moved, 1, to, new);
        if (there || back)
                look_again(w, from, notice_name(old), now);
}

static void on_moved(Watch *w, Directory *from, const Notice *old, Directory *to, const Notice *new,
                     Moment now) {
        SettleChange change = { .first = now.real, .last = now.real };
        bool over = false;
        int r;

        if (w->ignore && moved_ignored(w, from, old, to, new, now))
                return;
        r = settle_move(w->settle, (uint32_t) from->wd, notice_name(old), (uint32_t) to->wd,
                        notice_name(new), is_directory(old), now, &change, &over);

        from->removals++;
        to->removals++;
        state_displaced(w);
        if (r < 0 || r == SETTLE_E_FULL)
                state_stale(w, (uint32_t) to->wd);
        if (over)
                report_left(w, from, notice_name(old), now);
        else if (r >= 0)
                report_moved(w, from, notice_name(old), to, notice_name(new), is_directory(old), &change);
        if (is_directory(old))
                move_directory(w, from, to, old, new, now);
        look_back(w, from, old, to, new, now);
        pthread_cond_signal(&w->look);
        pthread_cond_signal(&w->walk);
}

/* Both directories of an exchange keep their watches; only their names change places. */
static void swap_directories(Watch *w, Directory *a, const Notice *name1, Directory *b,
                             const Notice *name2, Moment now) {
        Directory *first = table_child(w->table, a, notice_name(name1));
        Directory *second = table_child(w->table, b, notice_name(name2));
        uint32_t root_a = a->root, root_b = b->root;

        if (first)
                roots_leave(w, first);
        if (second)
                roots_leave(w, second);
        if (first)
                table_detach(w->table, first);
        if (second)
                table_detach(w->table, second);
        if (first && !place(w, first, b, notice_name(name2), now))
                state_stale(w, (uint32_t) b->wd);
        else if (first && root_a != root_b)
                table_subtree(w->table, first, announce, w);
        if (second && !place(w, second, a, notice_name(name1), now))
                state_stale(w, (uint32_t) a->wd);
        else if (second && root_a != root_b)
                table_subtree(w->table, second, announce, w);
}

static void on_exchanged(Watch *w, Directory *a, const Notice *name1, Directory *b, const Notice *name2,
                         Moment now) {
        SettleChange change;
        FeedMessage m = { .type = FEED_EXCHANGED };
        int moved = 0;
        int r = settle_swap(w->settle, (uint32_t) a->wd, notice_name(name1), (uint32_t) b->wd,
                            notice_name(name2), now, &change, &moved);

        a->removals++;
        b->removals++;
        state_displaced(w);
        if (r < 0 || r == SETTLE_E_FULL) {
                state_stale(w, (uint32_t) a->wd);
                state_stale(w, (uint32_t) b->wd);
        }
        m.EXCHANGED.old_dir = (uint32_t) a->wd;
        m.EXCHANGED.old_name = notice_name(name1);
        m.EXCHANGED.dir = (uint32_t) b->wd;
        m.EXCHANGED.name = notice_name(name2);
        m.EXCHANGED.first = change.first;
        m.EXCHANGED.last = change.last;
        /* Of two new names it counts where they appear; the record knows them if a look was faster. */
        m.EXCHANGED.count = r == SETTLE_E_FOLDED && moved == 0 ? 0 : change.count;
        state_emit(w, &m, false);
        pair_set(&w->moved, 0, a, name1);
        pair_set(&w->moved, 1, b, name2);
        swap_directories(w, a, name1, b, name2, now);
        pthread_cond_signal(&w->look);
        pthread_cond_signal(&w->walk);
}

static void on_touched(Watch *w, Directory *d, const Notice *n, Moment now) {
        SettleNotice notice = { .dir = (uint32_t) d->wd, .name = notice_name(n), .origin = ORIGIN_LIVE };

        if (n->mask & (IN_CREATE | IN_MOVED_TO)) {
                notice.flags = SETTLE_NEW | (is_directory(n) ? SETTLE_DIRECTORY : SETTLE_CONTENT);
                notice.count = 1;
        }
        if (n->mask & IN_MOVED_TO)
                notice.flags |= SETTLE_OVER | SETTLE_ARRIVED;
        if (n->mask & (IN_MODIFY | IN_CLOSE_WRITE))
                notice.flags |= SETTLE_CONTENT;
        state_touch(w, &notice, now);
}

/* A name that went, or may have been gone before the listing: it is looked at. */
static void on_blurred(Watch *w, Directory *d, const Notice *n, uint32_t count, Moment now) {
        SettleNotice notice = { .dir = (uint32_t) d->wd, .name = notice_name(n), .origin = ORIGIN_LIVE,
                                .flags = SETTLE_CONTENT, .count = count };

        d->removals++;
        if (is_directory(n))
                vacate(w, d, notice_name(n));
        state_touch(w, &notice, now);
}

static void on_overflow(Watch *w) {
        state_lost(w);
        state_mark_lost(w);             /* it may have been dropped: another one */
}

static void on_self(Watch *w, Directory *d, const Notice *n) {
        Root *root = d->parent ? NULL : state_root(w, d->root);

        if (root && root->wd != d->wd)
                root = NULL;
        if (n->mask & IN_UNMOUNT && root)
                state_root_lost(w, root, CAUSE_UNMOUNTED);
        else if (n->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED) && root)
                state_root_lost(w, root, CAUSE_ROOT_MOVED);
        else if (n->mask & IN_IGNORED) {
                w->poll.count -= d->polled;
                table_remove(w->table, d);
        }
}

static bool notice_comes(Watch *w, int64_t usec) {
        struct pollfd pfd = { .fd = notify_fd(w->notify), .events = POLLIN };
        struct timespec within = timespec_of(usec);

        return ppoll(&pfd, 1, &within, NULL) == 1;
}

/* Without the lock. The halves of a rename that is still under way: the kernel queues the second one within
 * microseconds, and the way back of an exchange after it, but another processor's notices may come between.
 * What moves out of the tree has no second half. */
static void await_half(Watch *w, Batch *b, size_t from) {
        int64_t until = now_usec(CLOCK_MONOTONIC) + PAIR_WAIT_USEC;
        bool found = false;

        while (b->count < BATCH && b->count - from <= PAIR_FOLLOWERS) {
                int64_t now = now_usec(CLOCK_MONOTONIC);

                if (!found && batch_other_half(b, from)) {
                        found = true;
                        until = now + BACK_WAIT_USEC;
                }
                if (notify_next(w->notify, &b->notices[b->count]) == 1)
                        b->count++;
                else if (now >= until || !notice_comes(w, until - now))
                        return;
        }
}

static void await_halves(Watch *w, Batch *b, bool drained) {
        size_t end = batch_end(b, drained);

        for (size_t i = 0; i < (drained ? b->count : end); i++)         /* more may be read meanwhile */
                if (b->notices[i].mask & IN_MOVED_FROM)
                        await_half(w, b, i);
}

/* One of the directories is being listed. Between two clear names it is a rename; into a blurred one too,
 * since the old name says what moved; else each name is looked at for itself. */
static void on_moved_blurred(Watch *w, Directory *from, const Notice *old, Directory *to, const Notice *new,
                             bool exchange, Moment now) {
        if (exchange || state_blurred(w, from)) {
                on_blurred(w, from, old, 0, now);      /* counted where it arrives */
                vacate(w, to, notice_name(new));
                on_touched(w, to, new, now);
                to->removals++;
        } else {
                on_moved(w, from, old, to, new, now);
        }
}

static void on_moved_from(Watch *w, Batch *b, Directory *d, size_t index, Moment now) {
        Notice *old = &b->notices[index], *new = batch_other_half(b, index);
        Directory *to = new ? table_find(w->table, new->wd) : NULL;
        const Directory *child = is_directory(old) ? table_child(w->table, d, notice_name(old)) : NULL;
        Notice moved;
        bool exchange;

        if (!to) {
                if (state_blurred(w, d))
                        on_blurred(w, d, old, 1, now);
                else
                        on_gone(w, d, old, now);
                return;
        }
        moved = *new;
        new->mask = 0;
        exchange = batch_exchange(b, old, &moved, child ? child->wd : 0);
        if (state_blurred(w, d) || state_blurred(w, to))
                on_moved_blurred(w, d, old, to, &moved, exchange, now);
        else if (exchange)
                on_exchanged(w, d, old, to, &moved, now);
        else
                on_moved(w, d, old, to, &moved, now);
}

static void on_notice(Watch *w, Batch *b, size_t index, Moment now) {
        const Notice *n = &b->notices[index];
        Directory *d;

        if (n->mask & IN_Q_OVERFLOW) {
                on_overflow(w);
                return;
        }
        d = table_find(w->table, n->wd);
        if (notify_is_mark(w->notify, n))
                state_marked(w);
        if (!d)
                return;
        if (n->mask == NOTICE_UNNAMEABLE) {
                directory_unnameable(w, d->wd);
                return;
        }
        if (n->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)) {
                on_self(w, d, n);
                return;
        }
        if (n->name_size == 0 && n->mask & IN_ATTRIB && !d->parent)
                on_touched(w, d, n, now);
        if (n->name_size == 0)
                return;                 /* of the directory itself: its parent says the same with a name */
        if (n->mask & IN_MOVED_FROM)
                on_moved_from(w, b, d, index, now);
        else if (n->mask & IN_DELETE && state_blurred(w, d))
                on_blurred(w, d, n, 1, now);
        else if (n->mask & IN_DELETE)
                on_gone(w, d, n, now);
        else
                on_touched(w, d, n, now);
}

/* Whether more was read meanwhile: then there may be more still, of which the descriptor does not tell,
 * since the library has read it already. */
static bool take_batch(Watch *w, Batch *b, bool drained) {
        size_t end, count = b->count;
        bool more;

        await_halves(w, b, drained);
        more = b->count > count;
        end = batch_end(b, drained);
        while (b->at < end) {
                Moment now = moment_now();

                pthread_mutex_lock(&w->lock);
                for (int i = 0; i < LOCK_SLICE && b->at < end; i++) {
                        size_t index = b->at++;

                        if (!notice_spent(&b->notices[index]))
                                on_notice(w, b, index, now);
                }
                state_barriers(w);
                pthread_mutex_unlock(&w->lock);
        }
        batch_taken(b);
        return more;
}

static int fill(Watch *w, Batch *b) {
        int r = 1;

        while (b->count < BATCH_READ && (r = notify_next(w->notify, &b->notices[b->count])) == 1)
                b->count++;
        return r;
}

/* Until the queue is empty; all that changes after that has a ctime from then on. */
static void drain(Watch *w, Batch *b) {
        int r;

        do {
                bool set = state_clock_set(w), more;
                int64_t now = now_usec(CLOCK_REALTIME), emptied = ctime_now();

                r = fill(w, b);
                pthread_mutex_lock(&w->lock);
                w->clock_set |= set;
                pthread_mutex_unlock(&w->lock);
                more = take_batch(w, b, r == 0);
                if (r != 0 || more)
                        continue;
                pthread_mutex_lock(&w->lock);
                w->drained = now;
                w->emptied = emptied;
                w->clock_set = false;
                pthread_mutex_unlock(&w->lock);
                return;
        } while (r >= 0);
}

void *watch_thread(void *userdata) {
        Watch *w = userdata;
        Batch *b = calloc(1, sizeof(*b));
        struct pollfd pfds[] = { { .fd = notify_fd(w->notify), .events = POLLIN },
                                 { .fd = w->stop_fd, .events = POLLIN } };

        pthread_setname_np(pthread_self(), "watch");
        while (b && !pfds[1].revents) {
                if (poll(pfds, ELEMENTS(pfds), -1) < 0 && errno != EINTR)
                        break;
                if (!pfds[0].revents)
                        continue;
                drain(w, b);
                /* Whoever works pays for waking us; in a storm, once for the notices of a moment. */
                (void) poll(&pfds[1], 1, GATHER_MSEC);
        }
        if (!b) {
                pthread_mutex_lock(&w->lock);
                state_broken(w, -ENOMEM);
                pthread_mutex_unlock(&w->lock);
        }
        free(b);
        return NULL;
}
