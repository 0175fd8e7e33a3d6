/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>

#include "daemon/watch/outbox.h"

static FeedMessage counts(uint64_t n) {
        return (FeedMessage) { .type = FEED_COUNTS, .COUNTS = { .pending = n } };
}

/* Takes all frames; each message must be the next number. Returns how many there were. */
static uint64_t drain(Outbox *o, uint64_t from) {
        uint64_t n = 0;
        uint8_t *frame;
        size_t size;

        while ((frame = outbox_take(o, &size))) {
                size_t offset = 0;
                FeedMessage m;

                assert_true(size > 0 && size <= FEED_FRAME_MAX);
                while (feed_next(BYTES(frame, size), &offset, &m) == 1)
                        assert_int_equal(m.COUNTS.pending, from + n++);
                assert_int_equal(offset, size);
                free(frame);
        }
        return n;
}

static void messages_come_out_in_the_order_in_which_they_went_in(void **state) {
        Outbox *o = NULL;
        size_t size;

        (void) state;
        assert_int_equal(outbox_new(&o), 0);
        assert_null(outbox_take(o, &size));
        for (uint64_t i = 0; i < 10000; i++) {
                FeedMessage m = counts(i);

                assert_int_equal(outbox_add(o, &m, false), 0);
        }
        assert_true(outbox_frames(o) > 1);
        assert_int_equal(drain(o, 0), 10000);
        assert_int_equal(outbox_frames(o), 0);
        outbox_free(o);
        outbox_free(NULL);
}

static void a_frame_that_was_put_back_comes_first(void **state) {
        Outbox *o = NULL;
        FeedMessage m;
        uint8_t *frame;
        size_t size;

        (void) state;
        assert_int_equal(outbox_new(&o), 0);
        m = counts(0);
        assert_int_equal(outbox_add(o, &m, false), 0);
        frame = outbox_take(o, &size);
        outbox_return(o, frame, size);          /* alone */
        m = counts(1);
        assert_int_equal(outbox_add(o, &m, false), 0);
        frame = outbox_take(o, &size);
        m = counts(2);
        assert_int_equal(outbox_add(o, &m, false), 0);
        outbox_return(o, frame, size);          /* before another one */
        m = counts(3);
        assert_int_equal(outbox_add(o, &m, false), 0);
        assert_int_equal(drain(o, 0), 4);
        outbox_free(o);
}

static void a_full_outbox_takes_answers_only(void **state) {
        Outbox *o = NULL;
        FeedMessage m;
        uint64_t n = 0;
        int r;

        (void) state;
        assert_int_equal(outbox_new(&o), 0);
        while (m = counts(n), (r = outbox_add(o, &m, false)) == 0)
                n++;
        assert_int_equal(r, OUTBOX_E_FULL);
        assert_int_equal(outbox_frames(o), OUTBOX_MAX);
        assert_int_equal(outbox_add(o, &m, true), 0);
        assert_int_equal(outbox_frames(o), OUTBOX_MAX + 1);
        assert_int_equal(drain(o, 0), n + 1);
        assert_int_equal(outbox_add(o, &m, false), 0);
        outbox_free(o);
}

static void what_fits_into_no_frame_is_refused(void **state) {
        static const uint8_t large[FEED_BODY_MAX + 1];
        FeedMessage m = { .type = FEED_WATCH, .WATCH = { .path = BYTES(large, sizeof(large)) } };
        Outbox *o = NULL;

        (void) state;
        assert_int_equal(outbox_new(&o), 0);
        assert_int_equal(outbox_add(o, &m, false), -EMSGSIZE);
        assert_int_equal(drain(o, 0), 0);
        outbox_free(o);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_come_out_in_the_order_in_which_they_went_in),
                cmocka_unit_test(a_frame_that_was_put_back_comes_first),
                cmocka_unit_test(a_full_outbox_takes_answers_only),
                cmocka_unit_test(what_fits_into_no_frame_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
