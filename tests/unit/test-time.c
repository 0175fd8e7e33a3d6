/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "lib/time.h"

/* 2026-11-24 15:04:05.5 in Berlin, 14:04:05.5 UTC. */
#define NOW (INT64_C(1795529045) * 1000000 + 500000)

static void assert_moment(const char *text, const char *local) {
        char buf[TIME_TEXT_MAX];
        int64_t moment = 0;

        assert_int_equal(time_parse(text, NOW, &moment), 0);
        assert_string_equal(time_format(moment, buf), local);
}

static void days_have_names(void **state) {
        assert_moment("today", "2026-11-24 00:00:00");
        assert_moment("yesterday", "2026-11-23 00:00:00");
        assert_moment("tomorrow", "2026-11-25 00:00:00");
        assert_moment("Yesterday 23:15", "2026-11-23 23:15:00");
        assert_moment("now", "2026-11-24 15:04:05");
}

static void the_past_is_told_in_units(void **state) {
        assert_moment("2 hours ago", "2026-11-24 13:04:05");
        assert_moment("-2h", "2026-11-24 13:04:05");
        assert_moment("2h", "2026-11-24 13:04:05");
        assert_moment("1h 30min ago", "2026-11-24 13:34:05");
        assert_moment("-1h30min", "2026-11-24 13:34:05");
        assert_moment(" 1 day ago ", "2026-11-23 15:04:05");
        assert_moment("2 weeks ago", "2026-11-10 15:04:05");
        assert_moment("5s ago", "2026-11-24 15:04:00");
        assert_moment("+10min", "2026-11-24 15:14:05");
}

static void dates_and_clocks_are_local(void **state) {
        assert_moment("2026-11-24", "2026-11-24 00:00:00");
        assert_moment("2026-11-24 10:00", "2026-11-24 10:00:00");
        assert_moment("2026-11-24T10:00:05", "2026-11-24 10:00:05");
        assert_moment("10:00", "2026-11-24 10:00:00");
        assert_moment("9:30:15", "2026-11-24 09:30:15");
        assert_moment("2024-02-29", "2024-02-29 00:00:00");
        assert_moment("2026-07-01 12:00", "2026-07-01 12:00:00");
        assert_moment("2026-07-01T12:00Z", "2026-07-01 14:00:00");
        assert_moment("2026-11-24 10:00 UTC", "2026-11-24 11:00:00");
}

/* What log shows is what -S takes, on both sides of the start of summer time. */
static void what_is_shown_can_be_typed_again(void **state) {
        char buf[TIME_TEXT_MAX];

        for (int64_t t = INT64_C(1774400000); t < INT64_C(1774800000); t += 1799) {
                int64_t back = 0;

                assert_int_equal(time_parse(time_format(t * 1000000, buf), NOW, &back), 0);
                assert_int_equal(back, t * 1000000);
        }
}

static void the_epoch_is_exact(void **state) {
        int64_t moment = 0;

        assert_int_equal(time_parse("@1795529045", NOW, &moment), 0);
        assert_int_equal(moment, NOW - 500000);
        assert_int_equal(time_parse("@1795529045.5", NOW, &moment), 0);
        assert_int_equal(moment, NOW);
        assert_int_equal(time_parse("@0.000001", NOW, &moment), 0);
        assert_int_equal(moment, 1);
        assert_int_equal(time_parse("2026-11-24 15:04:05.5000009", NOW, &moment), 0);
        assert_int_equal(moment, NOW);
}

static void what_nobody_can_mean_is_unknown(void **state) {
        static const char *const bad[] = {
                "",
                " ",
                "soon",
                "nowish",
                "now now",
                "yesterdayx",
                "2026-13-01",
                "2026-02-30",
                "2025-02-29",
                "1900-02-29",
                "2026-1-1",
                "26-11-24",
                "24:00",
                "10:60",
                "10:0",
                "10:",
                "10",
                "2026-11-24T",
                "2026-11-2410:00",
                "2026-11-24 10",
                "2 fortnights ago",
                "2",
                "-",
                "+",
                "-h",
                "2h later",
                "@",
                "@x",
                "@1.",
                "@1 2",
                "99999999999999999999 h",
                "999999999999999999 years ago",
                "yesterday 2h",
                "10:00 CET",
                "Z",
                "-2h ago x",
        };
        int64_t moment = 42;

        for (size_t i = 0; i < ELEMENTS(bad); i++)
                if (time_parse(bad[i], NOW, &moment) != TIME_E_UNKNOWN)
                        fail_msg("\"%s\" was taken for a moment", bad[i]);
        assert_int_equal(moment, 42);
}

static void spans_have_two_units(void **state) {
        char buf[TIME_TEXT_MAX];

        assert_string_equal(time_format_span(0, buf), "0s");
        assert_string_equal(time_format_span(17, buf), "17us");
        assert_string_equal(time_format_span(250000, buf), "250ms");
        assert_string_equal(time_format_span(12900000, buf), "12s");
        assert_string_equal(time_format_span(INT64_C(312) * 1000000, buf), "5min 12s");
        assert_string_equal(time_format_span(INT64_C(7200) * 1000000, buf), "2h");
        assert_string_equal(time_format_span(INT64_C(277200) * 1000000, buf), "3d 5h");
        assert_string_equal(time_format_span(INT64_C(-312) * 1000000, buf), "-5min 12s");
        assert_string_equal(time_format_span(INT64_MIN, buf), "-106751991d 4h");
}

static void moments_before_the_epoch_are_shown(void **state) {
        char buf[TIME_TEXT_MAX];

        assert_string_equal(time_format(-1, buf), "1970-01-01 00:59:59");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(days_have_names),
                cmocka_unit_test(the_past_is_told_in_units),
                cmocka_unit_test(dates_and_clocks_are_local),
                cmocka_unit_test(what_is_shown_can_be_typed_again),
                cmocka_unit_test(the_epoch_is_exact),
                cmocka_unit_test(what_nobody_can_mean_is_unknown),
                cmocka_unit_test(spans_have_two_units),
                cmocka_unit_test(moments_before_the_epoch_are_shown),
        };

        /* A zone of its own rule, so that no zone files are needed. */
        setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
        tzset();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
