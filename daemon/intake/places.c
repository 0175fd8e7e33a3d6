/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"
#include "lib/mountinfo.h"

/* places: on which file system a dataset is, and which others are mounted in it, by the mount table. What is
 * unmounted, or hidden by another mount, is not gone: it is a gap, and is compared when it is back. */

static void append_mount(Intake *i, Dataset *d, Kind kind) {
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = kind, .origin = ORIGIN_LIVE, .dataset = d->row.id, .node = d->row.root_node,
                    .first = now, .last = now };

        (void) intake_append(i, &e);
}

void dataset_returned(Intake *i, Dataset *d) {
        if (!d->mounted && gap_on(i, d->row.id, 0, CAUSE_UNMOUNTED))
                append_mount(i, d, KIND_MOUNT);
        d->mounted = true;
}

/* Where a mount does not follow its original, as in a container, a watch keeps the device busy for those who
 * unmount it outside, and nobody here is told. */
static void warn_pinned(Intake *i, const Dataset *d, const Mount *mount) {
        if (i->warned_pinned || mount->propagates || mount->path_size <= 1 || mount->device >> 32 == 0)
                return;
        i->warned_pinned = true;
        log_event(LOG_WARNING, MSG_MOUNT_PINNED, 0,
                  "The file system of dataset %s is mounted here without propagation, as in a container: "
                  "when it is unmounted outside, its device stays busy, and its watcher is not told",
                  d->row.name, "SCITRACE_DATASET=%s", d->row.name, "SCITRACE_PATH=%s", mount->path);
}

void dataset_placed(Intake *i, Dataset *d) {
        const Mount *mount = mounts_find(&i->mounts, BYTES(d->row.root, d->row.root_size));

        d->mount = mount ? mount->id : 0;
        if (mount)
                warn_pinned(i, d, mount);
}

/* Device numbers are used again: what is mounted next may have the one that it had. */
static void unmounted(Intake *i, Dataset *d, uint64_t mount) {
        if (!mounts_have(&i->mounts, mount))
                append_mount(i, d, KIND_UNMOUNT);
        gap_open(i, d, 0, CAUSE_UNMOUNTED, d->row.covered_until);
        d->mounted = false;
        d->device = 0;
}

/* A dataset's file system may be another one than before: it was unmounted or hidden, or is back. */
static void place_dataset(Intake *i, Dataset *d) {
        Bytes root = BYTES(d->row.root, d->row.root_size);
        Feed *f = feed_of_root(i, root);
        uint64_t before = d->mount;

        dataset_placed(i, d);
        if (f == d->feed && d->mount == before)
                return;
        dataset_unask(i, d->feed, d->token);
        dataset_unwatched(i, d);
        if (d->mounted)
                unmounted(i, d, before);
        d->feed = f;
        if (f && f->there)
                dataset_watch(i, d);
}

/* The innermost dataset that a mount point lies in; NULL: there is none, or one begins there. */
static Dataset *dataset_around(Intake *i, Bytes path) {
        Dataset *best = NULL;

        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];
                Bytes root = BYTES(d->row.root, d->row.root_size);

                if (d->row.removed || !mountinfo_leads_through(path, root))
                        continue;
                if (root.size == path.size)
                        return NULL;
                if (!best || root.size > best->row.root_size)
                        best = d;
        }
        return best;
}

/* The node that is recorded at a path beneath a dataset's root; 0: none. */
static int64_t node_at(Intake *i, const Dataset *d, Bytes path) {
        int64_t node = d->row.root_node;
        size_t at = d->row.root_size;

        while (at < path.size && node != 0) {
                StoreLink link;
                size_t end;

                at += path.data[at] == '/';
                for (end = at; end < path.size && path.data[end] != '/';)
                        end++;
                node = store_link_find(i->store, node, BYTES(path.data + at, end - at), &link) == 0 ?
                               link.node : 0;
                at = end;
        }
        return node;
}

/* Another file system covers what is recorded at its mount point, or has left it. */
static void mount_inside(Intake *i, const Mount *mount, bool there) {
        Bytes path = BYTES(mount->path, mount->path_size);
        Dataset *d = dataset_around(i, path);
        int64_t node = d && d->watched ? node_at(i, d, path) : 0;

        if (node == 0)
                return;                 /* the next walk finds it */
        if (there)
                gap_open(i, d, node, CAUSE_OTHER_FILESYSTEM, 0);
        else if (gaps_reopened(i, node))
                dataset_walk(i, d);
}

static void compare_mounts(Intake *i, const Mounts *a, const Mounts *b, bool there) {
        for (size_t n = 0; n < a->n && i->error == 0; n++)
                if (!mounts_have(b, a->items[n].id))
                        mount_inside(i, &a->items[n], there);
}

void places_covered(Intake *i, const Dataset *d) {
        Bytes path = BYTES(d->row.root, d->row.root_size);
        Dataset *around = NULL;
        int64_t node;

        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *o = &i->datasets[n];

                if (o != d && !o->row.removed && o->row.root_size < path.size &&
                    mountinfo_leads_through(path, BYTES(o->row.root, o->row.root_size)) &&
                    (!around || o->row.root_size > around->row.root_size))
                        around = o;
        }
        node = around ? node_at(i, around, path) : 0;
        if (node != 0 && gap_on(i, around->row.id, node, CAUSE_OTHER_FILESYSTEM))
                gaps_resolve(i, node);
}

void datasets_place(Intake *i) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed)
                        place_dataset(i, &i->datasets[n]);
}

/* The table that was before; empty where the new one could not be taken. */
static Mounts take_mounts(Intake *i, const Work *w) {
        Mounts before = i->mounts, now;

        if (mounts_parse(BYTES(w->data, w->size), &now) < 0) {
                intake_fail(i, -ENOMEM);
                return (Mounts) { 0 };
        }
        i->mounts = now;
        i->mounts_told = true;
        return before;
}

void run_mounts(Intake *i, Work *w) {
        Mounts before = take_mounts(i, w);

        datasets_place(i);
        if (before.n > 0) {
                compare_mounts(i, &i->mounts, &before, true);
                compare_mounts(i, &before, &i->mounts, false);
        }
        mounts_done(&before);
}

void mounts_refused(Intake *i, const Work *w) {
        Mounts before = take_mounts(i, w);

        mounts_done(&before);
}

/* What others change past this kernel is never noticed here: that is a gap for as long as the dataset is on
 * such a file system, and a walk now and then finds it. */
void dataset_network(Intake *i, Dataset *d, bool network) {
        d->network = network;
        if (network) {
                gap_open(i, d, 0, CAUSE_REMOTE, 0);
                d->poll_at = now_usec(CLOCK_MONOTONIC) + i->poll_usec;
        } else if (gap_on(i, d->row.id, 0, CAUSE_REMOTE)) {
                gaps_local(i, d);
        }
}

void places_tick(Intake *i, int64_t now) {
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (!d->network || !d->watched || d->walk != 0 || now < d->poll_at)
                        continue;
                d->poll_at = now + i->poll_usec;
                dataset_poll(i, d);
        }
}

/* The file system does not answer its watcher, or does again; the watcher itself is well. */
void observe_stalled(Intake *i, const Feed_STALLED *m) {
        bool stalled = m->since != 0;

        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (d->feed != i->from || d->stalled == stalled)
                        continue;
                d->stalled = stalled;
                if (stalled)
                        gap_open(i, d, 0, CAUSE_STALLED, d->row.covered_until);
                else
                        dataset_walk(i, d);
                log_event(stalled ? LOG_WARNING : LOG_NOTICE, MSG_STALLED, 0,
                          "The file system of dataset %s %s", d->row.name,
                          stalled ? "does not answer; waiting for it" : "answers again",
                          "SCITRACE_DATASET=%s", d->row.name);
        }
}
