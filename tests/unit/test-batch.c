/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <sys/inotify.h>

#include "daemon/watch/batch.h"

/* A queue from which a batch is filled, as the watching thread does it: BATCH_READ at a time. */
static Batch batch;

static void put(uint32_t mask, const char *name, uint32_t cookie) {
        Notice *n = &batch.notices[batch.count++];

        assert_true(batch.count <= BATCH_READ);
        *n = (Notice) { .wd = 1, .mask = mask, .cookie = cookie, .name_size = (uint8_t) strlen(name) };
        strcpy(n->name, name);
}

static void fill(size_t up_to) {
        while (batch.count < up_to)
                put(IN_MODIFY, "other", 0);
}

static int setup(void **state) {
        (void) state;
        batch.count = batch.at = 0;
        return 0;
}

static void take(size_t end) {
        assert_true(end <= batch.count);
        batch.at = end;
        batch_taken(&batch);
}

static void what_is_read_is_taken_but_for_the_last_few_and_those_when_there_is_no_more(void **state) {
        (void) state;
        fill(BATCH_READ);
        assert_int_equal(batch_end(&batch, false), BATCH_READ - BATCH_HELD);
        take(BATCH_READ - BATCH_HELD);
        assert_int_equal(batch.count, BATCH_HELD);
        assert_int_equal(batch_end(&batch, false), 0);
        assert_int_equal(batch_end(&batch, true), BATCH_HELD);
}

static void an_exchange_across_two_reads_is_one(void **state) {
        Notice old, new;

        (void) state;
        fill(BATCH_READ - 21);
        put(IN_MOVED_FROM, "a", 7);
        put(IN_MOVED_TO, "b", 7);
        fill(BATCH_READ);               /* others' notices came between */
        take(batch_end(&batch, false));
        put(IN_MOVED_FROM, "b", 8);
        put(IN_MOVED_TO, "a", 8);
        for (batch.at = 0; batch.notices[batch.at].mask != IN_MOVED_FROM;)
                batch.at++;
        old = batch.notices[batch.at];
        new = *batch_other_half(&batch, batch.at++);
        assert_string_equal(new.name, "b");
        batch.at++;
        assert_true(batch_exchange(&batch, &old, &new, 0));
        assert_true(notice_spent(&batch.notices[batch.count - 1]));
        assert_true(notice_spent(&batch.notices[batch.count - 2]));
}

static void a_rename_after_which_something_else_happens_to_a_name_is_no_exchange(void **state) {
        Notice old, new;

        (void) state;
        put(IN_MOVED_FROM, "a", 7);
        put(IN_MOVED_TO, "b", 7);
        put(IN_CREATE, "a", 0);
        put(IN_MOVED_FROM, "b", 8);
        put(IN_MOVED_TO, "a", 8);
        old = batch.notices[0];
        new = *batch_other_half(&batch, 0);
        batch.at = 2;
        assert_false(batch_exchange(&batch, &old, &new, 0));
        assert_false(notice_spent(&batch.notices[3]));
}

/* a -> b, of the watched directory 2, and back, which tells the directory `wd`. */
static bool is_exchange(int wd, int known) {
        Notice old, new;

        batch.count = 0;
        put(IN_MOVED_FROM | IN_ISDIR, "a", 7);
        put(IN_MOVED_TO | IN_ISDIR, "b", 7);
        put(IN_MOVE_SELF, "", 0);
        batch.notices[2].wd = 2;
        put(IN_MOVED_FROM | IN_ISDIR, "b", 8);
        put(IN_MOVED_TO | IN_ISDIR, "a", 8);
        put(IN_MODIFY, "other", 0);     /* of another processor */
        put(IN_MOVE_SELF, "", 0);
        batch.notices[6].wd = wd;
        put(IN_MOVED_FROM | IN_ISDIR, "b", 9);
        put(IN_MOVED_TO | IN_ISDIR, "c", 9);
        put(IN_MOVE_SELF, "", 0);
        batch.notices[9].wd = 2;
        old = batch.notices[0];
        new = batch.notices[1];
        batch.at = 2;
        return batch_exchange(&batch, &old, &new, known);
}

static void a_directory_that_went_there_and_back_is_not_exchanged(void **state) {
        (void) state;
        assert_false(is_exchange(2, 2));
        assert_false(notice_spent(&batch.notices[3]));
        assert_true(is_exchange(3, 2));
        assert_true(notice_spent(&batch.notices[3]));
        assert_true(is_exchange(2, 0)); /* not watched: the looks tell */
}

static void a_half_that_was_not_read_is_none(void **state) {
        (void) state;
        put(IN_MOVED_FROM, "a", 7);
        put(IN_MOVED_TO, "b", 8);
        assert_null(batch_other_half(&batch, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(
                        what_is_read_is_taken_but_for_the_last_few_and_those_when_there_is_no_more, setup),
                cmocka_unit_test_setup(an_exchange_across_two_reads_is_one, setup),
                cmocka_unit_test_setup(a_rename_after_which_something_else_happens_to_a_name_is_no_exchange,
                                       setup),
                cmocka_unit_test_setup(a_directory_that_went_there_and_back_is_not_exchanged, setup),
                cmocka_unit_test_setup(a_half_that_was_not_read_is_none, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
