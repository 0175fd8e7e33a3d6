/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/watch/settle-entries.h"
#include "lib/names.h"

/* settle: the rules: what a notice, a move, an exchange, an end make of what waits; what is due when. */

int settle_new(int64_t quiet, int64_t oldest, size_t max_changes, Settle **ret) {
        Settle *s;

        assert(ret);
        if (quiet <= 0 || oldest <= 0 || max_changes == 0)
                return -EINVAL;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        if (entries_init(s) < 0) {
                free(s);
                return -ENOMEM;
        }
        settle_times(s, quiet, oldest);
        s->max = max_changes;
        *ret = s;
        return 0;
}

Settle *settle_free(Settle *s) {
        if (!s)
                return NULL;
        entries_done(s);
        free(s);
        return NULL;
}

uint32_t settle_displaced(Settle *s) {
        return s->n_displaced > 0 ? s->displaced[--s->n_displaced] : 0;
}

void settle_times(Settle *s, int64_t quiet, int64_t oldest) {
        s->quiet_time = quiet;
        s->oldest_time = oldest;
}

/* What a name has that waits or is being looked at: the creation that a listing found may be the same
 * operation as one that was noticed, whichever came first. Counted once; a notice of other things, before
 * the listing found it, means that nobody noticed the creation. */
static void merge_found(SettleChange *known, SettleChange *change) {
        if (change->flags & SETTLE_FOUND) {
                if (known->flags & (SETTLE_NEW | SETTLE_ARRIVED)) {
                        change->count = 0;
                        change->flags &= (uint16_t) ~SETTLE_NEW;
                }
                change->flags &= (uint16_t) ~SETTLE_FOUND;
        } else if (known->flags & SETTLE_FOUND && change->count > 0) {
                change->count--;
                known->flags &= (uint16_t) ~SETTLE_FOUND;
        }
}

int settle_touch(Settle *s, const SettleNotice *n, Moment now) {
        SettleChange change = {
                .first = now.real, .last = now.real, .since = now.steady, .touched = now.steady,
                .count = n->count, .flags = n->flags, .origin = n->origin, .request = n->request,
                .epoch = n->epoch ? MAX_OF(n->epoch, s->lowest) : s->epoch,
        };
        bool made =
                (n->flags & (SETTLE_NEW | SETTLE_FOUND | SETTLE_DIRECTORY | SETTLE_ARRIVED)) == SETTLE_NEW;
        Entry *e;

        assert(s && n && n->name.size <= 255);
        if ((n->flags & (SETTLE_READ | SETTLE_DIRECTORY)) == SETTLE_READ)
                change.epoch = 0;       /* who asked waits for the answer, or does not; a flush never */
        e = entry_find(s, n->dir, n->name);
        if (!e) {
                if (s->count >= s->max && n->request == 0)
                        return SETTLE_E_FULL;
                e = entry_new(s, n->dir, n->name);
                if (!e)
                        return -ENOMEM;
        }
        list_remove(&e->by_glance);
        if (made && !e->pending && !e->flying)
                list_append(&s->glances, &e->by_glance);
        if (e->pending)
                merge_found(&e->now, &change);
        else if (e->flying && !e->stale && !n->anew)
                merge_found(&e->flight, &change);
        entry_wait(s, e, &change);
        epochs_advance(s);
        return 0;
}

void settle_gone(Settle *s, uint32_t dir, Bytes name, SettleChange *ret) {
        assert(s && ret);
        entry_take(s, entry_find(s, dir, name), ret);
        epochs_advance(s);
}

void settle_leave(Settle *s, bool (*leaves)(void *userdata, uint32_t dir),
                  void (*fn)(void *userdata, uint32_t dir, Bytes name, const SettleChange *change),
                  void *userdata) {
        assert(s && leaves && fn);
        for (size_t i = 0; i < s->n_buckets; i++)
                for (Entry *e = s->buckets[i], *next; e; e = next) {
                        uint8_t name[256];
                        size_t size = e->name_size;
                        uint32_t dir = e->dir;
                        SettleChange change;

                        next = e->chain;
                        if (!leaves(userdata, dir))
                                continue;
                        memcpy(name, e->name, size);
                        if (entry_take(s, e, &change))
                                fn(userdata, dir, BYTES(name, size), &change);
                }
        epochs_advance(s);
}

static SettleChange change_now(const Settle *s, Moment now) {
        return (SettleChange) {
                .first = now.real, .last = now.real, .since = now.steady, .touched = now.steady,
                .origin = ORIGIN_LIVE, .epoch = s->epoch,
        };
}

static void touch_now(SettleChange *c, Moment now) {
        c->last = now.real;
        c->touched = now.steady;
        c->tries = 0;
}

/* What waited for a name that another one takes goes on within that one's change. */
static void cover(Settle *s, SettleChange *change, const SettleChange *victim) {
        change->count += victim->count;
        if (victim->count > 0)
                change->first = MIN_OF(change->first, victim->first);
        change->epoch = epoch_earlier(change->epoch, victim->epoch);
        if (change->request == 0)
                change->request = victim->request;
        else if (victim->request != 0)
                entries_displace(s, victim->request);
}

/* The source was not recorded yet: its first name comes to nothing. */
static int move_new(Settle *s, const SettleChange *source, uint32_t dir, Bytes name,
                    const SettleChange *victim, Moment now) {
        bool fresh = victim && (victim->flags & SETTLE_NEW) && !(victim->flags & SETTLE_OVER);
        SettleChange change = *source;

        touch_now(&change, now);
        change.count++;
        change.flags = (uint16_t) ((change.flags & ~(SETTLE_FOUND | SETTLE_OVER)) | SETTLE_ARRIVED |
                                   (fresh ? 0 : SETTLE_OVER));
        if (victim)
                cover(s, &change, victim);
        return entry_put(s, dir, name, &change) < 0 ? -ENOMEM : SETTLE_E_FOLDED;
}

/* The move is reported with all the operations so far; what was pending for the content follows, and the new
 * name is looked at once more. */
static int move_recorded(Settle *s, const SettleChange *source, uint32_t dir, Bytes name, bool directory,
                         const SettleChange *victim, Moment now, SettleChange *ret) {
        SettleChange change = source ? *source : change_now(s, now);

        touch_now(&change, now);
        change.flags |= SETTLE_ARRIVED;
        if (directory && !(change.flags & SETTLE_READ))         /* else it is to be listed */
                change.flags &= (uint16_t) ~SETTLE_DIRECTORY;
        change.count++;
        if (victim)
                cover(s, &change, victim);
        *ret = change;
        ret->first = now.real;
        if (source && source->count > 0)
                ret->first = MIN_OF(ret->first, source->first);
        if (victim && victim->count > 0)
                ret->first = MIN_OF(ret->first, victim->first);
        change.count = 0;
        if (!source && !victim && s->count >= s->max && !entry_find(s, dir, name))
                return SETTLE_E_FULL;
        return entry_put(s, dir, name, &change);
}

int settle_move(Settle *s, uint32_t old_dir, Bytes old_name, uint32_t dir, Bytes name, bool directory,
                Moment now, SettleChange *ret, bool *ret_over) {
        SettleChange source, victim;
        bool moved, covered;
        int r;

        assert(s && ret && ret_over);
        moved = entry_take(s, entry_find(s, old_dir, old_name), &source);
        covered = entry_take(s, entry_find(s, dir, name), &victim);
        if (covered && victim.flags & SETTLE_FOUND && victim.count > 0)
                victim.count--;         /* the listing was faster than the notice of this very move */
        *ret_over = moved && (source.flags & (SETTLE_NEW | SETTLE_OVER)) == (SETTLE_NEW | SETTLE_OVER);
        if (moved && source.flags & SETTLE_NEW)
                r = move_new(s, &source, dir, name, covered ? &victim : NULL, now);
        else
                r = move_recorded(s, moved ? &source : NULL, dir, name, directory, covered ? &victim : NULL,
                                  now, ret);
        epochs_advance(s);
        return r;
}

int settle_swap(Settle *s, uint32_t dir1, Bytes name1, uint32_t dir2, Bytes name2, Moment now,
                SettleChange *ret, int *ret_moved) {
        SettleChange first, second, none = change_now(s, now);
        bool pending1, pending2, new1, new2;
        int r;

        assert(s && ret && ret_moved);
        pending1 = entry_take(s, entry_find(s, dir1, name1), &first);
        pending2 = entry_take(s, entry_find(s, dir2, name2), &second);
        new1 = pending1 && first.flags & SETTLE_NEW;
        new2 = pending2 && second.flags & SETTLE_NEW;
        if (!pending1)
                first = none;
        if (!pending2)
                second = none;
        touch_now(&first, now);
        touch_now(&second, now);
        *ret = none;
        ret->count = 1;
        *ret_moved = new1 == new2 ? 0 : new1 ? 2 : 1;
        /* What is new and takes the name of something recorded goes over it. */
        if (new1 && !new2)
                first.flags |= SETTLE_OVER;
        if (new2 && !new1)
                second.flags |= SETTLE_OVER;
        if (new1 && new2)
                first.count++;          /* nothing is reported: it counts where one of them appears */
        first.flags |= SETTLE_ARRIVED;
        second.flags |= SETTLE_ARRIVED;
        if (!pending1 && !pending2 && s->count >= s->max)
                return SETTLE_E_FULL;
        r = entry_put(s, dir2, name2, &first);
        if (entry_put(s, dir1, name1, &second) < 0)
                r = -ENOMEM;
        epochs_advance(s);
        if (r < 0)
                return r;
        return new1 || new2 ? SETTLE_E_FOLDED : 0;
}

static bool launch(Settle *s, Entry *e, bool old, SettleJob *ret) {
        list_remove(&e->by_touch);
        list_remove(&e->by_age);
        list_remove(&e->by_glance);
        entry_unring(s, e);
        if (e->flying) {                /* its turn comes when the flight has ended */
                e->due = true;
                return false;
        }
        e->flight = e->now;             /* its epoch goes along */
        e->pending = e->due = false;
        e->flying = true;
        e->stale = false;
        ret->dir = e->dir;
        ret->change = e->flight;
        ret->old = old;
        ret->flushed = e->flight.epoch < s->epoch;
        ret->name_size = e->name_size;
        memcpy(ret->name, e->name, e->name_size + 1u);
        return true;
}

static Entry *due_entry(Settle *s, int64_t now, bool directories, bool *ret_old) {
        Node *n;

        *ret_old = false;
        if (directories)
                return list_empty(&s->ready_directories) ? NULL : s->ready_directories.next->entry;
        if (!list_empty(&s->ready_files))
                return s->ready_files.next->entry;
        n = s->quiet.next;
        if (n != &s->quiet && n->entry->now.touched + s->quiet_time <= now)
                return n->entry;
        n = s->aged.next;
        if (n != &s->aged && n->entry->now.since + s->oldest_time <= now) {
                *ret_old = true;
                return n->entry;
        }
        return NULL;
}

int settle_next(Settle *s, int64_t now, bool directories, SettleJob *ret) {
        Entry *e;
        bool old;

        assert(s && ret);
        while ((e = due_entry(s, now, directories, &old)))
                if (launch(s, e, old, ret))
                        return 1;
        return 0;
}

int settle_next_of(Settle *s, int64_t now, uint32_t dir, SettleJob *ret) {
        Entry *e;
        bool old;

        assert(s && ret);
        while ((e = entry_ring(s, dir)) && (e->ready || e->now.touched + s->quiet_time <= now))
                if (launch(s, e, false, ret))
                        return 1;
        e = due_entry(s, now, false, &old);
        return e && e->dir == dir && launch(s, e, old, ret);
}

int settle_glance(Settle *s, int64_t now, SettleGlance *ret) {
        Entry *e = list_empty(&s->glances) ? NULL : s->glances.next->entry;

        assert(s && ret);
        if (!e || e->now.since + SETTLE_GLANCE_USEC > now)
                return 0;
        list_remove(&e->by_glance);
        ret->dir = e->dir;
        ret->name_size = e->name_size;
        memcpy(ret->name, e->name, e->name_size + 1u);
        return 1;
}

void settle_hasten(Settle *s, uint32_t dir, Bytes name) {
        Entry *e = entry_find(s, dir, name);

        if (e && e->pending && !(e->now.flags & SETTLE_DIRECTORY))
                entry_ready(s, e);
}

int64_t settle_due(const Settle *s, bool directories) {
        int64_t due = INT64_MAX;

        if (directories)
                return list_empty(&s->ready_directories) ? INT64_MAX : 0;
        if (!list_empty(&s->ready_files))
                return 0;
        if (!list_empty(&s->quiet))
                due = s->quiet.next->entry->now.touched + s->quiet_time;
        if (!list_empty(&s->aged))
                due = MIN_OF(due, s->aged.next->entry->now.since + s->oldest_time);
        if (!list_empty(&s->glances))
                due = MIN_OF(due, s->glances.next->entry->now.since + SETTLE_GLANCE_USEC);
        return due;
}

bool settle_fresh(const Settle *s, const SettleJob *job) {
        const Entry *e = entry_find(s, job->dir, BYTES(job->name, job->name_size));

        return e && e->flying && !e->stale;
}

void settle_reported(Settle *s, const SettleJob *job) {
        Entry *e = entry_find(s, job->dir, BYTES(job->name, job->name_size));

        assert(e && e->flying);
        e->flight.flags = 0;
        e->flight.count = e->flight.request = 0;
}

void settle_done(Settle *s, const SettleJob *job, bool again, int64_t now) {
        Entry *e = entry_find(s, job->dir, BYTES(job->name, job->name_size));

        assert(e && e->flying);
        e->flying = false;
        if (again && !e->stale) {
                SettleChange change = e->flight;

                change.tries++;
                change.touched = now;
                change.since = MAX_OF(change.since, now - s->oldest_time + s->quiet_time);
                entry_wait(s, e, &change);
        } else if (e->pending && e->due) {
                e->due = false;
                if (e->now.flags & SETTLE_DIRECTORY)
                        list_append(&s->ready_directories, &e->by_touch);
                else
                        entry_ready(s, e);
        }
        epoch_remove(s, e->flight.epoch);
        entry_release(s, e);
        epochs_advance(s);
}

uint32_t settle_flush(Settle *s) {
        uint32_t flushed = s->epoch;

        if (s->epoch - s->lowest < EPOCHS - 1)
                s->epoch++;
        else
                s->flush_again = true;  /* later notices delay it */
        while (!list_empty(&s->quiet)) {
                Entry *e = s->quiet.next->entry;

                list_remove(&e->by_age);
                e->now.tries = 0;
                entry_ready(s, e);
        }
        epochs_advance(s);
        return flushed;
}

bool settle_flushed(const Settle *s, uint32_t epoch) {
        return s->lowest > epoch;
}

size_t settle_count(const Settle *s) {
        return s->count;
}

int64_t settle_oldest(const Settle *s) {
        int64_t oldest = INT64_MAX;

        for (size_t i = 0; i < s->n_buckets; i++)
                for (const Entry *e = s->buckets[i]; e; e = e->chain) {
                        if (e->pending && e->now.epoch != 0)
                                oldest = MIN_OF(oldest, e->now.first);
                        if (e->flying && !e->stale && e->flight.epoch != 0)
                                oldest = MIN_OF(oldest, e->flight.first);
                }
        return s->count > 0 && oldest < INT64_MAX ? oldest : 0;
}
