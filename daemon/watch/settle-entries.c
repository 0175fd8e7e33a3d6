/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/watch/settle-entries.h"
#include "lib/names.h"

enum { FIRST_BUCKETS = 256 };

int entries_init(Settle *s) {
        s->n_buckets = FIRST_BUCKETS;
        s->buckets = calloc(s->n_buckets, sizeof(*s->buckets));
        if (!s->buckets)
                return -ENOMEM;
        s->epoch = s->lowest = 1;
        list_init(&s->quiet);
        list_init(&s->aged);
        list_init(&s->ready_files);
        list_init(&s->ready_directories);
        list_init(&s->glances);
        return 0;
}

void entries_done(Settle *s) {
        for (size_t i = 0; s->buckets && i < s->n_buckets; i++)
                for (Entry *e = s->buckets[i], *next; e; e = next) {
                        next = e->chain;
                        free(e);
                }
        free(s->buckets);
}

/* FNV-1a. */
static size_t bucket(const Settle *s, uint32_t dir, Bytes name) {
        uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (dir * UINT64_C(0x9e3779b97f4a7c15));

        for (size_t i = 0; i < name.size; i++)
                h = (h ^ name.data[i]) * UINT64_C(0x100000001b3);
        return (h ^ (h >> 32)) & (s->n_buckets - 1);
}

Entry *entry_find(const Settle *s, uint32_t dir, Bytes name) {
        Entry *e = s->buckets[bucket(s, dir, name)];

        while (e &&
               (e->dir != dir || e->name_size != name.size || memcmp(e->name, name.data, name.size) != 0))
                e = e->chain;
        return e;
}

static void grow(Settle *s) {
        size_t old = s->n_buckets;
        Entry **old_buckets = s->buckets, **buckets = calloc(old * 2, sizeof(*buckets));

        if (!buckets)
                return;                 /* chains get longer, nothing worse */
        s->buckets = buckets;
        s->n_buckets = old * 2;
        for (size_t i = 0; i < old; i++)
                for (Entry *e = old_buckets[i], *next; e; e = next) {
                        size_t b = bucket(s, e->dir, BYTES(e->name, e->name_size));

                        next = e->chain;
                        e->chain = s->buckets[b];
                        s->buckets[b] = e;
                }
        free(old_buckets);
}

Entry *entry_new(Settle *s, uint32_t dir, Bytes name) {
        Entry *e = calloc(1, sizeof(*e) + name.size + 1);
        size_t b;

        if (!e)
                return NULL;
        if (s->count >= s->n_buckets)
                grow(s);
        e->dir = dir;
        e->name_size = (uint8_t) name.size;
        if (name.size > 0)
                memcpy(e->name, name.data, name.size);
        e->by_touch.entry = e->by_age.entry = e->by_glance.entry = e->by_dir.entry = e;
        list_init(&e->by_touch);
        list_init(&e->by_age);
        list_init(&e->by_glance);
        list_init(&e->by_dir);
        b = bucket(s, dir, name);
        e->chain = s->buckets[b];
        s->buckets[b] = e;
        s->count++;
        return e;
}

/* One directory in a thousand or so shares its place with another: the names that were there before wait as
 * they would without a ring. */
static Entry **place_of_ring(Settle *s, uint32_t dir) {
        return &s->rings[dir % RINGS];
}

void entry_unring(Settle *s, Entry *e) {
        Entry **newest = place_of_ring(s, e->dir);

        if (*newest == e)
                *newest = list_empty(&e->by_dir) ? NULL : e->by_dir.previous->entry;
        list_remove(&e->by_dir);
}

static void enring(Settle *s, Entry *e) {
        Entry **newest = place_of_ring(s, e->dir);

        if (*newest && (*newest)->dir == e->dir)
                list_append((*newest)->by_dir.next, &e->by_dir);
        *newest = e;
}

Entry *entry_ring(const Settle *s, uint32_t dir) {
        const Entry *newest = s->rings[dir % RINGS];

        return newest && newest->dir == dir ? newest->by_dir.next->entry : NULL;
}

void entry_ready(Settle *s, Entry *e) {
        list_append(&s->ready_files, &e->by_touch);
        e->ready = true;
}

void entry_release(Settle *s, Entry *e) {
        Entry **p;

        if (e->pending || e->flying)
                return;
        p = &s->buckets[bucket(s, e->dir, BYTES(e->name, e->name_size))];
        while (*p != e)
                p = &(*p)->chain;
        *p = e->chain;
        list_remove(&e->by_touch);
        list_remove(&e->by_age);
        list_remove(&e->by_glance);
        free(e);
        s->count--;
}

static void epoch_add(Settle *s, uint32_t epoch) {
        if (epoch != 0)
                s->open[epoch % EPOCHS]++;
}

void epoch_remove(Settle *s, uint32_t epoch) {
        if (epoch != 0)
                s->open[epoch % EPOCHS]--;
}

uint32_t epoch_earlier(uint32_t a, uint32_t b) {
        return a == 0 || b == 0 ? MAX_OF(a, b) : MIN_OF(a, b);
}

static void close_epochs(Settle *s) {
        while (s->lowest < s->epoch && s->open[s->lowest % EPOCHS] == 0)
                s->lowest++;
}

void epochs_advance(Settle *s) {
        close_epochs(s);
        if (!s->flush_again || s->epoch - s->lowest >= EPOCHS - 1)
                return;
        s->flush_again = false;
        s->epoch++;
        close_epochs(s);                /* the one that ended just now may be empty */
}

void entries_displace(Settle *s, uint32_t request) {
        assert(s->n_displaced < DISPLACED);
        s->displaced[s->n_displaced++] = request;
}

/* Puts a pending entry where it waits for its time. */
static void place(Settle *s, Entry *e) {
        bool flushed = e->now.epoch < s->epoch && e->now.tries == 0;

        entry_unring(s, e);
        e->ready = false;
        if (e->now.flags & SETTLE_DIRECTORY && e->now.tries == 0) {
                list_append(&s->ready_directories, &e->by_touch);
                return;
        }
        enring(s, e);
        if ((flushed || e->now.request != 0) && e->now.tries == 0) {
                entry_ready(s, e);
        } else {
                list_append(&s->quiet, &e->by_touch);
                if (list_empty(&e->by_age))
                        list_append(&s->aged, &e->by_age);
        }
}

static void entry_drop(Settle *s, Entry *e) {
        if (!e->pending)
                return;
        e->pending = e->due = false;
        list_remove(&e->by_touch);
        list_remove(&e->by_age);
        list_remove(&e->by_glance);
        entry_unring(s, e);
        epoch_remove(s, e->now.epoch);
}

/* Joins an earlier change into a later one of the same name. */
static void join(Settle *s, SettleChange *into, const SettleChange *earlier) {
        into->first = MIN_OF(into->first, earlier->first);
        into->since = MIN_OF(into->since, earlier->since);
        into->last = MAX_OF(into->last, earlier->last);
        into->touched = MAX_OF(into->touched, earlier->touched);
        into->count += earlier->count;
        into->flags |= earlier->flags;
        into->epoch = epoch_earlier(into->epoch, earlier->epoch);
        if (into->request == 0)
                into->request = earlier->request;
        else if (earlier->request != 0)
                entries_displace(s, earlier->request);
        if (earlier->origin == ORIGIN_LIVE)
                into->origin = ORIGIN_LIVE;
}

void entry_wait(Settle *s, Entry *e, const SettleChange *change) {
        if (e->pending) {
                SettleChange joined = *change;

                join(s, &joined, &e->now);
                epoch_remove(s, e->now.epoch);
                e->now = joined;
        } else {
                e->now = *change;
                e->pending = true;
        }
        epoch_add(s, e->now.epoch);
        place(s, e);
}

bool entry_take(Settle *s, Entry *e, SettleChange *ret) {
        bool any = false;

        memset(ret, 0, sizeof(*ret));
        if (!e)
                return false;
        if (e->pending) {
                *ret = e->now;
                entry_drop(s, e);
                any = true;
        }
        if (e->flying && !e->stale) {
                if (any)
                        join(s, ret, &e->flight);
                else
                        *ret = e->flight;
                e->stale = true;
                any = true;
        }
        entry_release(s, e);
        return any;
}

int entry_put(Settle *s, uint32_t dir, Bytes name, const SettleChange *change) {
        Entry *e = entry_find(s, dir, name);

        if (!e)
                e = entry_new(s, dir, name);
        if (!e) {
                if (change->request)
                        entries_displace(s, change->request);
                return -ENOMEM;
        }
        entry_wait(s, e, change);
        return 0;
}
