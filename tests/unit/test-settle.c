/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/settle-fixture.h"

static void bad_limits_are_refused(void **state) {
        Settle *s = NULL;

        (void) state;
        assert_true(settle_new(0, 1, 1, &s) < 0);
        assert_true(settle_new(1, 0, 1, &s) < 0);
        assert_true(settle_new(1, 1, 0, &s) < 0);
        assert_null(s);
        settle_free(NULL);
}

static void a_change_is_due_after_the_quiet_time(void **state) {
        Fixture *f = *state;
        SettleJob job;

        assert_int_equal(settle_due(f->s, false), INT64_MAX);
        created(f, 1, "a");
        assert_int_equal(settle_due(f->s, false), 1000 + QUIET);
        assert_int_equal(settle_due(f->s, true), INT64_MAX);
        f->now += QUIET - 1;
        none(f);
        f->now++;
        job = next(f, "a");
        assert_int_equal(job.dir, 1);
        assert_int_equal(job.change.count, 1);
        assert_int_equal(job.change.first, 1000 + REAL);
        assert_int_equal(job.change.last, 1000 + REAL);
        assert_false(job.old);
        assert_false(job.flushed);
        none(f);
        assert_int_equal(settle_count(f->s), 1);
        done(f, &job);
        assert_int_equal(settle_count(f->s), 0);
}

static void a_second_notice_postpones_the_change(void **state) {
        Fixture *f = *state;
        SettleJob job;

        created(f, 1, "a");
        f->now += 100;
        written(f, 1, "a");
        f->now += QUIET - 1;
        none(f);
        f->now++;
        job = next(f, "a");
        assert_int_equal(job.change.count, 1);
        assert_int_equal(job.change.first, 1000 + REAL);
        assert_int_equal(job.change.last, 1100 + REAL);
        assert_int_equal(job.change.flags, SETTLE_NEW | SETTLE_CONTENT);
        done(f, &job);
}

static void a_file_that_is_never_quiet_is_due_when_it_is_old(void **state) {
        Fixture *f = *state;
        SettleJob job;

        created(f, 1, "a");
        while (f->now < 1000 + OLDEST - 100) {
                f->now += 100;
                written(f, 1, "a");
                none(f);
        }
        f->now += 99;
        written(f, 1, "a");
        none(f);
        f->now += 1;
        job = next(f, "a");
        assert_true(job.old);
        done(f, &job);
}

static void names_of_two_directories_are_two_changes(void **state) {
        Fixture *f = *state;
        SettleJob one, two;

        created(f, 1, "a");
        created(f, 2, "a");
        f->now += QUIET;
        one = next(f, "a");
        two = next(f, "a");
        assert_int_not_equal(one.dir, two.dir);
        done(f, &one);
        done(f, &two);
}

static void a_directory_is_due_at_once_and_to_walkers_only(void **state) {
        Fixture *f = *state;
        SettleJob job;

        touch_with(f, 1, "d", (SettleNotice) { .flags = SETTLE_NEW | SETTLE_DIRECTORY, .count = 1 });
        assert_int_equal(settle_due(f->s, true), 0);
        assert_int_equal(settle_due(f->s, false), INT64_MAX);
        f->now += OLDEST * 2;
        assert_int_equal(settle_next(f->s, f->now, false, &job), 0);
        assert_int_equal(settle_next(f->s, f->now, true, &job), 1);
        assert_string_equal(job.name, "d");
        settle_done(f->s, &job, false, f->now);
}

static void changes_of_one_directory_can_be_taken_together(void **state) {
        Fixture *f = *state;
        SettleJob job, other;

        created(f, 1, "a");
        created(f, 2, "c");
        created(f, 1, "b");
        f->now += QUIET;
        created(f, 1, "later");
        job = next(f, "a");
        assert_int_equal(settle_next_of(f->s, f->now, 1, &other), 1);
        assert_string_equal(other.name, "b");
        done(f, &other);
        assert_int_equal(settle_next_of(f->s, f->now, 1, &other), 0);
        done(f, &job);
        job = next(f, "c");
        done(f, &job);
        settle_flush(f->s);
        assert_int_equal(settle_next_of(f->s, f->now, 2, &other), 0);
        assert_int_equal(settle_next_of(f->s, f->now, 1, &other), 1);
        assert_string_equal(other.name, "later");
        done(f, &other);
}

static void what_went_before_it_was_reported_is_told_with_its_count(void **state) {
        Fixture *f = *state;
        SettleChange c;

        created(f, 1, "a");
        f->now += 10;
        c = gone(f, 1, "a");
        assert_int_equal(c.count, 1);
        assert_int_equal(c.flags & SETTLE_NEW, SETTLE_NEW);
        assert_int_equal(c.first, 1000 + REAL);
        assert_int_equal(settle_count(f->s), 0);
        c = gone(f, 1, "a");
        assert_int_equal(c.count, 0);
        assert_int_equal(c.first, 0);
        f->now += OLDEST;
        none(f);
}

static void a_name_that_goes_in_flight_makes_the_flight_stale(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        assert_true(settle_fresh(f->s, &job));
        c = gone(f, 1, "a");
        assert_int_equal(c.count, 1);
        assert_false(settle_fresh(f->s, &job));
        settle_done(f->s, &job, true, f->now);          /* again is of no use to a stale one */
        assert_int_equal(settle_count(f->s), 0);
}

static void what_is_noticed_in_flight_gathers_anew(void **state) {
        Fixture *f = *state;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        f->now += 10;
        written(f, 1, "a");
        assert_true(settle_fresh(f->s, &job));
        f->now += QUIET;
        none(f);                        /* one flight at a time */
        done(f, &job);
        job = next(f, "a");
        assert_int_equal(job.change.count, 0);
        assert_int_equal(job.change.first, 1000 + QUIET + 10 + REAL);
        done(f, &job);
}

static void a_change_that_went_and_came_in_flight_is_another_one(void **state) {
        Fixture *f = *state;
        SettleJob job, second;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        (void) gone(f, 1, "a");
        created(f, 1, "a");
        f->now += QUIET;
        none(f);
        assert_false(settle_fresh(f->s, &job));
        done(f, &job);
        second = next(f, "a");
        assert_true(settle_fresh(f->s, &second));
        assert_int_equal(second.change.count, 1);
        done(f, &second);
}

static void a_flight_and_what_gathered_meanwhile_go_together(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        written(f, 1, "a");
        c = gone(f, 1, "a");
        assert_int_equal(c.count, 1);
        assert_int_equal(c.first, 1000 + REAL);
        assert_int_equal(c.flags, SETTLE_NEW | SETTLE_CONTENT);
        done(f, &job);
        assert_int_equal(settle_count(f->s), 0);
}

static void a_change_put_back_is_tried_again_after_the_quiet_time(void **state) {
        Fixture *f = *state;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        f->now += 10;
        settle_done(f->s, &job, true, f->now);
        f->now += QUIET - 1;
        none(f);
        f->now++;
        job = next(f, "a");
        assert_int_equal(job.change.tries, 1);
        assert_int_equal(job.change.count, 1);
        assert_int_equal(job.change.first, 1000 + REAL);
        done(f, &job);
        assert_int_equal(settle_count(f->s), 0);
}

static void a_change_put_back_joins_what_gathered(void **state) {
        Fixture *f = *state;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        f->now += 10;
        touch_with(f, 1, "a", (SettleNotice) { .flags = SETTLE_ARRIVED, .count = 1 });
        settle_done(f->s, &job, true, f->now);
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 2);
        assert_int_equal(job.change.flags, SETTLE_NEW | SETTLE_CONTENT | SETTLE_ARRIVED);
        done(f, &job);
        none(f);
}

/* Renames. */

static void a_new_file_moves_silently(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "tmp");
        f->now += 10;
        assert_int_equal(move(f, 1, "tmp", 2, "file", &c), SETTLE_E_FOLDED);
        assert_false(f->over);
        f->now += QUIET - 1;
        none(f);
        f->now++;
        job = next(f, "file");
        assert_int_equal(job.dir, 2);
        assert_int_equal(job.change.count, 2);
        assert_int_equal(job.change.first, 1000 + REAL);
        assert_int_equal(job.change.flags, SETTLE_NEW | SETTLE_CONTENT | SETTLE_ARRIVED | SETTLE_OVER);
        done(f, &job);
        none(f);
}

static void a_recorded_file_that_moves_is_reported(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        assert_int_equal(move(f, 1, "a", 1, "b", &c), 0);
        assert_int_equal(c.count, 1);
        assert_int_equal(c.first, f->now + REAL);
        f->now += QUIET;
        job = next(f, "b");             /* a look at the new name follows */
        assert_int_equal(job.change.count, 0);
        assert_int_equal(job.change.flags, SETTLE_ARRIVED);
        done(f, &job);
        none(f);
}

static void what_was_pending_for_a_recorded_file_follows_it(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        written(f, 1, "a");
        f->now += 10;
        assert_int_equal(move(f, 1, "a", 1, "b", &c), 0);
        assert_int_equal(c.count, 1);
        assert_int_equal(c.first, 1010 + REAL);         /* of the move, not of the write */
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.flags, SETTLE_CONTENT | SETTLE_ARRIVED);
        assert_int_equal(job.change.first, 1000 + REAL);
        done(f, &job);
        none(f);
}

static void a_new_file_over_a_new_one_leaves_nothing_to_be_gone(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "a");
        created(f, 1, "b");
        assert_int_equal(move(f, 1, "a", 1, "b", &c), SETTLE_E_FOLDED);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.count, 3);
        assert_int_equal(job.change.flags & SETTLE_OVER, 0);
        done(f, &job);
        none(f);
}

static void a_new_file_that_leaves_a_recorded_name_says_so(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "tmp");
        assert_int_equal(move(f, 1, "tmp", 1, "file", &c), SETTLE_E_FOLDED);    /* over what is recorded */
        assert_false(f->over);
        assert_int_equal(move(f, 1, "file", 1, "other", &c), SETTLE_E_FOLDED);
        assert_true(f->over);
        f->now += QUIET;
        job = next(f, "other");
        assert_int_equal(job.change.count, 3);
        done(f, &job);
        none(f);
}

static void a_recorded_file_over_a_new_one_counts_both(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "b");
        f->now += 10;
        assert_int_equal(move(f, 1, "a", 1, "b", &c), 0);
        assert_int_equal(c.count, 2);
        assert_int_equal(c.first, 1000 + REAL);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.count, 0);
        assert_int_equal(job.change.flags & SETTLE_NEW, 0);
        done(f, &job);
        none(f);
}

static void a_flight_whose_name_moves_is_stale_and_goes_along(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(move(f, 1, "a", 1, "b", &c), SETTLE_E_FOLDED);
        assert_false(settle_fresh(f->s, &job));
        done(f, &job);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.count, 2);
        done(f, &job);
        none(f);
}

static void a_directory_that_is_to_be_listed_is_so_where_it_moves(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        touch_with(f, 1, "a", (SettleNotice) { .flags = SETTLE_DIRECTORY | SETTLE_READ, .request = 7 });
        assert_int_equal(settle_move(f->s, 1, BYTES_STR("a"), 2, BYTES_STR("b"), true, moment(f->now), &c,
                                     &f->over), 0);
        assert_int_equal(settle_next(f->s, f->now, true, &job), 1);
        assert_int_equal(job.dir, 2);
        assert_string_equal(job.name, "b");
        assert_int_equal(job.change.request, 7);
        assert_true(job.change.flags & SETTLE_READ);
        done(f, &job);
        none(f);
}

static void a_flight_at_the_new_name_is_stale_too(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        created(f, 1, "b");
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(move(f, 1, "a", 1, "b", &c), 0);
        assert_int_equal(c.count, 2);
        assert_false(settle_fresh(f->s, &job));
        done(f, &job);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.count, 0);
        done(f, &job);
        none(f);
}

/* Exchanges: (recorded, new) x (recorded, new). */

static void two_recorded_names_exchange(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;
        int moved = -1;

        written(f, 1, "a");
        assert_int_equal(swap(f, "a", "b", &c, &moved), 0);
        assert_int_equal(moved, 0);
        assert_int_equal(c.count, 1);
        f->now += QUIET;
        job = next(f, "b");             /* the write goes with the node */
        assert_int_equal(job.change.flags, SETTLE_CONTENT | SETTLE_ARRIVED);
        assert_int_equal(job.change.count, 0);
        done(f, &job);
        job = next(f, "a");
        assert_int_equal(job.change.flags, SETTLE_ARRIVED);
        done(f, &job);
        none(f);
}

static void a_new_name_exchanged_with_a_recorded_one_moves_that(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;
        int moved = -1;

        created(f, 1, "a");
        assert_int_equal(swap(f, "a", "b", &c, &moved), SETTLE_E_FOLDED);
        assert_int_equal(moved, 2);
        assert_int_equal(c.count, 1);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.flags, SETTLE_NEW | SETTLE_CONTENT | SETTLE_ARRIVED | SETTLE_OVER);
        assert_int_equal(job.change.count, 1);
        done(f, &job);
        job = next(f, "a");
        assert_int_equal(job.change.flags & SETTLE_NEW, 0);
        done(f, &job);
}

static void a_recorded_name_exchanged_with_a_new_one_moves(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;
        int moved = -1;

        created(f, 1, "b");
        assert_int_equal(swap(f, "a", "b", &c, &moved), SETTLE_E_FOLDED);
        assert_int_equal(moved, 1);
        f->now += QUIET;
        job = next(f, "b");
        assert_int_equal(job.change.flags & SETTLE_NEW, 0);
        done(f, &job);
        job = next(f, "a");
        assert_int_equal(job.change.flags, SETTLE_NEW | SETTLE_CONTENT | SETTLE_ARRIVED | SETTLE_OVER);
        assert_int_equal(job.change.count, 1);
        done(f, &job);
}

static void an_exchange_of_two_new_names_is_counted_once(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;
        int moved = -1;
        uint32_t count;

        created(f, 1, "a");
        created(f, 1, "b");
        assert_int_equal(swap(f, "a", "b", &c, &moved), SETTLE_E_FOLDED);
        assert_int_equal(moved, 0);
        f->now += QUIET;
        job = next(f, "b");
        count = job.change.count;
        done(f, &job);
        job = next(f, "a");
        assert_int_equal(count + job.change.count, 3);
        done(f, &job);
}

/* Listings. */

static void what_a_listing_finds_first_is_counted_once(void **state) {
        Fixture *f = *state;
        SettleJob job;

        found(f, 1, "a");
        created(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 1);
        done(f, &job);
}

static void what_was_noticed_before_the_listing_is_counted_once(void **state) {
        Fixture *f = *state;
        SettleJob job;

        created(f, 1, "a");
        found(f, 1, "a");
        touch_with(f, 1, "a", (SettleNotice) { .flags = SETTLE_ARRIVED, .count = 1 });    /* another operation */
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 2);
        assert_int_equal(job.change.flags & SETTLE_NEW, SETTLE_NEW);
        done(f, &job);
}

static void a_listing_finds_what_nobody_saw_being_made(void **state) {
        Fixture *f = *state;
        SettleJob job;

        written(f, 1, "a");             /* made before the watch, written after it */
        found(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 1);
        assert_int_equal(job.change.flags & SETTLE_NEW, SETTLE_NEW);
        done(f, &job);
}

static void a_creation_noticed_while_what_was_found_is_looked_at_is_counted_once(void **state) {
        Fixture *f = *state;
        SettleJob job;

        found(f, 1, "a");
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 1);
        created(f, 1, "a");
        done(f, &job);
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 0);
        done(f, &job);
}

static void a_move_into_a_directory_under_listing_is_counted_once(void **state) {
        Fixture *f = *state;
        SettleChange c;
        SettleJob job;

        found(f, 2, "a");
        assert_int_equal(move(f, 1, "a", 2, "a", &c), 0);
        assert_int_equal(c.count, 1);
        f->now += QUIET;
        job = next(f, "a");
        assert_int_equal(job.change.count, 0);
        done(f, &job);
}

static void a_job_put_back_in_another_guise_keeps_its_count(void **state) {
        Fixture *f = *state;
        SettleJob job;

        found(f, 1, "d");
        f->now += QUIET;
        job = next(f, "d");
        touch_with(f, 1, "d", (SettleNotice) { .flags = job.change.flags | SETTLE_DIRECTORY, .count = 1,
                                               .epoch = job.change.epoch, .anew = true });
        done(f, &job);
        assert_int_equal(settle_next(f->s, f->now, true, &job), 1);
        assert_int_equal(job.change.count, 1);
        assert_int_equal(job.change.flags & SETTLE_NEW, SETTLE_NEW);
        settle_done(f->s, &job, false, f->now);
}

static bool is_dir_2(void *userdata, uint32_t dir) {
        (void) userdata;
        return dir == 2;
}

static void note_leaving(void *userdata, uint32_t dir, Bytes name, const SettleChange *change) {
        assert_int_equal(dir, 2);
        snprintf((char *) userdata + strlen(userdata), 32, "%.*s x%u r%u ", (int) name.size, (const char *) name.data,
                 change->count, change->request);
}

static void what_waits_in_a_directory_that_leaves_is_handed_out(void **state) {
        Fixture *f = *state;
        char left[128] = "";
        SettleJob job;

        created(f, 1, "stays");
        created(f, 2, "waits");
        created(f, 2, "flies");
        asked(f, 2, "asked", 7);
        f->now += QUIET;
        job = next(f, "asked");
        settle_done(f->s, &job, true, f->now);          /* once more, later */
        job = next(f, "stays");
        done(f, &job);
        job = next(f, "waits");
        done(f, &job);
        job = next(f, "flies");
        settle_leave(f->s, is_dir_2, note_leaving, left);
        assert_non_null(strstr(left, "flies x1 r0 "));
        assert_non_null(strstr(left, "asked x0 r7 "));
        assert_null(strstr(left, "waits"));
        assert_false(settle_fresh(f->s, &job));
        done(f, &job);
        assert_int_equal(settle_count(f->s), 0);
        assert_true(settle_flushed(f->s, settle_flush(f->s)));
}

static void what_is_asked_for_is_taken_when_it_is_full(void **state) {
        Fixture *f = *state;
        char name[16];
        SettleNotice n = { .dir = 1, .name = BYTES_STR("more"), .origin = ORIGIN_LIVE };

        for (int i = 0; i < MOST; i++) {
                snprintf(name, sizeof(name), "%d", i);
                created(f, 1, name);
        }
        assert_int_equal(settle_touch(f->s, &n, moment(f->now)), SETTLE_E_FULL);
        n.request = 5;
        assert_int_equal(settle_touch(f->s, &n, moment(f->now)), 0);
        assert_int_equal(next(f, "more").change.request, 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bad_limits_are_refused),
                TEST(a_change_is_due_after_the_quiet_time),
                TEST(a_second_notice_postpones_the_change),
                TEST(a_file_that_is_never_quiet_is_due_when_it_is_old),
                TEST(names_of_two_directories_are_two_changes),
                TEST(a_directory_is_due_at_once_and_to_walkers_only),
                TEST(changes_of_one_directory_can_be_taken_together),
                TEST(what_went_before_it_was_reported_is_told_with_its_count),
                TEST(a_name_that_goes_in_flight_makes_the_flight_stale),
                TEST(what_is_noticed_in_flight_gathers_anew),
                TEST(a_change_that_went_and_came_in_flight_is_another_one),
                TEST(a_flight_and_what_gathered_meanwhile_go_together),
                TEST(a_change_put_back_is_tried_again_after_the_quiet_time),
                TEST(a_change_put_back_joins_what_gathered),
                TEST(a_new_file_moves_silently),
                TEST(a_recorded_file_that_moves_is_reported),
                TEST(what_was_pending_for_a_recorded_file_follows_it),
                TEST(a_new_file_over_a_new_one_leaves_nothing_to_be_gone),
                TEST(a_new_file_that_leaves_a_recorded_name_says_so),
                TEST(a_recorded_file_over_a_new_one_counts_both),
                TEST(a_flight_whose_name_moves_is_stale_and_goes_along),
                TEST(a_directory_that_is_to_be_listed_is_so_where_it_moves),
                TEST(a_flight_at_the_new_name_is_stale_too),
                TEST(two_recorded_names_exchange),
                TEST(a_new_name_exchanged_with_a_recorded_one_moves_that),
                TEST(a_recorded_name_exchanged_with_a_new_one_moves),
                TEST(an_exchange_of_two_new_names_is_counted_once),
                TEST(what_a_listing_finds_first_is_counted_once),
                TEST(what_was_noticed_before_the_listing_is_counted_once),
                TEST(a_listing_finds_what_nobody_saw_being_made),
                TEST(a_creation_noticed_while_what_was_found_is_looked_at_is_counted_once),
                TEST(a_move_into_a_directory_under_listing_is_counted_once),
                TEST(a_job_put_back_in_another_guise_keeps_its_count),
                TEST(what_waits_in_a_directory_that_leaves_is_handed_out),
                TEST(what_is_asked_for_is_taken_when_it_is_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
