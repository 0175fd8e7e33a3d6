/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* nesting: of datasets within datasets. A directory's names belong to the innermost one; where that changes,
 * a rehome event moves them. */

enum { DEPTH_MAX = 65536 };             /* a damaged record may have a directory beneath itself */

Dataset *dataset_beginning(Intake *i, int64_t node) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed && i->datasets[n].row.root_node == node)
                        return &i->datasets[n];
        return NULL;
}

/* The dataset in which a root has its name, and that name; NULL: it has none, or nobody watches there. */
static Dataset *dataset_around(Intake *i, const Dataset *d, StoreLink *ret) {
        Dataset *around;

        if (store_links_of_node(i->store, d->row.root_node, ret, 1) != 1)
                return NULL;
        around = dataset_find(i, ret->dataset);
        return around && around != d && !around->row.removed ? around : NULL;
}

static bool is_within(Intake *i, int64_t node, int64_t top) {
        StoreLink up;

        for (int depth = 0; node != top && depth < DEPTH_MAX; depth++) {
                if (store_links_of_node(i->store, node, &up, 1) != 1)
                        return false;
                node = up.parent;
        }
        return node == top;
}

/* What is beneath a root and recorded as another dataset's is d's from now on. up: its name around it. */
static void append_rehome(Intake *i, const Dataset *d, int64_t node, const StoreLink *up, bool inwards) {
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_REHOME, .origin = ORIGIN_LIVE, .dataset = d->row.id, .node = node,
                    .first = now, .last = now };
        const Dataset *from;
        StoreLink one;

        if (store_links(i->store, node, BYTES_NONE, &one, 1) != 1 || one.dataset == d->row.id)
                return;
        from = dataset_find(i, one.dataset);
        if (from)
                e.detail = BYTES(from->row.uuid, EVENT_ID_SIZE);
        if (up && inwards) {
                e.old_parent = up->parent;
                e.old_name = BYTES(up->name, up->name_size);
        } else if (up) {
                e.parent = up->parent;
                e.name = BYTES(up->name, up->name_size);
        }
        (void) intake_append(i, &e);
}

/* Datasets that were removed while nobody watched around them: what they left is d's now. */
static void claim_left(Intake *i, const Dataset *d) {
        for (size_t n = 0; n < i->n_datasets && i->error == 0; n++) {
                const Dataset *left = &i->datasets[n];
                StoreLink up;

                if (left->row.removed && left->row.root_node != d->row.root_node &&
                    store_links_of_node(i->store, left->row.root_node, &up, 1) == 1 &&
                    up.dataset == d->row.id)
                        append_rehome(i, d, left->row.root_node, &up, false);
        }
}

void nesting_claim(Intake *i, Dataset *d) {
        StoreLink up;
        Dataset *around = dataset_around(i, d, &up);

        append_rehome(i, d, d->row.root_node, around ? &up : NULL, true);
        claim_left(i, d);
}

void nesting_inherit(Intake *i, Dataset *d) {
        StoreLink up;
        Dataset *around = dataset_around(i, d, &up);

        if (!around)
                return;
        for (size_t n = 0; n < i->n_gaps && i->error == 0;) {
                const Gap g = i->gaps[n];
                bool whole = g.node == 0 || g.node == around->row.root_node;

                if (g.dataset != around->row.id || (!whole && !is_within(i, g.node, d->row.root_node))) {
                        n++;
                        continue;
                }
                gap_open(i, d, whole ? 0 : g.node, g.cause, 0);
                if (whole)
                        n++;
                else
                        gap_close(i, n);
        }
}

/* The datasets inside of one moved with it. */
void nesting_moved(Intake *i, const Dataset *d, const char *was, Feed *f) {
        size_t size = strlen(was);

        for (size_t n = 0; n < i->n_datasets && i->error == 0; n++) {
                Dataset *within = &i->datasets[n];
                const char *path = (const char *) within->row.root;
                CLEANUP(freep) char *to = NULL;

                if (within == d || within->row.removed || strncmp(path, was, size) != 0 ||
                    path[size] != '/' ||
                    !is_within(i, within->row.root_node, d->row.root_node))
                        continue;
                if (asprintf(&to, "%s%s", (const char *) d->row.root, path + size) < 0 ||
                    dataset_move(i, within, BYTES_STR(to)) != 0) {
                        intake_fail(i, -ENOMEM);
                        return;
                }
                within->feed = f;
                dataset_placed(i, within);
                if (f && f->there)
                        dataset_watch(i, within);
        }
}

/* Notices that are under way still name the root as theirs. */
static void hand_over(Intake *i, const Feed *f, uint32_t from, uint32_t to) {
        uint64_t key, token;
        size_t at = 0;

        while (map_next(&i->roots, &at, &key, &token))
                if (key >> 32 == f->id && token == from)
                        (void) map_put(&i->roots, key, to);     /* it has the key: nothing grows */
}

void nesting_release(Intake *i, Dataset *d, uint32_t token) {
        StoreLink up;
        Dataset *around = dataset_around(i, d, &up);
        bool unseen = false;

        if (!around)
                return;
        append_rehome(i, around, d->row.root_node, &up, false);
        for (size_t n = 0; n < i->n_gaps && i->error == 0; n++) {
                const Gap g = i->gaps[n];
                bool whole = g.node == 0 || g.node == d->row.root_node;

                if (g.dataset != d->row.id)
                        continue;
                gap_open(i, around, whole ? d->row.root_node : g.node, g.cause, 0);
                unseen |= whole;
        }
        if (token != 0 && around->token != 0 && around->feed == d->feed)
                hand_over(i, d->feed, token, around->token);
        if (unseen) {
                (void) gaps_reopened(i, d->row.root_node);
                dataset_walk(i, around);
        }
        request_check(i, up.parent, BYTES(up.name, up.name_size), ORIGIN_RECONCILE, true);
}
