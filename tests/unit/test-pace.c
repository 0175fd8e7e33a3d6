/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/watch/pace.h"
#include "lib/util.h"
#include "tests/lib/place.h"

enum { SECOND = 1000000 };

static void slices_end_together_before_a_rest(void **state) {
        const int64_t rest = PACE_WINDOW_USEC - PACE_REST_USEC;

        (void) state;
        assert_int_equal(pace_slice_end(5 * SECOND), 5 * SECOND + PACE_SLICE_USEC);
        assert_int_equal(pace_slice_end(5 * SECOND + rest - 10), 5 * SECOND + rest);
        assert_int_equal(pace_slice_end(5 * SECOND + rest), 5 * SECOND + rest);
        assert_int_equal(pace_slice_end(6 * SECOND - 1), 6 * SECOND - 1);
        assert_int_equal(pace_rest_end(5 * SECOND), 0);
        assert_int_equal(pace_rest_end(5 * SECOND + rest - 1), 0);
        assert_int_equal(pace_rest_end(5 * SECOND + rest), 6 * SECOND);
        assert_int_equal(pace_rest_end(6 * SECOND - 1), 6 * SECOND);
}

static void pressure_of_others_makes_slow_as_long_as_it_lasts(void **state) {
        Pace p = { 0 };
        int64_t now = 100 * SECOND;

        (void) state;
        assert_false(pace_slow(&p, now, 20, 20));
        assert_true(pace_slow(&p, now, 21, 20));
        for (int i = 0; i < 3; i++, now += PACE_SLOW_USEC) {
                assert_true(pace_slow(&p, now, 40, 20));
                assert_true(pace_slow(&p, now + SECOND, 0, 20));        /* not before the average tells */
        }
        assert_false(pace_slow(&p, now, 30, 20));
        assert_false(pace_slow(&p, now + SECOND, 90, 20));      /* that is ours again */
        assert_true(pace_slow(&p, now + PACE_FREE_USEC, 90, 20));
}

static void our_own_pressure_costs_ten_seconds_in_seventy(void **state) {
        Pace p = { 0 };
        int slow = 0;

        (void) state;
        /* alone here: while we read, all of it is pressure; while slow, an eighth */
        for (int64_t s = 1000; s < 1700; s++)
                slow += pace_slow(&p, s * SECOND, p.slow_until ? 100.0 / PACE_SLOW_PART : 95, 20);
        assert_true(slow >= 90 && slow <= 110);
        p = (Pace) { 0 };
        for (int64_t s = 1000; s < 1700; s++)
                assert_false(pace_slow(&p, s * SECOND, 100, 100));      /* no limit */
}

static void pressure_is_read_from_the_kernels_file(void **state) {
        static const char io[] = "some avg10=12.50 avg60=1.00 avg300=0.00 total=5\n"
                                 "full avg10=99.00 avg60=0.00 avg300=0.00 total=3\n";
        Place *p = *state;
        char path[300];
        double real;

        snprintf(path, sizeof(path), "%s/io", p->path);
        assert_true(pace_pressure(path) == 0);
        place_write(p->fd, "io", io, strlen(io));
        assert_true(pace_pressure(path) == 12.5);
        place_write(p->fd, "io", "nonsense", 8);
        assert_true(pace_pressure(path) == 0);

        real = pace_pressure("/proc/pressure/io");
        assert_true(real >= 0 && real <= 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(slices_end_together_before_a_rest),
                cmocka_unit_test(pressure_of_others_makes_slow_as_long_as_it_lasts),
                cmocka_unit_test(our_own_pressure_costs_ten_seconds_in_seventy),
                PLACE_TEST(pressure_is_read_from_the_kernels_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
