/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>

#include "daemon/store/tile.h"
#include "tests/lib/merkle.h"

/* The test vectors of certificate-transparency's merkle_tree_test.cc, on which RFC 6962's implementations agree. */
static const char *const inputs[] = { "",         "00",       "10",
                                      "2021",     "3031",     "40414243",
                                      "5051525354555657", "606162636465666768696a6b6c6d6e6f" };
static const char *const roots[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

enum { LEAVES = 70000 };                /* a full tile of level 1, and some */


static Hash from_hex(const char *hex) {
        Hash h;

        for (unsigned i = 0; i < HASH_SIZE; i++)
                assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &h.bytes[i]), 1);
        return h;
}

static Hash leaf_of_hex(const char *hex) {
        uint8_t bytes[32];
        size_t n = strlen(hex) / 2;
        Hash h;

        for (size_t i = 0; i < n; i++)
                assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &bytes[1 + i]), 1);
        hash_leaf(bytes, n + 1, &h);
        return h;
}

static Hash leaf_number(int64_t i) {
        uint8_t bytes[1 + sizeof(i)];
        Hash h;

        memcpy(bytes + 1, &i, sizeof(i));
        hash_leaf(bytes, sizeof(bytes), &h);
        return h;
}

static int no_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        return 0;
}

static int naive_subtree(void *userdata, unsigned height, int64_t index, Hash *ret) {
        const Hash *leaves = userdata;

        *ret = naive_root(leaves + ((size_t) index << height), (size_t) 1 << height);
        return 0;
}

static void roots_are_those_of_the_reference(void **state) {
        Tree tree = { 0 };
        Hash root, expected;

        for (unsigned n = 0; n < 9; n++) {
                tree_root(&tree, &root);
                expected = from_hex(roots[n]);
                assert_memory_equal(&root, &expected, sizeof(root));
                if (n < 8) {
                        Hash leaf = leaf_of_hex(inputs[n]);

                        assert_int_equal(tree_add(&tree, &leaf, no_tile, NULL), 0);
                }
        }
        tree_done(&tree);
}

typedef struct Tiles {
        const Hash *leaves;
        int64_t full[3];                /* of each level */
} Tiles;

static int check_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        Tiles *t = userdata;
        size_t width = level == 0 ? 1 : TILE_WIDTH;

        assert_true(level < 2);
        assert_int_equal(index, t->full[level]++);
        assert_int_equal(data.size, TILE_SIZE);
        for (size_t i = 0; i < TILE_WIDTH; i += 51) {
                Hash h = naive_root(t->leaves + ((size_t) index * TILE_WIDTH + i) * width, width);

                assert_memory_equal(data.data + i * HASH_SIZE, &h, HASH_SIZE);
        }
        return 0;
}

static void tiles_are_given_when_they_are_full(void **state) {
        Hash *leaves = calloc(LEAVES, sizeof(*leaves)), root, expected;
        Tiles tiles = { .leaves = leaves };
        Tree tree = { 0 };

        for (int64_t i = 0; i < LEAVES; i++)
                leaves[i] = leaf_number(i);
        for (int64_t i = 0; i < LEAVES; i++) {
                assert_int_equal(tree_add(&tree, &leaves[i], check_tile, &tiles), 0);
                if (i % 9973 != 0 && i != 65535 && i != LEAVES - 1)
                        continue;
                tree_root(&tree, &root);
                expected = naive_root(leaves, (size_t) i + 1);
                assert_memory_equal(&root, &expected, sizeof(root));
        }
        assert_int_equal(tiles.full[0], LEAVES / TILE_WIDTH);
        assert_int_equal(tiles.full[1], 1);
        tree_done(&tree);
        free(leaves);
}

static void every_inclusion_proof_holds_and_no_other(void **state) {
        Hash leaves[40], proof[PROOF_MAX], root, other;
        unsigned n;

        for (int64_t i = 0; i < 40; i++)
                leaves[i] = leaf_number(i);
        for (int64_t size = 1; size <= 40; size++) {
                root = naive_root(leaves, (size_t) size);
                for (int64_t i = 0; i < size; i++) {
                        assert_int_equal(prove_inclusion(i, size, naive_subtree, leaves, proof, &n), 0);
                        assert_true(inclusion_holds(&leaves[i], i, size, proof, n, &root));
                        assert_false(inclusion_holds(&leaves[i], i + 1, size, proof, n, &root) &&
                                     !hash_equal(&leaves[i], &leaves[i + 1]));
                        assert_false(inclusion_holds(&leaves[i], i, size, proof, n + 1, &root));
                        if (n > 0)
                                assert_false(inclusion_holds(&leaves[i], i, size, proof, n - 1, &root));
                        other = leaves[i];
                        other.bytes[i % HASH_SIZE] ^= 1;
                        assert_false(inclusion_holds(&other, i, size, proof, n, &root));
                        for (unsigned k = 0; k < n; k++) {
                                proof[k].bytes[size % HASH_SIZE] ^= 0x80;
                                assert_false(inclusion_holds(&leaves[i], i, size, proof, n, &root));
                                proof[k].bytes[size % HASH_SIZE] ^= 0x80;
                        }
                }
        }
        assert_false(inclusion_holds(&leaves[0], -1, 3, proof, 0, &root));
        assert_false(inclusion_holds(&leaves[0], 3, 3, proof, 0, &root));
}

static void an_edge_that_is_loaded_goes_on_as_if_it_had_grown(void **state) {
        Tree grown = { 0 }, loaded = { 0 };
        Hash a, b;
        const Hash *edge;

        for (int64_t i = 0; i < 1000; i++) {
                Hash leaf = leaf_number(i);

                assert_int_equal(tree_add(&grown, &leaf, no_tile, NULL), 0);
        }
        loaded.size = grown.size;
        for (unsigned level = 0; level < 2; level++) {
                unsigned n = tree_edge(&grown, level, &edge);

                assert_int_equal(tree_load_edge(&loaded, level, edge, n), 0);
        }
        for (int64_t i = 1000; i < 2000; i++) {
                Hash leaf = leaf_number(i);

                assert_int_equal(tree_add(&grown, &leaf, no_tile, NULL), 0);
                assert_int_equal(tree_add(&loaded, &leaf, no_tile, NULL), 0);
        }
        tree_root(&grown, &a);
        tree_root(&loaded, &b);
        assert_memory_equal(&a, &b, sizeof(a));
        tree_done(&grown);
        tree_done(&loaded);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(roots_are_those_of_the_reference),
                cmocka_unit_test(tiles_are_given_when_they_are_full),
                cmocka_unit_test(every_inclusion_proof_holds_and_no_other),
                cmocka_unit_test(an_edge_that_is_loaded_goes_on_as_if_it_had_grown),
        };

        return cmocka_run_group_tests_name("tile", tests, NULL, NULL);
}
