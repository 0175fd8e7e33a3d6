/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "daemon/store/tile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/merkle.h"

enum { LEAVES_MAX = 1200 };

static Hash leaves[LEAVES_MAX];

static int subtree(void *userdata, unsigned height, int64_t index, Hash *ret) {
        (void) userdata;
        *ret = naive_root(leaves + ((size_t) index << height), (size_t) 1 << height);
        return 0;
}

static int tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        Hash expected = naive_root(leaves + index * TILE_WIDTH, TILE_WIDTH), h;

        (void) userdata;
        hash_perfect((const Hash *) data.data, TILE_WIDTH, &h);
        if (level != 0 || !hash_equal(&h, &expected))
                abort();
        return 0;
}

static void check(bool holds) {
        if (!holds)
                abort();
}

/* The size of a tree, two bytes for nothing, a leaf, and a bit that is changed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t now, index, bit;
        Hash proof[PROOF_MAX], root, expected;
        Tree tree = { 0 };
        unsigned n;

        if (size < 8)
                return 0;
        now = (size_t) (data[0] << 8 | data[1]) % LEAVES_MAX + 1;
        index = (size_t) (data[4] << 8 | data[5]) % now;
        bit = (size_t) (data[6] << 8 | data[7]);
        for (size_t i = 0; i < now; i++) {
                uint8_t bytes[4] = { 0, (uint8_t) i, (uint8_t) (i >> 8), data[8 % size] };

                hash_leaf(bytes, sizeof(bytes), &leaves[i]);
                check(tree_add(&tree, &leaves[i], tile, NULL) == 0);
        }
        tree_root(&tree, &root);
        tree_done(&tree);
        expected = naive_root(leaves, now);
        check(hash_equal(&root, &expected));
        check(prove_inclusion((int64_t) index, (int64_t) now, subtree, NULL, proof, &n) == 0);
        check(inclusion_holds(&leaves[index], (int64_t) index, (int64_t) now, proof, n, &root));
        if (n > 0) {
                proof[bit / 256 % n].bytes[bit / 8 % 32] ^= (uint8_t) (1 << bit % 8);
                check(!inclusion_holds(&leaves[index], (int64_t) index, (int64_t) now, proof, n, &root));
        }
        return 0;
}
