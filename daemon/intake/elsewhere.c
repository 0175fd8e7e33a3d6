/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/intake/internal.h"

/* elsewhere: a file may have names that the record does not have (yet); what is written through
 * one of them is noticed under that name alone. When it goes before it was looked at, the others are. */

/* What was written through a name that went before it was looked at is still there under
 * the node's other names. */
void elsewhere_look(Intake *i, int64_t node, uint8_t origin) {
        StoreLink other;
        StoreNode n = { 0 };

        if (i->error == 0 && store_links_of_node(i->store, node, &other, 1) == 1 &&
            other.type == TYPE_FILE && store_node_get(i->store, node, &n) == 0 && n.size <= i->digest_max)
                request_digest(i, other.parent, BYTES(other.name, other.name_size), node, n.inode, n.btime,
                               origin);
        store_node_done(&n);
}

/* Who has a file open goes on writing it under the name that it was opened by, whatever that name is now. */
void elsewhere_former(Intake *i, int64_t parent, Bytes name, int64_t except, uint8_t origin) {
        StoreLink former;

        if (store_link_closed(i->store, parent, name, &former) == 0 && former.node != except)
                elsewhere_look(i, former.node, origin);
}

void elsewhere_unnamed(Intake *i, int64_t filesystem, Bytes name, uint8_t origin) {
        StoreNode node = { 0 };
        uint64_t inode = 0;

        if (name.size < 2 || name.size > 20 || name.data[0] != '#')
                return;
        for (size_t n = 1; n < name.size; n++) {
                if (name.data[n] < '0' || name.data[n] > '9')
                        return;
                inode = inode * 10 + (uint64_t) (name.data[n] - '0');
        }
        if (store_node_of_inode(i->store, filesystem, inode, &node) == 0)
                elsewhere_look(i, node.id, origin);
        store_node_done(&node);
}

void elsewhere_note(Intake *i, int64_t node, uint32_t nlink) {
        StoreNode n = { 0 };
        bool more = nlink > 1 && store_node_get(i->store, node, &n) == 0 && n.links < (int64_t) nlink;
        size_t at = 0;

        store_node_done(&n);
        while (at < ELSEWHERE_MAX && i->elsewhere[at] != node)
                at++;
        if (at < ELSEWHERE_MAX && !more)
                i->elsewhere[at] = 0;
        else if (at == ELSEWHERE_MAX && more)
                i->elsewhere[i->elsewhere_next++ % ELSEWHERE_MAX] = node;
}

void elsewhere_check(Intake *i) {
        if (!i->elsewhere_due)
                return;
        i->elsewhere_due = false;
        for (size_t n = 0; n < ELSEWHERE_MAX && i->error == 0; n++)
                if (i->elsewhere[n] != 0)
                        elsewhere_look(i, i->elsewhere[n], ORIGIN_LIVE);
}
