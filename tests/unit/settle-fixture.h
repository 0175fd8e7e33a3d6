/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_UNIT_SETTLE_FIXTURE_H
#define SCITRACE_TESTS_UNIT_SETTLE_FIXTURE_H

/* settle-fixture: a Settle, a clock that only the test moves, and short words for notices.
 * Include after tests/lib/unit.h. Not every test uses every word. */

#include "daemon/watch/settle.h"
#include "lib/names.h"

#define UNUSED __attribute__((unused))

/* Times are small numbers: quiet for 250, at most 5000 old. Real time is steady time + REAL. */

enum { QUIET = 250, OLDEST = 5000, MOST = 1000, REAL = 1000000 };

typedef struct Fixture {
        Settle *s;
        int64_t now;
        bool over;                      /* of the last move */
} Fixture;

static UNUSED Moment moment(int64_t now) {
        return (Moment) { now + REAL, now };
}

static UNUSED int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_int_equal(settle_new(QUIET, OLDEST, MOST, &f->s), 0);
        f->now = 1000;
        *state = f;
        return 0;
}

static UNUSED int teardown(void **state) {
        Fixture *f = *state;

        settle_free(f->s);
        free(f);
        return 0;
}

static UNUSED void touch_with(Fixture *f, uint32_t dir, const char *name, SettleNotice n) {
        n.dir = dir;
        n.name = BYTES_STR(name);
        if (n.origin == 0)
                n.origin = ORIGIN_LIVE;
        assert_int_equal(settle_touch(f->s, &n, moment(f->now)), 0);
}

static UNUSED void created(Fixture *f, uint32_t dir, const char *name) {
        touch_with(f, dir, name, (SettleNotice) { .flags = SETTLE_NEW | SETTLE_CONTENT, .count = 1 });
}

static UNUSED void found(Fixture *f, uint32_t dir, const char *name) {
        touch_with(f, dir, name,
                   (SettleNotice) { .flags = SETTLE_NEW | SETTLE_CONTENT | SETTLE_FOUND, .count = 1 });
}

static UNUSED void written(Fixture *f, uint32_t dir, const char *name) {
        touch_with(f, dir, name, (SettleNotice) { .flags = SETTLE_CONTENT });
}

static UNUSED void asked(Fixture *f, uint32_t dir, const char *name, uint32_t request) {
        touch_with(f, dir, name, (SettleNotice) { .request = request });
}

static UNUSED SettleChange gone(Fixture *f, uint32_t dir, const char *name) {
        SettleChange c;

        settle_gone(f->s, dir, BYTES_STR(name), &c);
        return c;
}

static UNUSED int move(Fixture *f, uint32_t from, const char *old, uint32_t to, const char *name, SettleChange *ret) {
        return settle_move(f->s, from, BYTES_STR(old), to, BYTES_STR(name), false, moment(f->now), ret,
                           &f->over);
}

static UNUSED SettleJob next(Fixture *f, const char *name) {
        SettleJob job = { 0 };

        assert_int_equal(settle_next(f->s, f->now, false, &job), 1);
        assert_string_equal(job.name, name);
        return job;
}

static UNUSED void none(Fixture *f) {
        SettleJob job;

        assert_int_equal(settle_next(f->s, f->now, false, &job), 0);
        assert_int_equal(settle_next(f->s, f->now, true, &job), 0);
}

static UNUSED void done(Fixture *f, const SettleJob *job) {
        settle_done(f->s, job, false, f->now);
}

static UNUSED int swap(Fixture *f, const char *one, const char *two, SettleChange *ret, int *ret_moved) {
        return settle_swap(f->s, 1, BYTES_STR(one), 1, BYTES_STR(two), moment(f->now), ret, ret_moved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
