/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* known: nodes whose digests are wanted, as store_wanted() told them, as long as no row of theirs, node or
 * link, was written since: then their digests can be recorded without asking the tables again. Each has one
 * place; another one that takes it costs asking. Every write of a node's row, of which a link is one, too,
 * forgets it here. */

enum { PLACES = 1 << 13 };              /* as many as digests are under way; 72 bytes each */

static StoreKnown *place_of(const Store *s, int64_t node) {
        return &s->known[(uint64_t) node % PLACES];
}

void known_add(Store *s, const StoreKnown *k) {
        if (!s->known)
                s->known = calloc(PLACES, sizeof(*s->known));
        if (!s->known)
                return;
        s->n_known += place_of(s, k->node)->node == 0;
        *place_of(s, k->node) = *k;
}

const StoreKnown *known_get(const Store *s, int64_t node) {
        const StoreKnown *k = s->known ? place_of(s, node) : NULL;

        return k && k->node == node ? k : NULL;
}

void known_forget(Store *s, int64_t node) {
        if (!known_get(s, node))
                return;
        place_of(s, node)->node = 0;
        if (--s->n_known == 0)
                known_clear(s);
}

void known_clear(Store *s) {
        free(s->known);
        s->known = NULL;
        s->n_known = 0;
}

uint64_t known_name(Bytes name) {
        uint64_t h = UINT64_C(14695981039346656037);

        for (size_t i = 0; i < name.size; i++)
                h = (h ^ name.data[i]) * UINT64_C(1099511628211);
        return h;
}

int store_node_known(const Store *s, int64_t node, int64_t parent, Bytes name, StoreNode *ret) {
        const StoreAttr *attr;
        const StoreKnown *k;

        assert(s);
        assert(ret);

        k = known_get(s, node);
        if (!k || k->parent != parent || k->name != known_name(name))
                return STORE_E_NONE;
        attr = attrs_get(s, k->attr);
        *ret = (StoreNode) {
                .id = k->node,
                .filesystem = k->filesystem,
                .inode = k->inode,
                .btime = k->btime,
                .type = attr->type,
                .mode = attr->mode,
                .uid = attr->uid,
                .gid = attr->gid,
                .size = k->size,
                .mtime = k->mtime,
                .wanted = true,
        };
        return 0;
}
