/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "daemon/watch/state.h"

/* A watcher on a tree with one file, read frame by frame. */

enum { ROOT = 1, WALK = 1, WAIT_MSEC = 60000 };

typedef struct Fixture {
        char dir[64], file[80];
        Watch *watch;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        snprintf(f->dir, sizeof(f->dir), "/tmp/scitrace-state-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->file, sizeof(f->file), "%s/f", f->dir);
        assert_int_equal(close(open(f->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)), 0);
        assert_int_equal(watch_new(1, &f->watch), 0);
        assert_int_equal(watch_start(f->watch), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        assert_null(watch_free(f->watch));
        unlink(f->file);
        rmdir(f->dir);
        free(f);
        return 0;
}

static bool is_walk_end(const FeedMessage *m) {
        return m->type == FEED_WALK_END;
}

static bool is_look(const FeedMessage *m) {
        return m->type == FEED_STATE && bytes_equal(m->STATE.name, BYTES_STR("f"));
}

/* Reads what the watcher says until that comes; what takes longer than a minute never does. */
static void await(Fixture *f, bool (*is_it)(const FeedMessage *m)) {
        struct pollfd pfd = { .fd = watch_fd(f->watch), .events = POLLIN };

        for (bool found = false; !found;) {
                size_t size = 0, offset = 0;
                CLEANUP(freep) uint8_t *frame = watch_take(f->watch, &size);
                FeedMessage m;

                if (!frame)
                        assert_int_equal(poll(&pfd, 1, WAIT_MSEC), 1);
                while (frame && feed_next(BYTES(frame, size), &offset, &m) > 0)
                        found |= is_it(&m);
        }
}

/* All that a first look leads to is over when its mark has passed and nothing is pending. */
static void await_rest(Fixture *f) {
        bool rests = false;

        while (!rests) {
                pthread_mutex_lock(&f->watch->lock);
                rests = f->watch->mark_seen == f->watch->mark_wanted && settle_count(f->watch->settle) == 0;
                pthread_mutex_unlock(&f->watch->lock);
                poll(NULL, 0, 10);
        }
}

static void progress_for_which_there_is_no_room_is_no_loss(void **state) {
        FeedMessage m = { .type = FEED_PROGRESS, .PROGRESS = { .request = 1, .reading = BYTES("reading", 7) } };
        Fixture *f = *state;
        uint64_t overflows;

        pthread_mutex_lock(&f->watch->lock);
        while (outbox_add(f->watch->outbox, &m, false) != OUTBOX_E_FULL)
                ;
        overflows = f->watch->overflows;
        state_emit(f->watch, &m, false);
        assert_int_equal(f->watch->overflows, overflows);
        pthread_mutex_unlock(&f->watch->lock);
        assert_int_equal(watch_tick(f->watch), 0);
}

static void an_answer_that_is_lost_ends_the_watcher(void **state) {
        Fixture *f = *state;

        pthread_mutex_lock(&f->watch->lock);
        state_broken(f->watch, -ENOMEM);
        pthread_mutex_unlock(&f->watch->lock);
        assert_int_equal(watch_tick(f->watch), -ENOMEM);
}

/* Those who look wait for no time when nothing is pending, and those who list may be busy for long. */
static void a_file_is_looked_at_while_a_directory_waits_to_be_listed(void **state) {
        FeedMessage m = { .type = FEED_WATCH, .WATCH = { .root = ROOT, .walk = WALK, .origin = ORIGIN_SCAN } };
        SettleNotice directory = { .name = BYTES_STR("d"), .flags = SETTLE_DIRECTORY | SETTLE_NEW, .count = 1 };
        SettleNotice file = { .name = BYTES_STR("f"), .flags = SETTLE_CONTENT };
        Fixture *f = *state;

        m.WATCH.path = BYTES_STR(f->dir);
        assert_int_equal(watch_request(f->watch, &m), 0);
        await(f, is_walk_end);
        await_rest(f);
        pthread_mutex_lock(&f->watch->lock);
        directory.dir = file.dir = (uint32_t) f->watch->roots[0].wd;
        assert_int_equal(settle_touch(f->watch->settle, &directory, moment_now()), 0);  /* nobody is told */
        state_touch(f->watch, &file, moment_now());
        pthread_mutex_unlock(&f->watch->lock);
        await(f, is_look);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(progress_for_which_there_is_no_room_is_no_loss, setup, teardown),
                cmocka_unit_test_setup_teardown(an_answer_that_is_lost_ends_the_watcher, setup, teardown),
                cmocka_unit_test_setup_teardown(a_file_is_looked_at_while_a_directory_waits_to_be_listed, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
