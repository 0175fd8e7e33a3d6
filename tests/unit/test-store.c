/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <fcntl.h>

#include "tests/unit/store-fixture.h"

static int setup(void **state) {
        static Fixture f;

        fixture_open(&f);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        fixture_close(*state);
        return 0;
}

static void reopen(Fixture *f) {
        f->store = store_close(f->store);
        assert_int_equal(store_open(f->dir, &f->store), 0);
}

static void a_new_name_is_a_node_and_an_open_link(void **state) {
        Fixture *f = *state;
        StoreNode n = { 0 };
        StoreLink l;
        int64_t node;

        begin(f);
        node = make(f, f->root, "a", TYPE_FILE, 5);
        commit(f);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("a"), &l), 0);
        assert_int_equal(l.node, node);
        assert_int_equal(l.dataset, f->dataset);
        assert_int_equal(l.since, store_last_seq(f->store));
        assert_int_equal(l.until, 0);
        assert_int_equal(l.type, TYPE_FILE);
        assert_int_equal(store_node_get(f->store, node, &n), 0);
        assert_int_equal(n.size, 5);
        assert_int_equal(n.mode, 0644);
        assert_int_equal(n.links, 1);
        assert_true(n.wanted);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("b"), &l), STORE_E_NONE);
        store_node_done(&n);
}

static void what_was_committed_is_there_after_reopening(void **state) {
        Fixture *f = *state;
        StoreLink l;
        int64_t node, seq, next;

        begin(f);
        node = make(f, f->root, "a", TYPE_SYMLINK, 0);
        commit(f);
        seq = store_last_seq(f->store);
        next = store_next_node(f->store);
        begin(f);
        make(f, f->root, "b", TYPE_FILE, 0);
        store_rollback(f->store);
        assert_int_equal(store_last_seq(f->store), seq);
        assert_int_equal(store_next_node(f->store), next);
        reopen(f);
        assert_int_equal(store_last_seq(f->store), seq);
        assert_int_equal(store_next_node(f->store), next);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("a"), &l), 0);
        assert_int_equal(l.node, node);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("b"), &l), STORE_E_NONE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_new_name_is_a_node_and_an_open_link, setup, teardown),
                cmocka_unit_test_setup_teardown(what_was_committed_is_there_after_reopening, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
