/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/intake/trust.h"

#define HOUR (3600 * (int64_t) USEC_PER_SEC)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define NOW (50 * YEAR)

static void time_that_passes_is_believed(void **state) {
        Trust t;

        (void) state;
        trust_start(&t, 0, 0, NOW);
        assert_int_equal(trust_time(&t), NOW);
        trust_pass(&t, NOW + 30 * DAY, 30 * DAY);
        assert_int_equal(trust_time(&t), NOW + 30 * DAY);
        trust_pass(&t, NOW + 37 * DAY, 30 * 1000);      /* it was set, by no more than a week */
        assert_int_equal(trust_time(&t), NOW + 37 * DAY);
        assert_int_equal(t.off, 0);
}

static void a_clock_far_ahead_counts_when_it_has_stood_for_a_day(void **state) {
        Trust t;

        (void) state;
        trust_start(&t, NOW, 0, NOW + 10 * YEAR);
        assert_int_equal(trust_time(&t), NOW);
        assert_int_equal(t.off, 10 * YEAR);
        trust_pass(&t, NOW + 10 * YEAR + 23 * HOUR, 23 * HOUR);
        assert_int_equal(trust_time(&t), NOW + 23 * HOUR);
        trust_pass(&t, NOW + 10 * YEAR + DAY, HOUR);
        assert_int_equal(trust_time(&t), NOW + 10 * YEAR + DAY);
        assert_int_equal(t.off, 0);
}

static void a_day_may_have_several_runs(void **state) {
        Trust t;

        (void) state;
        trust_start(&t, NOW, 20 * HOUR, NOW + 30 * DAY);
        trust_pass(&t, NOW + 30 * DAY + 3 * HOUR, 3 * HOUR);
        assert_int_equal(trust_time(&t), NOW + 3 * HOUR);
        trust_pass(&t, NOW + 30 * DAY + 4 * HOUR, HOUR);
        assert_int_equal(trust_time(&t), NOW + 30 * DAY + 4 * HOUR);
}

static void each_clock_that_is_off_stands_for_itself(void **state) {
        Trust t;

        (void) state;
        trust_start(&t, NOW, 0, NOW + 10 * YEAR);
        trust_pass(&t, NOW + 10 * YEAR + 23 * HOUR, 23 * HOUR);
        trust_pass(&t, NOW + 5 * YEAR + 25 * HOUR, 2 * HOUR);           /* set once more */
        assert_int_equal(trust_time(&t), NOW + 25 * HOUR);
        trust_pass(&t, NOW + 5 * YEAR + 48 * HOUR, 23 * HOUR);
        assert_int_equal(trust_time(&t), NOW + 48 * HOUR);
        trust_pass(&t, NOW + 49 * HOUR, HOUR);                          /* right again */
        assert_int_equal(t.off, 0);
        trust_pass(&t, NOW + 5 * YEAR + 50 * HOUR, HOUR);               /* and wrong again */
        trust_pass(&t, NOW + 5 * YEAR + 73 * HOUR, 23 * HOUR);
        assert_int_equal(trust_time(&t), NOW + 73 * HOUR);
}

/* As of a machine that starts in 1970, until a time server is reached. */
static void a_clock_far_behind_makes_younger_at_once_and_is_forgotten_when_right(void **state) {
        Trust t;

        (void) state;
        trust_start(&t, NOW, 0, 60 * (int64_t) USEC_PER_SEC);
        assert_int_equal(trust_time(&t), 60 * (int64_t) USEC_PER_SEC);
        trust_pass(&t, NOW + 5 * DAY, 60 * (int64_t) USEC_PER_SEC);
        assert_int_equal(trust_time(&t), NOW + 5 * DAY);
        assert_int_equal(t.off, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(time_that_passes_is_believed),
                cmocka_unit_test(a_clock_far_ahead_counts_when_it_has_stood_for_a_day),
                cmocka_unit_test(a_day_may_have_several_runs),
                cmocka_unit_test(each_clock_that_is_off_stands_for_itself),
                cmocka_unit_test(a_clock_far_behind_makes_younger_at_once_and_is_forgotten_when_right),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
