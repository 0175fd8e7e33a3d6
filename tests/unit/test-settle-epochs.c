/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/settle-fixture.h"

/* Requests. */

static void a_request_is_due_at_once(void **state) {
        Fixture *f = *state;
        SettleJob job;

        asked(f, 1, "a", 7);
        assert_int_equal(settle_due(f->s, false), 0);
        job = next(f, "a");
        assert_int_equal(job.change.request, 7);
        done(f, &job);
        assert_int_equal(settle_displaced(f->s), 0);
}

static void a_second_request_displaces_the_first(void **state) {
        Fixture *f = *state;
        SettleJob job;

        asked(f, 1, "a", 7);
        asked(f, 1, "a", 8);
        assert_int_equal(settle_displaced(f->s), 7);
        assert_int_equal(settle_displaced(f->s), 0);
        job = next(f, "a");
        assert_int_equal(job.change.request, 8);
        done(f, &job);
}

static void a_request_in_flight_put_back_displaces_or_stays(void **state) {
        Fixture *f = *state;
        SettleJob job;

        asked(f, 1, "a", 7);
        job = next(f, "a");
        asked(f, 1, "a", 8);
        assert_int_equal(settle_displaced(f->s), 0);    /* each has its own look */
        settle_done(f->s, &job, true, f->now);
        assert_int_equal(settle_displaced(f->s) + 0u, 8);
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.request, 7);
        done(f, &job);
}

static void of_two_requests_on_a_name_that_goes_none_is_lost(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        asked(f, 1, "a", 7);
        job = next(f, "a");
        asked(f, 1, "a", 8);
        c = gone(f, 1, "a");
        assert_int_equal(c.request, 8);
        assert_int_equal(settle_displaced(f->s), 7);
        done(f, &job);
}

static void requests_of_both_names_of_a_move_are_answered(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        asked(f, 1, "a", 7);
        asked(f, 1, "b", 8);
        assert_int_equal(move(f, 1, "a", 1, "b", &c), 0);
        assert_int_equal(settle_displaced(f->s), 8);
        job = next(f, "b");
        assert_int_equal(job.change.request, 7);
        done(f, &job);

        asked(f, 1, "d", 9);
        assert_int_equal(move(f, 1, "c", 1, "d", &c), 0);
        assert_int_equal(settle_displaced(f->s), 0);
        job = next(f, "d");
        assert_int_equal(job.change.request, 9);
        done(f, &job);
}

/* Limits. */

static void a_full_table_takes_nothing_more(void **state) {
        Fixture *f = *state;
        SettleNotice n = { .dir = 1, .name = BYTES("x", 1), .count = 1 };
        char name[16];
        SettleChange c;
        int moved;

        for (int i = 0; i < MOST; i++) {
                snprintf(name, sizeof(name), "%d", i);
                created(f, 1, name);
        }
        assert_int_equal(settle_touch(f->s, &n, moment(f->now)), SETTLE_E_FULL);
        assert_int_equal(settle_count(f->s), MOST);
        written(f, 1, "17");            /* joins what is there */
        assert_int_equal(move(f, 1, "17", 1, "y", &c), SETTLE_E_FOLDED);   /* leaves room for itself */
        assert_int_equal(settle_count(f->s), MOST);
        assert_int_equal(move(f, 1, "r", 1, "s", &c), SETTLE_E_FULL);
        assert_int_equal(c.count, 1);
        assert_int_equal(swap(f, "r", "s", &c, &moved), SETTLE_E_FULL);
        assert_int_equal(c.count, 1);
        assert_int_equal(settle_count(f->s), MOST);
        assert_int_equal(gone(f, 1, "18").count, 1);
        assert_int_equal(settle_touch(f->s, &n, moment(f->now)), 0);
}

static void the_oldest_is_known_whatever_it_waits_for(void **state) {
        Fixture *f = *state;
        SettleJob job;

        assert_int_equal(settle_oldest(f->s), 0);
        created(f, 1, "a");
        f->now += 10;
        asked(f, 1, "b", 3);
        assert_int_equal(settle_oldest(f->s), 1000 + REAL);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(settle_oldest(f->s), 1000 + REAL);
        done(f, &job);
        job = next(f, "a");
        assert_int_equal(settle_oldest(f->s), 1000 + REAL);     /* in flight */
        done(f, &job);
        assert_int_equal(settle_oldest(f->s), 0);
}

/* Epochs. */

static void a_flush_makes_all_due_and_ends_when_all_is_reported(void **state) {
        Fixture *f = *state;
        SettleJob a, b;
        uint32_t epoch;

        created(f, 1, "a");
        created(f, 1, "b");
        epoch = settle_flush(f->s);
        assert_false(settle_flushed(f->s, epoch));
        created(f, 1, "later");
        a = next(f, "a");
        assert_true(a.flushed);
        b = next(f, "b");
        none(f);                        /* what came later waits for its quiet */
        done(f, &a);
        assert_false(settle_flushed(f->s, epoch));
        done(f, &b);
        assert_true(settle_flushed(f->s, epoch));
}

static void a_flush_of_nothing_is_over_at_once(void **state) {
        Fixture *f = *state;
        uint32_t first = settle_flush(f->s), second;

        assert_true(settle_flushed(f->s, first));
        created(f, 1, "a");
        assert_true(settle_flushed(f->s, first));
        second = settle_flush(f->s);
        assert_false(settle_flushed(f->s, second));
        assert_int_equal(gone(f, 1, "a").count, 1);
        assert_true(settle_flushed(f->s, second));
}

static void a_notice_does_not_take_a_change_out_of_its_epoch(void **state) {
        Fixture *f = *state;
        uint32_t epoch;
        SettleJob job;

        created(f, 1, "a");
        epoch = settle_flush(f->s);
        written(f, 1, "a");
        assert_false(settle_flushed(f->s, epoch));
        job = next(f, "a");             /* still at once */
        done(f, &job);
        assert_true(settle_flushed(f->s, epoch));
}

static void a_move_does_not_take_a_change_out_of_its_epoch(void **state) {
        Fixture *f = *state;
        SettleChange c;
        uint32_t epoch;
        SettleJob job;
        int moved;

        created(f, 1, "a");
        epoch = settle_flush(f->s);
        assert_int_equal(move(f, 1, "a", 1, "b", &c), SETTLE_E_FOLDED);
        assert_false(settle_flushed(f->s, epoch));
        assert_int_equal(swap(f, "b", "c", &c, &moved), SETTLE_E_FOLDED);
        assert_false(settle_flushed(f->s, epoch));
        job = next(f, "c");
        assert_int_equal(move(f, 1, "c", 1, "d", &c), SETTLE_E_FOLDED);  /* in flight */
        done(f, &job);
        assert_false(settle_flushed(f->s, epoch));
        job = next(f, "d");
        done(f, &job);
        assert_true(settle_flushed(f->s, epoch));
}

static void a_change_put_back_stays_in_its_epoch(void **state) {
        Fixture *f = *state;
        uint32_t epoch;
        SettleJob job;

        created(f, 1, "a");
        epoch = settle_flush(f->s);
        job = next(f, "a");
        settle_done(f->s, &job, true, f->now);
        assert_false(settle_flushed(f->s, epoch));
        none(f);
        f->now += QUIET;
        job = next(f, "a");
        done(f, &job);
        assert_true(settle_flushed(f->s, epoch));
}

static void what_a_listing_finds_belongs_to_the_epoch_of_its_directory(void **state) {
        Fixture *f = *state;
        uint32_t epoch;
        SettleJob dir, job;

        touch_with(f, 1, "d", (SettleNotice) { .flags = SETTLE_NEW | SETTLE_DIRECTORY, .count = 1 });
        epoch = settle_flush(f->s);
        assert_int_equal(settle_next(f->s, f->now, true, &dir), 1);
        touch_with(f, 2, "x", (SettleNotice) { .flags = SETTLE_NEW | SETTLE_FOUND, .count = 1,
                                               .epoch = dir.change.epoch });
        settle_done(f->s, &dir, false, f->now);
        assert_false(settle_flushed(f->s, epoch));
        job = next(f, "x");             /* at once */
        done(f, &job);
        assert_true(settle_flushed(f->s, epoch));
        /* An epoch that is over cannot be joined any more. */
        touch_with(f, 2, "y", (SettleNotice) { .flags = SETTLE_NEW, .count = 1, .epoch = dir.change.epoch });
        assert_true(settle_flushed(f->s, epoch));
        none(f);
}

static void a_flight_without_a_fresh_name_still_holds_its_epoch(void **state) {
        Fixture *f = *state;
        uint32_t epoch;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        epoch = settle_flush(f->s);
        (void) gone(f, 1, "a");
        assert_false(settle_flushed(f->s, epoch));
        done(f, &job);
        assert_true(settle_flushed(f->s, epoch));
}

static void more_flushes_than_epochs_all_end(void **state) {
        Fixture *f = *state;
        uint32_t epochs[200];
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        for (size_t i = 0; i < ELEMENTS(epochs); i++) {
                epochs[i] = settle_flush(f->s);
                assert_false(settle_flushed(f->s, epochs[i]));
        }
        created(f, 1, "b");
        done(f, &job);
        f->now += QUIET;
        job = next(f, "b");
        done(f, &job);
        for (size_t i = 0; i < ELEMENTS(epochs); i++)
                assert_true(settle_flushed(f->s, epochs[i]));
}

/* ... also when nothing happens any more. */
static void the_last_of_many_flushes_ends_with_the_change_that_it_waited_for(void **state) {
        Fixture *f = *state;
        uint32_t last = 0;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        for (size_t i = 0; i < 200; i++)
                last = settle_flush(f->s);
        done(f, &job);
        assert_true(settle_flushed(f->s, last));
}

static void many_changes_are_all_found_again(void **state) {
        Fixture *f = *state;
        Settle *s = NULL;
        SettleJob job;
        size_t n = 0;

        assert_int_equal(settle_new(QUIET, OLDEST, 100000, &s), 0);
        for (uint32_t i = 0; i < 50000; i++) {
                char name[16];

                snprintf(name, sizeof(name), "%u", i);
                assert_int_equal(settle_touch(s, &(SettleNotice) { .dir = i % 7, .name = BYTES_STR(name) },
                                              moment(f->now)), 0);
        }
        assert_int_equal(settle_count(s), 50000);
        for (; settle_next(s, f->now + QUIET, false, &job); n++)
                settle_done(s, &job, false, f->now);
        assert_int_equal(n, 50000);
        assert_int_equal(settle_count(s), 0);
        settle_free(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_request_is_due_at_once),
                TEST(a_second_request_displaces_the_first),
                TEST(a_request_in_flight_put_back_displaces_or_stays),
                TEST(of_two_requests_on_a_name_that_goes_none_is_lost),
                TEST(requests_of_both_names_of_a_move_are_answered),
                TEST(a_full_table_takes_nothing_more),
                TEST(the_oldest_is_known_whatever_it_waits_for),
                TEST(a_flush_makes_all_due_and_ends_when_all_is_reported),
                TEST(a_flush_of_nothing_is_over_at_once),
                TEST(a_notice_does_not_take_a_change_out_of_its_epoch),
                TEST(a_move_does_not_take_a_change_out_of_its_epoch),
                TEST(a_change_put_back_stays_in_its_epoch),
                TEST(what_a_listing_finds_belongs_to_the_epoch_of_its_directory),
                TEST(a_flight_without_a_fresh_name_still_holds_its_epoch),
                TEST(more_flushes_than_epochs_all_end),
                TEST(the_last_of_many_flushes_ends_with_the_change_that_it_waited_for),
                TEST(many_changes_are_all_found_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
