/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>

#include "daemon/watch/table.h"

enum { ROOT = 7 };

static int setup(void **state) {
        return table_new((Table **) state);
}

static int teardown(void **state) {
        table_free(*state);
        return 0;
}

static Directory *add(Table *t, int wd, Directory *parent, const char *name) {
        Directory *d = NULL;

        assert_int_equal(table_add(t, wd, ROOT, parent, BYTES_STR(name), (uint64_t) wd + 1000, wd, &d), 0);
        return d;
}

static void move(Table *t, Directory *d, Directory *parent, const char *name) {
        assert_int_equal(table_move(t, d, parent, BYTES_STR(name)), 0);
}

static void assert_path(const Table *t, const Directory *d, const char *expected) {
        CLEANUP(freep) char *path = table_path(t, d);

        assert_non_null(path);
        assert_string_equal(path, expected);
}

static void a_directory_is_found_by_wd_and_by_name(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");

        assert_ptr_equal(table_find(t, 3), b);
        assert_null(table_find(t, 4));
        assert_ptr_equal(table_child(t, root, BYTES_STR("a")), a);
        assert_ptr_equal(table_child(t, a, BYTES_STR("b")), b);
        assert_null(table_child(t, root, BYTES_STR("b")));
        assert_int_equal(table_count(t), 3);
        assert_path(t, root, "");
        assert_path(t, a, "a");
        assert_path(t, b, "a/b");
        assert_ptr_equal(table_root(t, b), root);
        assert_true(table_attached(t, b));
        assert_true(table_attached(t, root));
        table_free(NULL);
}

static void a_wd_stands_for_one_directory(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *d = NULL;

        assert_int_equal(table_add(t, 1, ROOT, root, BYTES_STR("a"), 1, 1, &d), -EEXIST);
        assert_null(d);
        assert_int_equal(table_count(t), 1);
}

static void a_moved_directory_takes_what_is_below_along(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");
        Directory *c = add(t, 4, b, "c"), *x = add(t, 5, root, "x");

        b->listed = b->listing = true;
        b->removals = 5;
        b->walk = 6;
        b->clear_mark = 7;
        move(t, b, x, "a longer name than before");
        assert_ptr_equal(table_find(t, 3), b);
        assert_null(table_child(t, a, BYTES_STR("b")));
        assert_int_equal(a->first_child, 0);
        assert_ptr_equal(table_child(t, x, BYTES_STR("a longer name than before")), b);
        assert_ptr_equal(table_child(t, b, BYTES_STR("c")), c);
        assert_path(t, c, "x/a longer name than before/c");
        assert_true(b->listed && b->listing);
        assert_int_equal(b->removals, 5);
        assert_int_equal(b->walk, 6);
        assert_int_equal(b->clear_mark, 7);
        assert_int_equal(b->inode, 1003);
        assert_int_equal(b->btime, 3);
        assert_int_equal(table_count(t), 5);
}

static void a_directory_in_the_way_is_detached(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, root, "b");
        Directory *below = add(t, 4, b, "below");

        move(t, a, root, "b");
        assert_ptr_equal(table_child(t, root, BYTES_STR("b")), a);
        assert_ptr_equal(table_find(t, 3), b);
        assert_false(table_attached(t, b));
        assert_false(table_attached(t, below));
        (void) add(t, 5, root, "b");
        assert_false(table_attached(t, a));
        move(t, b, root, "c");      /* it turns up again */
        assert_true(table_attached(t, below));
        assert_path(t, below, "c/below");
}

static void the_root_of_a_moved_subtree_follows(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b"), *other = NULL;

        assert_int_equal(table_add(t, 9, ROOT + 1, NULL, BYTES_STR(""), 1, 1, &other), 0);
        move(t, a, other, "a");
        assert_int_equal(a->root, ROOT + 1);
        assert_int_equal(b->root, ROOT + 1);
        assert_ptr_equal(table_root(t, b), other);
}

static void a_directory_does_not_move_below_itself(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");

        assert_int_equal(table_move(t, a, b, BYTES_STR("a")), -ELOOP);
        assert_int_equal(table_move(t, a, a, BYTES_STR("a")), -ELOOP);
        assert_path(t, b, "a/b");
}

static void what_is_removed_is_forgotten_and_its_children_are_detached(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");

        table_remove(t, a);
        assert_null(table_find(t, 2));
        assert_null(table_child(t, root, BYTES_STR("a")));
        assert_ptr_equal(table_find(t, 3), b);
        assert_false(table_attached(t, b));
        assert_int_equal(table_count(t), 2);
}

/* The kernel counts watches up to INT_MAX, and then from 1 again: a number that is free means another
 * directory then. */
static void a_wd_is_used_again_after_the_largest(void **state) {
        Table *t = *state;
        Directory *root = add(t, INT32_MAX - 1, NULL, ""), *old = add(t, INT32_MAX, root, "old");
        Directory *below = add(t, 1, old, "below"), *new;

        assert_path(t, below, "old/below");
        table_remove(t, old);
        new = add(t, INT32_MAX, root, "new");
        assert_ptr_equal(table_find(t, INT32_MAX), new);
        assert_path(t, new, "new");
        assert_null(table_child(t, root, BYTES_STR("old")));
        assert_null(table_child(t, new, BYTES_STR("below")));
        assert_false(table_attached(t, below));
        table_remove(t, below);
        below = add(t, 1, new, "below");
        assert_path(t, table_find(t, 1), "new/below");
        assert_int_equal(table_count(t), 3);
}

static void siblings_stay_when_one_is_detached(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, root, "b");
        Directory *c = add(t, 4, root, "c");

        table_detach(t, b);
        table_detach(t, b);             /* twice does no harm */
        assert_ptr_equal(table_child(t, root, BYTES_STR("a")), a);
        assert_ptr_equal(table_child(t, root, BYTES_STR("c")), c);
        table_detach(t, c);
        table_detach(t, a);
        assert_int_equal(root->first_child, 0);
}

typedef struct Seen {
        Table *t;
        int wds[64];
        size_t n;
} Seen;

static void note(void *userdata, Directory *d) {
        Seen *seen = userdata;

        seen->wds[seen->n++] = d->wd;
}

static void note_and_remove(void *userdata, Directory *d) {
        Seen *seen = userdata;

        note(seen, d);
        assert_int_equal(d->first_child, 0);
        table_remove(seen->t, d);
}

static void a_subtree_is_visited_children_first_and_may_be_removed(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");
        Seen seen = { .t = t };

        (void) add(t, 4, b, "c");
        (void) add(t, 5, a, "d");
        (void) add(t, 6, root, "sibling");
        table_subtree(t, a, note, &seen);
        assert_int_equal(seen.n, 4);
        assert_int_equal(seen.wds[3], 2);
        for (size_t i = 0, three = 0; i < seen.n; i++) {
                three |= seen.wds[i] == 3;
                assert_false(three && seen.wds[i] == 4);
        }
        seen.n = 0;
        table_subtree(t, a, note_and_remove, &seen);
        assert_int_equal(seen.n, 4);
        assert_int_equal(table_count(t), 2);
        seen.n = 0;
        table_subtree(t, root, note_and_remove, &seen);
        assert_int_equal(seen.n, 2);
        assert_int_equal(table_count(t), 0);
}

static void a_tree_may_be_very_deep_and_very_wide(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *d = root;
        CLEANUP(freep) char *path = NULL;
        char name[16];

        for (int i = 2; i < 20000; i++)
                d = add(t, i, d, "deep");
        path = table_path(t, d);
        assert_int_equal(strlen(path), 19998 * 5 - 1);
        for (int i = 20000; i < 40000; i++) {
                snprintf(name, sizeof(name), "%d", i);
                d = add(t, i, root, name);
        }
        assert_ptr_equal(table_child(t, root, BYTES_STR("20001")), table_find(t, 20001));
        table_remove(t, root);
        assert_int_equal(table_count(t), 39998);
        assert_false(table_attached(t, table_find(t, 30000)));
}

static void a_name_is_any_bytes(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *d = NULL;
        uint8_t longest[255];

        memset(longest, 0xff, sizeof(longest));
        assert_int_equal(table_add(t, 2, ROOT, root, BYTES(longest, sizeof(longest)), 1, 1, &d), 0);
        assert_ptr_equal(table_child(t, root, BYTES(longest, sizeof(longest))), d);
        assert_null(table_child(t, root, BYTES(longest, 254)));
        assert_true(bytes_equal(table_name(d), BYTES(longest, sizeof(longest))));
        move(t, d, root, "short");
        assert_path(t, d, "short");
        move(t, d, root, "thirteen byte");
        assert_path(t, d, "thirteen byte");
        move(t, d, root, "fourteen bytes");
        assert_path(t, d, "fourteen bytes");
        assert_ptr_equal(table_child(t, root, BYTES_STR("fourteen bytes")), d);
}

static void a_moved_directory_is_no_longer_armed_or_leaving(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a");

        a->armed = 3;
        a->leaving = true;
        move(t, a, root, "b");
        assert_int_equal(a->armed, 0);
        assert_false(a->leaving);
}

static bool was_place(Directory *const places[2000], const Directory *d) {
        for (size_t i = 0; i < 2000; i += 2)
                if (places[i] == d)
                        return true;
        return false;
}

/* In as many chunks as it takes; what was removed leaves room, and nothing of itself. */
static void the_place_of_a_removed_directory_serves_the_next(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *kept[2000], *d;
        char name[32];

        for (int i = 0; i < 2000; i++) {
                snprintf(name, sizeof(name), "%d of a long name", i);
                kept[i] = add(t, i + 2, root, name);
                kept[i]->stale = true;
        }
        for (int i = 0; i < 2000; i += 2)
                table_remove(t, kept[i]);
        for (int i = 0; i < 2000; i += 2) {
                d = add(t, 5000 + i, kept[1], "n");
                assert_true(was_place(kept, d));
                assert_false(d->stale || d->first_child != 0);
                table_detach(t, d);
        }
        for (int i = 1; i < 2000; i += 2) {
                snprintf(name, sizeof(name), "%d of a long name", i);
                assert_ptr_equal(table_find(t, i + 2), kept[i]);
                assert_ptr_equal(table_child(t, root, BYTES_STR(name)), kept[i]);
                assert_path(t, kept[i], name);
        }
        assert_int_equal(table_count(t), 2001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_directory_is_found_by_wd_and_by_name),
                TEST(a_wd_stands_for_one_directory),
                TEST(a_moved_directory_takes_what_is_below_along),
                TEST(a_directory_in_the_way_is_detached),
                TEST(the_root_of_a_moved_subtree_follows),
                TEST(a_directory_does_not_move_below_itself),
                TEST(what_is_removed_is_forgotten_and_its_children_are_detached),
                TEST(a_wd_is_used_again_after_the_largest),
                TEST(siblings_stay_when_one_is_detached),
                TEST(a_subtree_is_visited_children_first_and_may_be_removed),
                TEST(a_tree_may_be_very_deep_and_very_wide),
                TEST(a_name_is_any_bytes),
                TEST(a_moved_directory_is_no_longer_armed_or_leaving),
                TEST(the_place_of_a_removed_directory_serves_the_next),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
