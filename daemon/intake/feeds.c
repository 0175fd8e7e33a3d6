/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* feeds: the watchers, one for each file system that has a dataset. A file system is known by the device of
 * its superblock, and that by the mount table alone: whoever asked the file system itself might wait for it
 * for ever. */

uint64_t feed_key(const Feed *f, uint32_t dir) {
        return (uint64_t) f->id << 32 | dir;
}

Feed *feed_find(const Intake *i, uint32_t id) {
        Feed *f = i->feeds;

        while (f && f->id != id)
                f = f->next;
        return f;
}

Feed *feed_of_node(const Intake *i, int64_t node, uint32_t *ret_dir) {
        uint64_t key;

        if (!map_get(&i->dirs, (uint64_t) node, &key))
                return NULL;
        *ret_dir = (uint32_t) key;
        return feed_find(i, (uint32_t) (key >> 32));
}

Feed *feed_of_root(Intake *i, Bytes root) {
        const Mount *mount = mounts_find(&i->mounts, root);
        uint64_t device = mount ? mount->device : 0;
        size_t n = 0;
        Feed *f;

        for (f = i->feeds; f && f->device != device; f = f->next)
                n++;
        if (f || n == FEEDS_MAX)
                return f;
        f = calloc(1, sizeof(*f));
        if (!f) {
                intake_fail(i, -ENOMEM);
                return NULL;
        }
        *f = (Feed) { .next = i->feeds, .id = i->next_feed++, .device = device };
        i->feeds = f;
        answers_feed_open(i, f);
        return f;
}

void feeds_open(Intake *i) {
        for (Feed *f = i->feeds; f; f = f->next)
                answers_feed_open(i, f);
}

static void forget_directories(Intake *i, const Feed *f) {
        uint64_t key, node, now;
        size_t at = 0;
        Map nodes = { 0 };

        /* What is left is put into a new map: one cannot be changed while it is gone through. */
        while (map_next(&i->nodes, &at, &key, &node))
                if (key >> 32 == f->id) {
                        if (map_get(&i->dirs, node, &now) && now == key)
                                map_remove(&i->dirs, node);
                        map_remove(&i->roots, key);
                } else if (map_put(&nodes, key, node) < 0) {
                        intake_fail(i, -ENOMEM);
                }
        map_done(&i->nodes);
        i->nodes = nodes;
}

void feed_forget(Intake *i, Feed *f) {
        f->there = false;
        f->frames = 0;
        f->counts = (Feed_COUNTS) { 0 };
        map_clear(&f->listed);
        map_clear(&f->owed);
        fresh_drop(i);
        forget_directories(i, f);
        requests_clear(i, f);
        settlings_lost(i, f);
        f->flushing = 0;
}

static void feed_free(Feed *f) {
        map_done(&f->listed);
        map_done(&f->owed);
        map_done(&f->again);
        free(f);
}

static bool is_needed(const Intake *i, const Feed *f) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].feed == f)
                        return true;
        for (const Adding *a = i->addings; a; a = a->next)
                if (a->feed == f)
                        return true;
        return false;
}

void feeds_trim(Intake *i) {
        for (Feed **p = &i->feeds, *f; (f = *p);) {
                if (is_needed(i, f)) {
                        p = &f->next;
                        continue;
                }
                answers_feed_close(i, f);
                feed_forget(i, f);
                *p = f->next;
                feed_free(f);
        }
}

void feeds_free(Intake *i) {
        for (Feed *f = i->feeds, *next; f; f = next) {
                next = f->next;
                requests_clear(i, f);
                feed_free(f);
        }
        i->feeds = NULL;
}

void feeds_tick(Intake *i) {
        for (Feed *f = i->feeds; f; f = f->next) {
                FeedMessage m = { .type = FEED_BARRIER, .BARRIER = { .barrier = i->next_barrier++ } };

                if (f->there)
                        intake_request(i, f, &m);
        }
}
