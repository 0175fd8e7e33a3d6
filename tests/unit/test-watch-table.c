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

static Directory *move(Table *t, Directory *d, Directory *parent, const char *name) {
        assert_int_equal(table_move(t, d, parent, BYTES_STR(name), &d), 0);
        return d;
}

static void assert_path(const Directory *d, const char *expected) {
        CLEANUP(freep) char *path = table_path(d);

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
        assert_path(root, "");
        assert_path(a, "a");
        assert_path(b, "a/b");
        assert_ptr_equal(table_root(b), root);
        assert_true(table_attached(b));
        assert_true(table_attached(root));
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
        b = move(t, b, x, "a longer name than before");
        assert_ptr_equal(table_find(t, 3), b);
        assert_null(table_child(t, a, BYTES_STR("b")));
        assert_null(a->first_child);
        assert_ptr_equal(table_child(t, x, BYTES_STR("a longer name than before")), b);
        assert_ptr_equal(table_child(t, b, BYTES_STR("c")), c);
        assert_path(c, "x/a longer name than before/c");
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

        a = move(t, a, root, "b");
        assert_ptr_equal(table_child(t, root, BYTES_STR("b")), a);
        assert_ptr_equal(table_find(t, 3), b);
        assert_false(table_attached(b));
        assert_false(table_attached(below));
        (void) add(t, 5, root, "b");
        assert_false(table_attached(a));
        b = move(t, b, root, "c");      /* it turns up again */
        assert_true(table_attached(below));
        assert_path(below, "c/below");
}

static void the_root_of_a_moved_subtree_follows(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b"), *other = NULL;

        assert_int_equal(table_add(t, 9, ROOT + 1, NULL, BYTES_STR(""), 1, 1, &other), 0);
        a = move(t, a, other, "a");
        assert_int_equal(a->root, ROOT + 1);
        assert_int_equal(b->root, ROOT + 1);
        assert_ptr_equal(table_root(b), other);
}

static void a_directory_does_not_move_below_itself(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b"), *ret = NULL;

        assert_int_equal(table_move(t, a, b, BYTES_STR("a"), &ret), -ELOOP);
        assert_int_equal(table_move(t, a, a, BYTES_STR("a"), &ret), -ELOOP);
        assert_null(ret);
        assert_path(b, "a/b");
}

static void what_is_removed_is_forgotten_and_its_children_are_detached(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");

        table_remove(t, a);
        assert_null(table_find(t, 2));
        assert_null(table_child(t, root, BYTES_STR("a")));
        assert_ptr_equal(table_find(t, 3), b);
        assert_false(table_attached(b));
        assert_int_equal(table_count(t), 2);
}

/* The kernel counts watches up to INT_MAX, and then from 1 again: a number that is free means another
 * directory then. */
static void a_wd_is_used_again_after_the_largest(void **state) {
        Table *t = *state;
        Directory *root = add(t, INT32_MAX - 1, NULL, ""), *old = add(t, INT32_MAX, root, "old");
        Directory *below = add(t, 1, old, "below"), *new;

        assert_path(below, "old/below");
        table_remove(t, old);
        new = add(t, INT32_MAX, root, "new");
        assert_ptr_equal(table_find(t, INT32_MAX), new);
        assert_path(new, "new");
        assert_null(table_child(t, root, BYTES_STR("old")));
        assert_null(table_child(t, new, BYTES_STR("below")));
        assert_false(table_attached(below));
        table_remove(t, below);
        below = add(t, 1, new, "below");
        assert_path(table_find(t, 1), "new/below");
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
        assert_null(root->first_child);
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
        assert_null(d->first_child);
        table_remove(seen->t, d);
}

static void a_subtree_is_visited_children_first_and_may_be_removed(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *a = add(t, 2, root, "a"), *b = add(t, 3, a, "b");
        Seen seen = { .t = t };

        (void) add(t, 4, b, "c");
        (void) add(t, 5, a, "d");
        (void) add(t, 6, root, "sibling");
        table_subtree(a, note, &seen);
        assert_int_equal(seen.n, 4);
        assert_int_equal(seen.wds[3], 2);
        for (size_t i = 0, three = 0; i < seen.n; i++) {
                three |= seen.wds[i] == 3;
                assert_false(three && seen.wds[i] == 4);
        }
        seen.n = 0;
        table_subtree(a, note_and_remove, &seen);
        assert_int_equal(seen.n, 4);
        assert_int_equal(table_count(t), 2);
        seen.n = 0;
        table_subtree(root, note_and_remove, &seen);
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
        path = table_path(d);
        assert_int_equal(strlen(path), 19998 * 5 - 1);
        for (int i = 20000; i < 40000; i++) {
                snprintf(name, sizeof(name), "%d", i);
                d = add(t, i, root, name);
        }
        assert_ptr_equal(table_child(t, root, BYTES_STR("20001")), table_find(t, 20001));
        table_remove(t, root);
        assert_int_equal(table_count(t), 39998);
        assert_false(table_attached(table_find(t, 30000)));
}

static void a_name_is_any_bytes(void **state) {
        Table *t = *state;
        Directory *root = add(t, 1, NULL, ""), *d = NULL;
        uint8_t longest[255];

        memset(longest, 0xff, sizeof(longest));
        assert_int_equal(table_add(t, 2, ROOT, root, BYTES(longest, sizeof(longest)), 1, 1, &d), 0);
        assert_ptr_equal(table_child(t, root, BYTES(longest, sizeof(longest))), d);
        assert_null(table_child(t, root, BYTES(longest, 254)));
        assert_int_equal(d->name[255], 0);
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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
