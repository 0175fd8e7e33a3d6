/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/watch/storm.h"

enum { SECOND = 1000000, START = 1000 * SECOND };

static bool begins(Storm *s, int64_t now, int64_t since) {
        int64_t from = 0;
        bool full;

        if (!storm_begin(s, now, &from, &full))
                return false;
        assert_int_equal(from, since);
        return true;
}

static void a_first_loss_is_swept_for_at_once_and_its_stretch_ends_after_a_while(void **state) {
        Storm s = { 0 };

        (void) state;
        assert_int_equal(storm_due(&s), INT64_MAX);
        assert_true(storm_lost(&s, 7, false, START));
        assert_true(storm_unswept(&s));
        assert_int_equal(storm_due(&s), START);
        assert_false(storm_over(&s, START));
        assert_true(begins(&s, START, 7));
        assert_false(begins(&s, START, 7));
        assert_true(storm_unswept(&s));
        assert_int_equal(storm_due(&s), INT64_MAX);     /* while it runs */
        storm_end(&s, false, START + 10);
        assert_false(storm_unswept(&s));
        assert_false(storm_over(&s, START + STORM_LINGER_USEC));
        assert_int_equal(storm_due(&s), START + 10 + STORM_LINGER_USEC);
        assert_true(storm_over(&s, START + 10 + STORM_LINGER_USEC));
        assert_false(storm_over(&s, START + 10 + STORM_LINGER_USEC));
        assert_int_equal(storm_due(&s), INT64_MAX);
}

static void losses_before_a_sweep_are_one_from_the_earliest(void **state) {
        Storm s = { 0 };

        (void) state;
        assert_true(storm_lost(&s, 20, false, START));
        assert_false(storm_lost(&s, 10, false, START + 1));
        assert_false(storm_lost(&s, 30, false, START + 2));
        assert_true(begins(&s, START + 3, 10));
}

static void a_loss_during_a_sweep_wants_one_more_from_its_own_moment(void **state) {
        Storm s = { 0 };

        (void) state;
        assert_true(storm_lost(&s, 10, false, START));
        assert_true(begins(&s, START, 10));
        for (int i = 0; i < 100; i++)
                assert_false(storm_lost(&s, 20 + i, false, START + i));
        storm_end(&s, false, START + 100);
        assert_false(storm_over(&s, START + 100 * SECOND));
        assert_false(begins(&s, START + 99 + STORM_PAUSE_USEC, 20));
        assert_true(begins(&s, START + 100 + STORM_PAUSE_USEC, 20));
        storm_end(&s, false, START + 2 * SECOND);
        assert_false(storm_unswept(&s));
}

static void a_storm_is_one_stretch_of_few_sweeps(void **state) {
        Storm s = { 0 };
        int sweeps = 0, stretches = 0;

        (void) state;
        for (int64_t now = START; now < START + 600 * (int64_t) SECOND; now += SECOND / 10) {
                int64_t since;
                bool full;

                stretches += storm_lost(&s, now, false, now);
                if (storm_begin(&s, now, &since, &full)) {
                        sweeps++;
                        storm_end(&s, false, now);
                }
                assert_false(storm_over(&s, now));
        }
        assert_int_equal(stretches, 1);
        assert_in_range(sweeps, 10, 16);        /* at 0, 1, 3, 7, 15, 31, 63 s, then each minute */
}

static void the_pauses_are_forgotten_after_quiet_times(void **state) {
        Storm s = { 0 };
        int64_t now = START;

        (void) state;
        for (int i = 0; i < 5; i++, now = storm_due(&s)) {
                storm_lost(&s, i, false, now);
                now = storm_due(&s);
                assert_true(begins(&s, now, i));
                storm_end(&s, false, now);
        }
        assert_true(storm_over(&s, now + STORM_LINGER_USEC));
        assert_int_equal(s.pause, 16 * STORM_PAUSE_USEC);
        now = s.heard + 2 * s.pause;
        assert_true(storm_lost(&s, 1, false, now));     /* not quiet for long enough */
        assert_int_equal(storm_due(&s), now + 16 * STORM_PAUSE_USEC);
        now = storm_due(&s);
        assert_true(begins(&s, now, 1));
        storm_end(&s, false, now);
        now = s.heard + 2 * s.pause + 1;
        (void) storm_over(&s, now);
        storm_lost(&s, 2, false, now);
        assert_true(begins(&s, now, 2));
}

static void what_no_time_tells_stays_so_until_a_sweep_of_all(void **state) {
        Storm s = { 0 };
        int64_t since;
        bool full;

        (void) state;
        storm_lost(&s, 10, true, START);
        storm_lost(&s, 20, false, START);
        assert_true(storm_begin(&s, START, &since, &full));
        assert_true(full);
        storm_end(&s, true, START);             /* it could not be done */
        assert_true(storm_unswept(&s));
        assert_true(storm_begin(&s, storm_due(&s), &since, &full));
        assert_true(full);
        storm_end(&s, false, START + 5 * SECOND);
        storm_lost(&s, 30, false, START + 5 * SECOND);
        assert_true(storm_begin(&s, storm_due(&s), &since, &full));
        assert_false(full);
        assert_int_equal(since, 30);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_first_loss_is_swept_for_at_once_and_its_stretch_ends_after_a_while),
                cmocka_unit_test(losses_before_a_sweep_are_one_from_the_earliest),
                cmocka_unit_test(a_loss_during_a_sweep_wants_one_more_from_its_own_moment),
                cmocka_unit_test(a_storm_is_one_stretch_of_few_sweeps),
                cmocka_unit_test(the_pauses_are_forgotten_after_quiet_times),
                cmocka_unit_test(what_no_time_tells_stays_so_until_a_sweep_of_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
