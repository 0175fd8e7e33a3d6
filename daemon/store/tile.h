/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_TILE_H
#define SCITRACE_DAEMON_STORE_TILE_H

/* tile: a Merkle tree over a log (RFC 6962: its hashes and its proofs) that grows at its right edge, in
 * tiles of 256 hashes (C2SP tlog-tiles). Pure: no descriptor, no clock, no database.
 * Leaf i, from 0, is event i + 1. A subtree is named by its height and its index at that height: it holds
 * the leaves [index << height, (index + 1) << height).
 * May use: lib/util.h.  May not use: anything else of ours. */

#include <stdbool.h>

#include "lib/util.h"

enum {
        HASH_SIZE = 32,
        TILE_WIDTH = 256,               /* hashes */
        TILE_HEIGHT = 8,                /* level L of tiles holds subtrees of height 8 * L */
        TILE_LEVELS = 8,
        TILE_SIZE = TILE_WIDTH * HASH_SIZE,
        TILE_HEAD = 254,                /* hashes in the tile's row of tile_head, the others in tile_tail */
        PROOF_MAX = 2 * 64,             /* hashes of a proof */
};

typedef struct Hash {
        uint8_t bytes[HASH_SIZE];
} Hash;

static inline bool hash_equal(const Hash *a, const Hash *b) {
        return memcmp(a, b, sizeof(*a)) == 0;
}

/** hash_leaf() - of a leaf's bytes, before which room for one byte is kept: bytes[0] is overwritten, and
 *  size counts it. hash_node() - of two subtrees; ret may be one of them. */
void hash_leaf(uint8_t *bytes, size_t size, Hash *ret);
void hash_node(const Hash *left, const Hash *right, Hash *ret);
/** hash_perfect() - the root over n hashes, n a power of two, at most TILE_WIDTH. hash_empty() - the root of
 *  no leaves. */
void hash_perfect(const Hash *hashes, unsigned n, Hash *ret);
void hash_empty(Hash *ret);

/** Tree: the right edge of a tree: at each level of tiles the hashes of the tile that is not full yet. At
 *  most 64 KiB. An all-zero struct is an empty tree. */
typedef struct Tree {
        int64_t size;                   /* leaves */
        Hash *edges[TILE_LEVELS];       /* TILE_WIDTH each; NULL: none so far */
} Tree;

/** TileFn - tile (level, index) is full. Non-zero ends the call and is returned. */
typedef int (*TileFn)(void *userdata, unsigned level, int64_t index, Bytes data);

void tree_done(Tree *t);
/** tree_copy() - over *ret, which is a tree too. 0, -ENOMEM. */
int tree_copy(const Tree *t, Tree *ret);
/** tree_add() - one more leaf; fn gets the tiles that it fills, lowest first. 0, -ENOMEM, what fn returned.
 *  */
int tree_add(Tree *t, const Hash *leaf, TileFn fn, void *userdata);
/** tree_edge() - how many hashes the tile of a level that is not full has, and which. */
unsigned tree_edge(const Tree *t, unsigned level, const Hash **ret);
/** tree_load_edge() - the same, set: for a tree whose size is set first. n as tree_edge() says. 0, -ENOMEM.
 *  */
int tree_load_edge(Tree *t, unsigned level, const Hash *hashes, unsigned n);
void tree_root(const Tree *t, Hash *ret);

/** HashFn - the root of a subtree that is wholly there. 0 or a negative errno, which is passed up. */
typedef int (*HashFn)(void *userdata, unsigned height, int64_t index, Hash *ret);

/** TILE_GET - the hashes of the tile of level ?1 and index ?2, as `data`. */
#define TILE_GET "SELECT data FROM tile WHERE id = (?1 << 56 | ?2)"

/** prove_inclusion() - the path from leaf `index` to the root of the first `size` leaves; 0 <= index < size.
 *  *ret_n hashes in ret, at most PROOF_MAX. 0 or what fn returned. */
int prove_inclusion(int64_t index, int64_t size, HashFn fn, void *userdata,
                    Hash ret[static PROOF_MAX], unsigned *ret_n);

/** inclusion_holds() - whether the proof proves it. */
bool inclusion_holds(const Hash *leaf, int64_t index, int64_t size, const Hash *proof, unsigned n,
                     const Hash *root);

#endif
