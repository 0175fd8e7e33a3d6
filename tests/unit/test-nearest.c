/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "ctl/nearest.h"

static const char *const words[] = {
        "status", "datasets", "add", "remove", "scan",  "coverage", "files",
        "show",   "history",  "log", "settle", "store", NULL,
};

static void assert_nearest(const char *typed, const char *wanted) {
        Nearest n;

        nearest_init(&n, typed);
        for (int i = 0; words[i]; i++)
                nearest_offer(&n, words[i]);
        if (!wanted)
                assert_null(nearest_word(&n));
        else
                assert_string_equal(nearest_word(&n), wanted);
}

static void slips_are_counted(void **state) {
        assert_int_equal(nearest_distance("log", "log", 2), 0);
        assert_int_equal(nearest_distance("lg", "log", 2), 1);          /* left out */
        assert_int_equal(nearest_distance("loog", "log", 2), 1);        /* doubled */
        assert_int_equal(nearest_distance("lpg", "log", 2), 1);         /* changed */
        assert_int_equal(nearest_distance("lgo", "log", 2), 1);         /* swapped */
        assert_int_equal(nearest_distance("stauts", "status", 2), 1);
        assert_int_equal(nearest_distance("histroyy", "history", 2), 2);
        assert_int_equal(nearest_distance("", "ab", 2), 2);
        assert_int_equal(nearest_distance("abcdef", "ghijkl", 2), 3);   /* the limit and one */
        assert_int_equal(nearest_distance("a", "abcdef", 2), 3);
}

static void a_misspelt_word_finds_the_right_one(void **state) {
        assert_nearest("statsu", "status");
        assert_nearest("dataset", "datasets");
        assert_nearest("setle", "settle");
        assert_nearest("hsitory", "history");
        assert_nearest("fils", "files");
}

static void the_beginning_of_a_word_is_near(void **state) {
        assert_nearest("cov", "coverage");
        assert_nearest("hist", "history");
}

static void what_could_be_two_words_is_neither(void **state) {
        assert_nearest("s", NULL);
        assert_nearest("st", NULL);
}

static void what_is_far_from_all_is_none(void **state) {
        assert_nearest("frobnicate", NULL);
        assert_nearest("xx", NULL);
        assert_nearest("", NULL);
        assert_nearest("zz0123456789012345678901234567890123456789012345678901234567890123456789", NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(slips_are_counted),
                cmocka_unit_test(a_misspelt_word_finds_the_right_one),
                cmocka_unit_test(the_beginning_of_a_word_is_near),
                cmocka_unit_test(what_could_be_two_words_is_neither),
                cmocka_unit_test(what_is_far_from_all_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
