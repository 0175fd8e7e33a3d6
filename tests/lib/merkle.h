/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_LIB_MERKLE_H
#define SCITRACE_TESTS_LIB_MERKLE_H

/* merkle: the root over some leaves as RFC 6962, 2.1, has it, word for word: what daemon/store/tile.c must agree
 * with. */

#include "daemon/store/tile.h"

static inline Hash naive_root(const Hash *leaves, size_t n) {
        size_t k = 1;
        Hash left, right;

        if (n == 0) {
                hash_empty(&left);
                return left;
        }
        if (n == 1)
                return leaves[0];
        while (2 * k < n)
                k *= 2;
        left = naive_root(leaves, k);
        right = naive_root(leaves + k, n - k);
        hash_node(&left, &right, &left);
        return left;
}

#endif
