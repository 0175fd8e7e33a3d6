/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/tile.h"

/* Not by EVP, which does as much again around each hash: most are of two blocks. */
#define OPENSSL_API_COMPAT 10100        /* it is deprecated since 3.0, for want of providers */
#include <openssl/sha.h>

enum {
        LEAF = 0, /* what RFC 6962 puts before the bytes of a leaf, and of a node */
        NODE = 1,
};

/* Plain SHA-256. */
static void hash_bytes(Bytes b, Hash *ret) {
        SHA256_CTX ctx;

        SHA256_Init(&ctx);
        SHA256_Update(&ctx, b.data, b.size);
        SHA256_Final(ret->bytes, &ctx);
}

void hash_leaf(uint8_t *bytes, size_t size, Hash *ret) {
        assert(size > 0);
        bytes[0] = LEAF;
        hash_bytes(BYTES(bytes, size), ret);
}

void hash_node(const Hash *left, const Hash *right, Hash *ret) {
        uint8_t bytes[1 + 2 * HASH_SIZE] = { NODE };

        memcpy(bytes + 1, left, HASH_SIZE);
        memcpy(bytes + 1 + HASH_SIZE, right, HASH_SIZE);
        hash_bytes(BYTES(bytes, sizeof(bytes)), ret);
}

void hash_empty(Hash *ret) {
        hash_bytes(BYTES("", 0), ret);
}

void hash_perfect(const Hash *hashes, unsigned n, Hash *ret) {
        Hash row[TILE_WIDTH / 2];

        assert(n > 0 && n <= TILE_WIDTH && (n & (n - 1)) == 0);
        if (n == 1) {
                *ret = hashes[0];
                return;
        }
        for (unsigned i = 0; i < n / 2; i++)
                hash_node(&hashes[2 * i], &hashes[2 * i + 1], &row[i]);
        for (n /= 2; n > 1; n /= 2)
                for (unsigned i = 0; i < n / 2; i++)
                        hash_node(&row[2 * i], &row[2 * i + 1], &row[i]);
        *ret = row[0];
}

void tree_done(Tree *t) {
        for (unsigned level = 0; level < TILE_LEVELS; level++)
                free(t->edges[level]);
        *t = (Tree) { 0 };
}

int tree_copy(const Tree *t, Tree *ret) {
        for (unsigned level = 0; level < TILE_LEVELS; level++) {
                if (!t->edges[level])
                        continue;
                if (!ret->edges[level])
                        ret->edges[level] = malloc(TILE_SIZE);
                if (!ret->edges[level])
                        return -ENOMEM;
                memcpy(ret->edges[level], t->edges[level], TILE_SIZE);
        }
        ret->size = t->size;
        return 0;
}

/* Level 7's tile would be full at 2^64 leaves. */
static unsigned edge_size(int64_t size, unsigned level) {
        return (unsigned) ((uint64_t) size >> (TILE_HEIGHT * level)) % TILE_WIDTH;
}

static int edge_room(Tree *t, unsigned level) {
        if (!t->edges[level])
                t->edges[level] = calloc(TILE_WIDTH, sizeof(Hash));
        return t->edges[level] ? 0 : -ENOMEM;
}

int tree_add(Tree *t, const Hash *leaf, TileFn fn, void *userdata) {
        Hash up = *leaf;
        int r;

        for (unsigned level = 0; level < TILE_LEVELS; level++) {
                unsigned n = edge_size(t->size, level);

                r = edge_room(t, level);
                if (r < 0)
                        return r;
                t->edges[level][n] = up;
                if (n + 1 < TILE_WIDTH)
                        break;
                r = fn(userdata, level, t->size >> (TILE_HEIGHT * (level + 1)),
                       BYTES(t->edges[level], TILE_SIZE));
                if (r != 0)
                        return r;
                hash_perfect(t->edges[level], TILE_WIDTH, &up);
        }
        t->size++;
        return 0;
}

unsigned tree_edge(const Tree *t, unsigned level, const Hash **ret) {
        *ret = t->edges[level];
        return edge_size(t->size, level);
}

int tree_load_edge(Tree *t, unsigned level, const Hash *hashes, unsigned n) {
        int r = edge_room(t, level);

        assert(n == edge_size(t->size, level));
        if (r == 0 && n > 0)
                memcpy(t->edges[level], hashes, n * sizeof(Hash));
        return r;
}

/* From the right: an edge is a row of perfect subtrees, the smallest last. */
void tree_root(const Tree *t, Hash *ret) {
        bool some = false;
        Hash right, left;

        for (unsigned level = 0; level < TILE_LEVELS; level++) {
                unsigned n = edge_size(t->size, level);

                while (n > 0) {
                        unsigned last = n & -n;

                        n -= last;
                        hash_perfect(t->edges[level] + n, last, &left);
                        if (some)
                                hash_node(&left, &right, &right);
                        else
                                right = left;
                        some = true;
                }
        }
        if (!some)
                hash_empty(&right);
        *ret = right;
}

/* The largest power of two that is smaller than n; n > 1. */
static int64_t split(int64_t n) {
        return INT64_C(1) << (63 - __builtin_clzll((uint64_t) n - 1));
}

typedef struct Prover {
        HashFn fn;
        void *userdata;
        Hash *proof;
        unsigned n;
} Prover;

/* The root over the leaves [from, to): from is a multiple of the perfect subtree that they begin with. */
static int range_root(Prover *p, int64_t from, int64_t to, Hash *ret) {
        Hash parts[64];
        unsigned n = 0;
        int r;

        while (from < to) {
                unsigned height = 63 - (unsigned) __builtin_clzll((uint64_t) (to - from));

                r = p->fn(p->userdata, height, from >> height, &parts[n++]);
                if (r < 0)
                        return r;
                from += INT64_C(1) << height;
        }
        *ret = parts[--n];
        while (n-- > 0)
                hash_node(&parts[n], ret, ret);
        return 0;
}

static int put_range(Prover *p, int64_t from, int64_t to) {
        assert(p->n < PROOF_MAX);
        return range_root(p, from, to, &p->proof[p->n++]);
}

static void reverse(Hash *hashes, unsigned n) {
        for (unsigned i = 0; i < n / 2; i++) {
                Hash other = hashes[i];

                hashes[i] = hashes[n - 1 - i];
                hashes[n - 1 - i] = other;
        }
}

int prove_inclusion(int64_t index, int64_t size, HashFn fn, void *userdata,
                    Hash ret[static PROOF_MAX], unsigned *ret_n) {
        Prover p = { fn, userdata, ret, 0 };
        int64_t from = 0, to = size;
        int r = 0;

        assert(index >= 0 && index < size);
        while (r == 0 && to - from > 1) {
                int64_t middle = from + split(to - from);

                if (index < middle) {
                        r = put_range(&p, middle, to);
                        to = middle;
                } else {
                        r = put_range(&p, from, middle);
                        from = middle;
                }
        }
        reverse(ret, p.n);
        *ret_n = p.n;
        return r;
}

/* RFC 9162, 2.1.3.2. */
bool inclusion_holds(const Hash *leaf, int64_t index, int64_t size, const Hash *proof, unsigned n,
                     const Hash *root) {
        uint64_t fn = (uint64_t) index, sn = (uint64_t) size - 1;
        Hash at = *leaf;

        if (index < 0 || index >= size)
                return false;
        for (unsigned i = 0; i < n; i++) {
                if (sn == 0)
                        return false;
                if ((fn & 1) || fn == sn) {
                        hash_node(&proof[i], &at, &at);
                        while (!(fn & 1) && fn != 0) {
                                fn >>= 1;
                                sn >>= 1;
                        }
                } else {
                        hash_node(&at, &proof[i], &at);
                }
                fn >>= 1;
                sn >>= 1;
        }
        return sn == 0 && hash_equal(&at, root);
}
