/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/watch/appear.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/roots.h"
#include "daemon/watch/walk.h"

/* list: the second half of a walk reports all names of each directory that the first half has armed. A
 * directory that is watched at its name by now has been reported with all that is to be said of it: that it
 * is there is enough. One that is not (it came in between, it could not be watched) is as new here. */

enum { WAKE_USEC = 5000 };              /* what is found waits for company so long at most */

static void listed_done(Listed *l) {
        closep(&l->fd);
        free(l->target);
        l->target = NULL;
        l->fd = -1;
}

static void examine(Walk *k, const Spot *p, Listed *l) {
        int r = 0;

        l->fd = -1;
        l->error = 0;
        l->state.mode = 0;              /* until it is known */
        l->foreign = l->ignored = l->gone = false;
        if (l->known)
                return;
        r = identify_stat(p->fd, l->entry.name, &l->state);
        l->gone = r == -ENOENT;
        if (r < 0) {
                l->error = -r;
                return;
        }
        l->ignored = state_ignored(k->w, p->path, l->entry.name, S_ISDIR(l->state.mode));
        if (S_ISLNK(l->state.mode) &&
            identify_target(p->fd, l->entry.name, &l->target, &l->target_size) < 0)
                l->gone = true;
        if (!S_ISDIR(l->state.mode) || l->ignored || directory_excluded(k->w, &l->state))
                return;
        l->foreign = directory_foreign(&p->root, &l->state);
        if (l->foreign)
                return;
        l->fd = identify_directory(p->fd, l->entry.name);
        if (l->fd < 0)
                l->error = -l->fd;
        else    /* another directory may have taken the name in between */
                l->error = -identify_stat(l->fd, "", &l->state);
}

/* Once, wherever it moves meanwhile; intake hears with each directory whether its names follow, and asks for
 * those that it lacks and that do not. A first look need not list what was listed as it appeared: that has
 * been watched since, and nothing of it was recorded before that might be gone. */
bool walk_lists(const Walk *k, const Directory *d) {
        bool met = d && (k->origin == ORIGIN_SCAN || (k->again ? !d->stale : d->walk == k->id));

        return d && !(d->listed && met);
}

/* Where nothing was armed, all is to be said, and so it is where this walk could not enter. */
static bool is_known(const Walk *k, const Directory *d, const Name *n) {
        const Directory *child =
                n->type == DT_DIR && !k->again ? table_child(k->w->table, d, BYTES_STR(n->name)) : NULL;

        return child && child->armed == k->id && child->inode == n->inode && child->root == d->root;
}

static void report_known(Walk *k, const Directory *d, const Listed *l) {
        FeedMessage m = { .type = FEED_PRESENT,
                          .PRESENT = { .dir = (uint32_t) d->wd, .name = BYTES_STR(l->entry.name) } };

        state_emit_later(k->w, &m);
}

/* It is there; more cannot be said. Of one into which nobody may look it is said once, when it is listed. */
static void report_refused(Walk *k, const Directory *d, const Listed *l) {
        if (l->error == EACCES) {
                k->refused = EACCES;
                return;
        }
        report_known(k, d, l);
        directory_refused(k->w, d, BYTES_STR(l->entry.name), l->error);
}

static void report_state(Walk *k, Directory *d, const Listed *l, int wd, int64_t now) {
        FeedMessage m = { .type = FEED_STATE };
        bool lists = wd > 0 && walk_lists(k, table_find(k->w->table, wd));

        state_describe(&m, &l->state);
        m.STATE.dir = (uint32_t) d->wd;
        m.STATE.name = BYTES_STR(l->entry.name);
        m.STATE.flags = (uint16_t) (FEED_FLAG_LISTED | (lists ? FEED_FLAG_ADOPTED : 0) |
                                    (l->foreign ? FEED_FLAG_FOREIGN : 0));
        m.STATE.origin = k->origin;
        m.STATE.first = m.STATE.last = now;
        m.STATE.target = l->target ? BYTES(l->target, l->target_size) : BYTES_NONE;
        state_emit_later(k->w, &m);
}

static void report_listed(Walk *k, Directory *d, Listed *l, int64_t now) {
        Bytes name = BYTES_STR(l->entry.name);
        int wd = 0;

        if (l->gone || l->ignored)
                return;
        if (l->known) {
                report_known(k, d, l);
                return;
        }
        if (l->state.mode == 0) {
                report_refused(k, d, l);
                return;
        }
        if (l->fd >= 0)
                wd = directory_watch(k->w, d, name, l->fd, &l->state, true);
        if (wd == -ELOOP) {             /* notices of moves are on their way: looked at once they are here */
                SettleNotice n = { .dir = (uint32_t) d->wd, .name = name, .origin = k->origin };

                state_touch(k->w, &n, moment_now());
                return;
        }
        report_state(k, d, l, wd, now);
        if (l->foreign && !roots_meet(k->w, d->root, &l->state))
                state_gap(k->w, 0, (uint32_t) d->wd, name, CAUSE_OTHER_FILESYSTEM, 0);
        else if (wd < 0 || (l->error != 0 && l->error != ENOENT))
                directory_unwatched(k->w, (uint32_t) d->wd, name, wd < 0 ? -wd : l->error);
        if (wd > 0) {
                state_announce(k->w, table_find(k->w->table, wd));
                if (arm_push(k, wd, STEAL_FD(l->fd)) < 0)
                        state_stale(k->w, (uint32_t) wd);
        }
}

/* Under the lock. A name that went between its examination and this would be reported after its going: then
 * the slice is examined once more, name by name, so that the window is a few microseconds. */
static bool report_slice(Walk *k, int wd, uint32_t removals, Listed *slice, size_t n, WalkReportFn report) {
        Directory *d = table_find(k->w->table, wd);
        int64_t now = now_usec(CLOCK_REALTIME);

        if (!d || !table_attached(k->w->table, d))
                return true;            /* gone as a whole: so is all in it */
        if (d->removals != removals)
                return false;
        for (size_t i = 0; i < n; i++)
                report(k, d, &slice[i], now);
        if (now - k->woken_at > WAKE_USEC) {
                state_wake(k->w);
                state_mark(k->w);
                k->woken_at = now;
        }
        return true;
}

/* Under the lock. */
static uint32_t prepare_slice(Walk *k, int wd, Listed *slice, size_t n) {
        const Directory *d;

        appear_all(k->w);
        wait_for_room(k->w);
        d = table_find(k->w->table, wd);
        for (size_t i = 0; d && i < n; i++)
                slice[i].known = is_known(k, d, &slice[i].entry);
        return d ? d->removals : 0;
}

void pass_slice(Walk *k, const Spot *p, int wd, size_t n, WalkLookFn look, WalkReportFn report) {
        size_t step = n;

        for (size_t at = 0; at < n;) {
                size_t size = MIN_OF(step, n - at);
                uint32_t removals;
                bool passed;

                pthread_mutex_lock(&k->w->lock);
                removals = prepare_slice(k, wd, &k->slice[at], size);
                pthread_mutex_unlock(&k->w->lock);
                for (size_t i = 0; i < size; i++)
                        look(k, p, &k->slice[at + i]);
                pthread_mutex_lock(&k->w->lock);
                passed = k->w->stop || report_slice(k, wd, removals, &k->slice[at], size, report);
                pthread_mutex_unlock(&k->w->lock);
                for (size_t i = 0; i < size; i++)
                        listed_done(&k->slice[at + i]);
                if (passed)
                        at += size;
                else
                        step = 1;
        }
}

/* Under the lock. A walk that leaves out a directory says so. */
static void explain_unlisted(Walk *k, int wd, bool root_failed, int error) {
        const Directory *d = table_find(k->w->table, wd);
        Root *root = d && table_attached(k->w->table, d) ? state_root(k->w, d->root) : NULL;

        if (!root)
                return;
        if (root_failed || !d->parent)
                state_root_failed(k->w, root, error);
        else if (spot_moved(error))    /* it never held still: another walk */
                state_gap(k->w, 0, (uint32_t) wd, BYTES_NONE, CAUSE_READ_ERROR, -error);
        else
                directory_unwatched(k->w, (uint32_t) table_parent(k->w->table, d)->wd, table_name(d),
                                    -error);
}

/* Under the lock. Where it is will be known when all else is listed again: then it is tried once more. */
static void leave_stale(const Walk *k, int wd) {
        Directory *d = table_find(k->w->table, wd);

        if (d)
                d->stale = true;
}

bool walk_has_listed(Walk *k, int wd) {
        const Directory *d;
        bool listed;

        pthread_mutex_lock(&k->w->lock);
        d = table_find(k->w->table, wd);
        listed = d && !walk_lists(k, d);
        pthread_mutex_unlock(&k->w->lock);
        return listed;
}

static void list_slice(Walk *k, const Spot *p, int wd, size_t n) {
        pass_slice(k, p, wd, n, examine, report_listed);
}

void list_directory(Walk *k, int wd) {
        CLEANUP(spot_done) Spot spot = { .fd = -1 };
        FeedMessage begin = { .type = FEED_LIST_BEGIN,
                              .LIST_BEGIN = { .dir = (uint32_t) wd, .walk = k->id } };
        FeedMessage end = { .type = FEED_LIST_END, .LIST_END = { .dir = (uint32_t) wd, .walk = k->id } };
        bool root_failed, was_listed;
        Directory *d;
        int r = reach_open(k, wd, &spot, &root_failed);

        pthread_mutex_lock(&k->w->lock);
        d = table_find(k->w->table, wd);
        if (!walk_lists(k, d))
                d = NULL;
        was_listed = k->again && d && d->listed;
        if (d && r == 0) {
                k->w->walked_twice += d->listed;
                k->w->walked_again += was_listed;
                d->stale = d->unnameable = false;
                d->listed = d->listing = true;
                d->walk = k->id;
                k->directories++;
                state_emit_later(k->w, &begin);
        }
        pthread_mutex_unlock(&k->w->lock);
        if (!d)
                return;
        k->refused = 0;
        if (r == 0)
                r = reach_names(k, &spot, wd, false, list_slice);
        if (r == 0)
                r = -k->refused;
        end.LIST_END.error = (uint32_t) -r;
        pthread_mutex_lock(&k->w->lock);
        directory_listed(k->w, wd);
        state_emit_later(k->w, &end);
        if (r < 0 && was_listed && k->refused == 0)
                leave_stale(k, wd);
        else if (r < 0 && !k->w->stop)
                explain_unlisted(k, wd, root_failed, r);
        pthread_mutex_unlock(&k->w->lock);
}
