/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* identities: which nodes are surely not known. A Bloom filter over the identities of all nodes, made when a
 * first look begins to ask: two bits a node among sixteen or more, so that one answer in fifty or fewer is a
 * "perhaps" that the index has to settle. Past its largest size ever more are. */

enum {
        BITS_A_NODE = 16,
        BITS_MIN = 1 << 22,             /* 512 KiB */
        BITS_MAX = 1 << 26,             /* 8 MiB */
        NODES_MAX = 1 << 21,            /* of an older record */
};

typedef struct Place {
        uint64_t word1, bit1, word2, bit2;
} Place;

static uint64_t mix(uint64_t h) {
        h ^= h >> 33;
        h *= UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 33;
        h *= UINT64_C(0xc4ceb9fe1a85ec53);
        return h ^ h >> 33;
}

static Place place_of(const StoreIdentities *f, int64_t filesystem, uint64_t inode, int64_t btime) {
        uint64_t h = mix(inode ^ mix((uint64_t) btime ^ (uint64_t) filesystem << 56));
        uint64_t a = h & (f->bits - 1), b = h >> 32 & (f->bits - 1);

        return (Place) { a / 64, UINT64_C(1) << a % 64, b / 64, UINT64_C(1) << b % 64 };
}

static void set(StoreIdentities *f, int64_t filesystem, uint64_t inode, int64_t btime) {
        Place p = place_of(f, filesystem, inode, btime);

        f->words[p.word1] |= p.bit1;
        f->words[p.word2] |= p.bit2;
        f->n++;
}

void identities_add(Store *s, int64_t filesystem, uint64_t inode, int64_t btime) {
        if (s->identities.words)
                set(&s->identities, filesystem, inode, btime);
}

void store_identities_forget(Store *s) {
        free(s->identities.words);
        s->identities = (StoreIdentities) { 0 };
}

static int build(Store *s) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        StoreIdentities *f = &s->identities;
        int r;

        store_identities_forget(s);
        f->bits = BITS_MIN;
        while (f->bits < BITS_MAX && f->bits < (uint64_t) s->next_node * 2 * BITS_A_NODE)
                f->bits *= 2;
        r = store_stmt(s, SQL_NODE_IDENTITIES, &stmt);
        if (r < 0)
                return r;
        f->words = calloc(f->bits / 64, sizeof(*f->words));
        if (!f->words)
                return -ENOMEM;
        while ((r = sql_step(&s->sql, stmt)) > 0)
                set(f, sql_column(stmt, 0), (uint64_t) sql_column(stmt, 1), sql_column(stmt, 2));
        if (r < 0)
                store_identities_forget(s);
        return r;
}

bool store_identity_is_new(Store *s, int64_t filesystem, uint64_t inode, int64_t btime) {
        StoreIdentities *f = &s->identities;
        Place p;

        if (!f->words && s->next_node > NODES_MAX)
                return false;           /* reading all of them would take longer than it saves */
        if (!f->words || (f->n * BITS_A_NODE > f->bits && f->bits < BITS_MAX))
                if (build(s) < 0)
                        return false;   /* not known: the index says */
        p = place_of(f, filesystem, inode, btime);
        return !(f->words[p.word1] & p.bit1) || !(f->words[p.word2] & p.bit2);
}
