/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* rehome: a tree that is found again under other identities: a root that was deleted and made again, a
 * restored backup, a copied disk. What has the same path, type, size and time is the node that it was, and
 * not read again; all else is what it looks like. The root gets its new identity last: a walk that is not
 * finished is begun anew. */

/* Any of the names that were found there is recorded; or nothing is, which a mount point shows as well. */
static bool is_alike(Intake *i, const Dataset *d, Bytes names) {
        StoreLink link;

        if (store_links(i->store, d->row.root_node, BYTES_NONE, &link, 1) == 0)
                return !gap_on(i, d->row.id, 0, CAUSE_UNMOUNTED);
        for (size_t at = 0; at < names.size;) {
                Bytes name = BYTES_STR((const char *) names.data + at);

                if (store_link_find(i->store, d->row.root_node, name, &link) == 0)
                        return true;
                at += name.size + 1;
        }
        return false;
}

/* On the file system that it was on, another directory at its path is a root made again. On another one it
 * may be no more than the place where that file system was mounted: then it must look like a copy. */
bool rehome_possible(Intake *i, const Dataset *d, const Feed_ROOT *m) {
        int64_t filesystem;

        if (d->device != 0 && d->device == m->device)
                return true;
        if (m->fs_uuid.size == EVENT_ID_SIZE && dataset_filesystem(i, m, &filesystem) == 0 &&
            filesystem == d->row.filesystem)
                return true;
        return m->names.data && is_alike(i, d, m->names);
}

static void move_to(Intake *i, Dataset *d, int64_t node) {
        int64_t now = now_usec(CLOCK_REALTIME);

        if (unlink_below(i, d, d->row.root_node, ORIGIN_RECONCILE, now) != 0) {
                intake_fail(i, STORE_E_FAILED);
                return;
        }
        d->row.root_node = node;
        if (dataset_append_place(i, d, KIND_DATASET_MOVE, NULL) == 0)
                nesting_claim(i, d);
}

void rehome_begin(Intake *i, Dataset *d, const Feed_ROOT *m) {
        StoreNode node = { 0 };
        int64_t filesystem;
        int r = dataset_filesystem(i, m, &filesystem);

        if (r == 0 && filesystem != d->row.filesystem)
                r = store_dataset_filesystem(i->store, d->row.id, filesystem);
        if (r != 0) {
                intake_fail(i, r);
                return;
        }
        d->row.filesystem = filesystem;
        r = store_node_find(i->store, filesystem, m->inode, m->btime, &node);
        if (r == 0 && node.id != d->row.root_node) {
                move_to(i, d, node.id); /* the dataset around it knows that directory for another one */
        } else {
                d->again = (Again) { .on = true, .inode = m->inode, .btime = m->btime };
        }
        store_node_done(&node);
}

bool rehome_node(Intake *i, Dataset *d, const StoreLink *link, const Feed_STATE *m, StoreNode *node) {
        StoreNode n = { 0 };
        Type type = type_from_mode(m->mode);
        bool same;

        if (!d->again.on || m->origin != ORIGIN_RECONCILE || link->type != type ||
            dataset_beginning(i, link->node) || store_node_get(i->store, link->node, &n) != 0)
                return false;
        same = (type != TYPE_FILE || (n.size == m->size && n.mtime == m->mtime)) &&
               (type != TYPE_SYMLINK || bytes_equal(BYTES(n.target, n.target_size), m->target));
        if (!same) {
                store_node_done(&n);
                return false;
        }
        if (store_node_identity(i->store, n.id, d->row.filesystem, m->inode, m->btime, m->ctime) != 0)
                intake_fail(i, STORE_E_FAILED);
        n.filesystem = d->row.filesystem;
        n.inode = m->inode;
        n.btime = m->btime;
        n.ctime = m->ctime;
        d->again.nodes++;
        store_node_done(node);
        *node = n;
        return true;
}

void rehome_end(Intake *i, Dataset *d) {
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_REHOME, .origin = ORIGIN_RECONCILE, .dataset = d->row.id,
                    .node = d->row.root_node, .first = now, .last = now };
        const Again again = d->again;

        if (!again.on)
                return;
        d->again = (Again) { 0 };
        if (intake_append(i, &e) != 0)
                return;
        if (store_node_identity(i->store, d->row.root_node, d->row.filesystem, again.inode, again.btime,
                                0) != 0)
                intake_fail(i, STORE_E_FAILED);
        log_event(LOG_NOTICE, MSG_DATASET_REHOMED, 0,
                  "Dataset %s was found again under other identities; %lld names were matched by path",
                  d->row.name, (long long) again.nodes, "SCITRACE_DATASET=%s", d->row.name);
}
