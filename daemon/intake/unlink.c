/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* unlink: names that go, and what is recorded beneath them. */

enum { PAGE = 64 };                     /* links read at once when a subtree goes */

static int unlink_one(Intake *i, Dataset *d, int64_t parent, Bytes name, int64_t node, uint8_t origin,
                      int64_t first, int64_t last, int64_t count) {
        Event e = { .kind = KIND_UNLINK, .origin = origin, .dataset = d->row.id, .first = first,
                    .last = last, .count = count, .node = node, .parent = parent, .name = name };
        uint64_t key;
        int r;

        if (!dataset_beginning(i, node) && map_get(&i->dirs, (uint64_t) node, &key)) {
                /* if it comes back, it is announced anew */
                map_remove(&i->dirs, (uint64_t) node);
                map_remove(&i->nodes, key);
                map_remove(&i->roots, key);
        }
        r = intake_append(i, &e);
        if (r == 0)
                gaps_gone(i, node);
        return r;
}

/* All that is recorded below a directory, children before parents, without recursion: each round takes the
 * first child, and goes up when there is none. What is below the root of another dataset is not gone with
 * its name here: that dataset tells. */
int unlink_below(Intake *i, Dataset *d, int64_t top, uint8_t origin, int64_t time) {
        Dataset *other = dataset_beginning(i, top);
        int64_t at = top;

        if (other && other != d)
                return 0;
        for (;;) {
                StoreLink children[PAGE], up;
                int n = store_links(i->store, at, BYTES_NONE, children, PAGE), r = 0;
                int64_t down = 0;

                if (n < 0)
                        return n;
                for (int c = 0; c < n && r == 0 && !down; c++) {
                        if (children[c].type == TYPE_DIRECTORY && !dataset_beginning(i, children[c].node)) {
                                StoreLink one;

                                if (store_links(i->store, children[c].node, BYTES_NONE, &one, 1) > 0) {
                                        down = children[c].node;
                                        break;
                                }
                        }
                        r = unlink_one(i, d, at, BYTES(children[c].name, children[c].name_size),
                                       children[c].node, origin, time, time, 0);
                        if (r == 0 && children[c].type == TYPE_FILE)
                                elsewhere_look(i, children[c].node, origin);
                }
                if (r != 0)
                        return r;
                if (down) {
                        at = down;
                } else if (n < PAGE) {
                        if (at == top)
                                return 0;
                        if (store_links_of_node(i->store, at, &up, 1) != 1)
                                return -EIO;
                        at = up.parent;
                }
        }
}

int unlink_name(Intake *i, Dataset *d, const StoreLink *link, uint8_t origin, int64_t first,
                       int64_t last, int64_t count) {
        int r = 0;

        if (link->type == TYPE_DIRECTORY)
                r = unlink_below(i, d, link->node, origin, last);
        if (r == 0)
                r = unlink_one(i, d, link->parent, BYTES(link->name, link->name_size), link->node, origin,
                               first, last, count);
        if (r != 0)
                intake_fail(i, r);
        return r;
}
