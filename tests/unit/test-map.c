/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/intake/map.h"

static void an_empty_map_has_nothing(void **state) {
        Map m = { 0 };
        uint64_t key, value = 5;
        size_t at = 0;

        (void) state;
        assert_false(map_get(&m, 1, &value));
        assert_int_equal(value, 5);
        assert_false(map_remove(&m, 1));
        assert_false(map_next(&m, &at, &key, &value));
        map_clear(&m);
        map_done(&m);
}

static void what_was_put_is_got(void **state) {
        Map m = { 0 };
        uint64_t value = 0;

        (void) state;
        assert_int_equal(map_put(&m, 1, 10), 0);
        assert_int_equal(map_put(&m, UINT64_MAX, 0), 0);
        assert_int_equal(map_put(&m, 1, 11), 0);
        assert_int_equal(m.count, 2);
        assert_true(map_get(&m, 1, &value));
        assert_int_equal(value, 11);
        assert_true(map_get(&m, UINT64_MAX, &value));
        assert_int_equal(value, 0);
        assert_true(map_get(&m, 1, NULL));
        assert_false(map_get(&m, 0, &value));
        assert_true(map_remove(&m, 1));
        assert_false(map_remove(&m, 1));
        assert_int_equal(m.count, 1);
        map_clear(&m);
        assert_false(map_get(&m, UINT64_MAX, &value));
        assert_int_equal(m.count, 0);
        map_done(&m);
}

/* Beside a plain array that says what must be in it. Keys of a small range make clusters, whose ends wrap around. */
static void a_map_is_what_an_array_is(void **state) {
        enum { RANGE = 3000, ROUNDS = 200000 };
        static uint64_t model[RANGE];
        Map m = { 0 };
        unsigned seed = 20261124;
        size_t n = 0;

        (void) state;
        for (int i = 0; i < ROUNDS; i++) {
                uint64_t key, value = 0;

                seed = seed * 1103515245u + 12345u;
                key = 1 + (seed >> 8) % (i < ROUNDS / 2 ? 40 : RANGE - 1);
                if (seed >> 30 == 0) {
                        assert_int_equal(map_remove(&m, key), model[key] != 0);
                        model[key] = 0;
                } else if (seed >> 30 == 1) {
                        model[key] = (uint64_t) i + 1;
                        assert_int_equal(map_put(&m, key, model[key]), 0);
                }
                assert_int_equal(map_get(&m, key, &value), model[key] != 0);
                assert_int_equal(value, model[key]);
        }
        for (uint64_t key = 1; key < RANGE; key++)
                n += model[key] != 0;
        assert_int_equal(m.count, n);
        for (size_t at = 0, seen = 0;;) {
                uint64_t key, value;

                if (!map_next(&m, &at, &key, &value)) {
                        assert_int_equal(seen, n);
                        break;
                }
                assert_int_equal(model[key], value);
                seen++;
        }
        map_done(&m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_map_has_nothing),
                cmocka_unit_test(what_was_put_is_got),
                cmocka_unit_test(a_map_is_what_an_array_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
