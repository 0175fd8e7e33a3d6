/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/intake-fixture.h"

/* Gaps, requests, settling: what intake asks for, and what it waits for. */

static void put_gap(Fixture *f, uint32_t root, uint32_t dir, const char *name, Cause cause) {
        put(f, (FeedMessage) { .type = FEED_GAP, .GAP = { .root = root, .dir = dir, .cause = cause, .from = f->now,
                                                          .name = name ? BYTES_STR(name) : BYTES_NONE } });
}

static void put_failed(Fixture *f, uint32_t request, uint32_t error) {
        put(f, (FeedMessage) { .type = FEED_FAILED, .FAILED = { .request = request, .error = error } });
}

static void put_listed(Fixture *f, uint32_t dir, const char *name, uint64_t inode, int64_t ctime) {
        FeedMessage m = state_of(f, dir, name, inode, 0);

        m.STATE.flags = FEED_FLAG_LISTED;
        m.STATE.origin = ORIGIN_RECONCILE;
        m.STATE.count = 0;
        m.STATE.ctime += ctime;
        put(f, m);
}

static void put_digest(Fixture *f, const Asked *a, uint64_t inode, uint8_t digest) {
        FeedMessage m = state_of(f, a->m.DIGEST.dir, a->name, inode, digest);

        m.STATE.request = a->m.DIGEST.request;
        m.STATE.origin = a->m.DIGEST.origin;
        m.STATE.count = 0;
        put(f, m);
}

static void put_barrier_done(Fixture *f, uint64_t barrier) {
        put(f, (FeedMessage) { .type = FEED_BARRIER_DONE, .BARRIER_DONE = { .barrier = barrier, .time = f->now } });
}

static void settle(Fixture *f, Answer *a) {
        assert_int_equal(intake_settle(f->intake, "data", INT64_MAX, on_answer, a), 0);
}

/* Something that is nothing, so that the store thread comes by. */
static void nudge(Fixture *f) {
        put(f, (FeedMessage) { .type = FEED_COUNTS });
        pass(f);
}

static void put_reconciled(Fixture *f, Cause cause) {
        put(f, (FeedMessage) { .type = FEED_RECONCILED, .RECONCILED = { .root = f->token, .cause = cause } });
}

static void an_overflow_opens_a_gap_that_the_watchers_own_sweep_closes(void **state) {
        Fixture *f = *state;
        Asked check, digest;

        with_dataset(f);
        put_file(f, ROOT_DIR, "gone", 10, 'g');
        put_file(f, ROOT_DIR, "stays", 11, 's');
        put_gap(f, f->token, 0, NULL, CAUSE_OVERFLOW);
        pass(f);
        expect_events(f, "dataset-add \ncreate gone x1\ncreate stays x1\ngap-open  overflow\n");
        expect_nothing_asked(f);                        /* no walk: the watcher knows where to look */

        put_list(f, FEED_LIST_BEGIN, ROOT_DIR);
        put_listed(f, ROOT_DIR, "stays", 11, 1);
        put_listed(f, ROOT_DIR, "new", 12, 0);
        put_list(f, FEED_LIST_END, ROOT_DIR);
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "gone");
        put_reconciled(f, CAUSE_OVERFLOW);
        pass(f);
        expect_events(f, "create new reconcile\n");
        put_gone(f, ROOT_DIR, "gone", 0, check.m.CHECK.request);
        pass(f);
        expect_events(f, "unlink gone reconcile\n");    /* and the gap is still open */
        digest = take_one(f, FEED_DIGEST);
        put_digest(f, &digest, strcmp(digest.name, "new") == 0 ? 12 : 11, 'x');
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        expect_nothing_asked(f);
        put_digest(f, &digest, strcmp(digest.name, "new") == 0 ? 12 : 11, 'x');
        pass(f);
        f->lines[0] = '\0';
        assert_int_equal(query_events(f->query, &(QueryEvents) { .after = f->told }, event_line, f), 0);
        assert_non_null(strstr(f->lines, "gap-close  overflow\n"));
        assert_string_equal(strstr(f->lines, "gap-close"), "gap-close  overflow\n");    /* it is the last */
        expect_files(f, "new stays ");
}

static void losses_in_a_row_are_one_gap_that_no_walk_closes(void **state) {
        Fixture *f = *state;
        Asked walk;

        with_dataset(f);
        assert_int_equal(intake_scan(f->intake, "data", NULL, NULL), 0);
        walk = await_one(f, FEED_WALK);
        put_gap(f, f->token, 0, NULL, CAUSE_OVERFLOW);
        put_walk_end(f, walk.m.WALK.walk);              /* it had begun before */
        pass(f);
        expect_events(f, "dataset-add \ngap-open  overflow\n");
        put_reconciled(f, CAUSE_OVERFLOW);
        put_gap(f, f->token, 0, NULL, CAUSE_OVERFLOW);  /* in the same transaction: it had not closed yet */
        pass(f);
        nudge(f);
        expect_events(f, "");
        put_reconciled(f, CAUSE_WATCH_LIMIT);           /* of another cause */
        pass(f);
        expect_events(f, "");
        put_reconciled(f, CAUSE_OVERFLOW);
        pass(f);
        expect_events(f, "gap-close  overflow\n");
}

/* More digests than may be under way at once. */
static void put_many(Fixture *f, int n) {
        char name[16];

        for (int k = 0; k < n; k++) {
                snprintf(name, sizeof(name), "%04d", k);
                put_listed(f, ROOT_DIR, name, (uint64_t) k + 100, 0);
                if (k % 200 == 199)
                        pass(f);
        }
        pass(f);
}

/* Answers all digests that are asked for; whatever was to wait for them must not have been done before. */
static void answer_all(Fixture *f, int n, const Answer *waiting) {
        for (int k = 0; k < n; k++) {
                Asked a = take_one(f, FEED_DIGEST);

                assert_int_equal(waiting ? waiting->times : 0, 0);
                put_digest(f, &a, a.m.DIGEST.inode, 'x');
                if (k % 100 == 99 || k == n - 1)
                        pass(f);
        }
}

static void a_gap_and_a_settle_wait_for_the_last_of_many_digests(void **state) {
        enum { MANY = 1200 };
        Fixture *f = *state;
        Answer settled = { 0 };
        QueryTotals totals;
        Asked walk, barrier;

        with_dataset(f);
        put_gap(f, 0, 0, NULL, CAUSE_STALLED);
        pass(f);
        walk = take_one(f, FEED_WALK);
        put_many(f, MANY);
        settle(f, &settled);
        nudge(f);
        expect_nothing_asked(f);        /* first the walk */
        put_walk_end(f, walk.m.WALK.walk);
        pass(f);
        barrier = take_one(f, FEED_BARRIER);
        assert_int_equal(barrier.m.BARRIER.flush, 1);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        answer_all(f, MANY - 1, &settled);
        assert_int_equal(query_totals(f->query, &totals), 0);
        assert_int_equal(totals.gaps_open, 1);
        answer_all(f, 1, &settled);
        assert_int_equal(settled.times, 1);
        assert_int_equal(query_totals(f->query, &totals), 0);
        assert_int_equal(totals.gaps_open, 0);
        expect_nothing_asked(f);
}

static void a_settle_is_answered_when_a_barrier_has_passed(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };
        Asked barrier;

        with_dataset(f);
        settle(f, &settled);
        barrier = await_one(f, FEED_BARRIER);
        assert_int_equal(barrier.m.BARRIER.flush, 1);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        assert_int_equal(settled.times, 0);
        put_barrier_done(f, barrier.m.BARRIER.barrier + 1000);  /* another one */
        pass(f);
        assert_int_equal(settled.times, 0);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(settled.times, 1);
        assert_int_equal(settled.result.outcome, INTAKE_DONE);
        assert_int_equal(settled.result.seq, 3);        /* key, dataset-add, create */
}

static void a_settle_that_comes_while_a_barrier_is_under_way_gets_one_of_its_own(void **state) {
        Fixture *f = *state;
        Answer first = { 0 }, second = { 0 }, third = { 0 };
        Asked barrier;

        with_dataset(f);
        settle(f, &first);
        barrier = await_one(f, FEED_BARRIER);
        settle(f, &second);
        settle(f, &third);
        nudge(f);
        expect_nothing_asked(f);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(first.times, 1);
        assert_int_equal(second.times, 0);
        barrier = take_one(f, FEED_BARRIER);
        expect_nothing_asked(f);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(second.times, 1);
        assert_int_equal(third.times, 1);
}

static void a_walk_that_begins_sends_a_settle_back_to_it(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };
        Asked barrier, walk;

        with_dataset(f);
        settle(f, &settled);
        barrier = await_one(f, FEED_BARRIER);
        put_gap(f, 0, 0, NULL, CAUSE_STALLED);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(settled.times, 0);
        walk = take_one(f, FEED_WALK);
        put_walk_end(f, walk.m.WALK.walk);
        pass(f);
        barrier = take_one(f, FEED_BARRIER);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(settled.times, 1);
}

static void a_settle_past_its_deadline_says_what_is_pending(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };

        with_dataset(f);
        put(f, (FeedMessage) { .type = FEED_COUNTS, .COUNTS = { .pending = 7 } });
        pass(f);
        assert_int_equal(intake_settle(f->intake, "data", 1, on_answer, &settled), 0);
        assert_true(intake_waiting(f->intake));
        assert_int_equal(intake_tick(f->intake, false), 0);
        wait_for(f, &settled.times, 1);
        assert_int_equal(settled.result.outcome, INTAKE_E_NOT_SETTLED);
        assert_int_equal(settled.result.pending, 7);
        assert_false(intake_waiting(f->intake));
}

static void a_settle_of_no_dataset_or_by_nobody_is_over(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 }, forgotten = { 0 };

        with_dataset(f);
        assert_int_equal(intake_settle(f->intake, "data", 1, on_answer, &forgotten), 0);
        intake_forget(f->intake, &forgotten);
        assert_int_equal(intake_settle(f->intake, "none", INT64_MAX, on_answer, &settled), 0);
        wait_for(f, &settled.times, 1);
        assert_int_equal(settled.result.outcome, INTAKE_E_NO_DATASET);
        assert_int_equal(intake_tick(f->intake, false), 0);
        nudge(f);
        assert_int_equal(forgotten.times, 0);
}

static void a_digest_that_was_displaced_is_asked_for_again_and_one_that_failed_is_not(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };
        Asked digest, barrier;

        with_dataset(f);
        put_listed(f, ROOT_DIR, "a", 10, 0);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        put_failed(f, digest.m.DIGEST.request, EAGAIN);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        settle(f, &settled);
        barrier = await_one(f, FEED_BARRIER);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(settled.times, 0);
        put_failed(f, digest.m.DIGEST.request, EIO);
        pass(f);
        expect_nothing_asked(f);
        assert_int_equal(settled.times, 1);
        assert_int_equal(settled.result.digests_pending, 1);
}

/* Its watch was given up, since it was not found for a moment. */
static void a_directory_that_is_met_again_is_compared(void **state) {
        Fixture *f = *state;
        FeedMessage m;
        Asked list, check;

        with_dataset(f);
        put_directory(f, ROOT_DIR, "d", 10, 5);
        put_file(f, 5, "stays", 11, 's');
        put_file(f, 5, "gone", 12, 'g');
        pass(f);
        expect_nothing_asked(f);
        m = state_of(f, ROOT_DIR, "d", 10, 0);
        m.STATE.mode = 040755;
        m.STATE.flags = FEED_FLAG_ADOPTED;
        put(f, m);
        pass(f);
        expect_nothing_asked(f);
        put_gap(f, f->token, 0, NULL, CAUSE_OVERFLOW);
        put(f, m);
        pass(f);                                        /* its new number comes later */
        list = take_one(f, FEED_LIST);
        assert_int_equal(list.m.LIST.dir, 5);
        put_directory(f, ROOT_DIR, "d", 10, 6);
        put_failed(f, list.m.LIST.request, ENOENT);
        pass(f);
        list = take_one(f, FEED_LIST);
        assert_int_equal(list.m.LIST.dir, 6);
        put_list(f, FEED_LIST_BEGIN, 6);
        put_listed(f, 6, "stays", 11, 0);
        put_list(f, FEED_LIST_END, 6);
        put_failed(f, list.m.LIST.request, 0);
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "gone");
        put_gone(f, 6, "gone", 0, check.m.CHECK.request);
        pass(f);
        (void) take_one(f, FEED_DIGEST);                /* its state is another */
        expect_files(f, "d/ d/stays ");
}

/* It was found elsewhere, and wanted, while the request for it was open; that is answered by what has its name
 * now, or by nothing. */
static void a_digest_whose_file_moved_unseen_is_asked_for_where_it_is(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };
        FeedMessage m;
        Asked digest;

        with_dataset(f);
        put_listed(f, ROOT_DIR, "a", 10, 0);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        put_listed(f, ROOT_DIR, "b", 10, 1);            /* the notice of that was lost */
        pass(f);
        expect_nothing_asked(f);
        settle(f, &settled);
        put_barrier_done(f, await_one(f, FEED_BARRIER).m.BARRIER.barrier);
        pass(f);
        m = state_of(f, ROOT_DIR, "a", 11, 0);
        m.STATE.mode = 040755;
        m.STATE.flags = FEED_FLAG_ADOPTED;
        m.STATE.request = digest.m.DIGEST.request;
        put(f, m);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "b");
        put_listed(f, ROOT_DIR, "c", 10, 2);
        put_gone(f, ROOT_DIR, "b", 0, digest.m.DIGEST.request);
        pass(f);
        assert_int_equal(settled.times, 0);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "c");
        put_listed(f, ROOT_DIR, "e", 10, 3);
        put_failed(f, digest.m.DIGEST.request, ENOENT);
        pass(f);
        assert_int_equal(settled.times, 0);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "e");
        put_digest(f, &digest, 10, 'x');
        put_barrier_done(f, take_one(f, FEED_BARRIER).m.BARRIER.barrier);
        pass(f);
        assert_int_equal(settled.times, 1);
        assert_int_equal(settled.result.digests_pending, 0);
}

/* The notice of a write came when the file had moved already: at its old name nothing was to be seen. That of the
 * move says nothing about content. */
static void put_gone_unread(Fixture *f, const char *name) {
        put(f, (FeedMessage) { .type = FEED_GONE, .GONE = { .dir = ROOT_DIR, .name = BYTES_STR(name), .first = f->now,
                                                            .origin = ORIGIN_LIVE, .last = f->now,
                                                            .flags = FEED_FLAG_CONTENT } });
}

static void put_arrived(Fixture *f, const char *name, const FeedMessage *was) {
        FeedMessage m = *was;

        m.STATE.name = BYTES_STR(name);
        m.STATE.flags = FEED_FLAG_ARRIVED;
        m.STATE.digest = BYTES_NONE;
        m.STATE.digest_source = 0;
        m.STATE.count = 0;
        put(f, m);
}

static void a_file_that_was_written_to_and_seen_nowhere_is_read_where_it_turns_up(void **state) {
        Fixture *f = *state;
        FeedMessage file;
        Asked digest;

        with_dataset(f);
        file = state_of(f, ROOT_DIR, "a", 10, 'a');
        put(f, file);
        put_gone_unread(f, "a");
        put_moved(f, FEED_MOVED, ROOT_DIR, "a", ROOT_DIR, "b");
        put_arrived(f, "b", &file);
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\nunlink a\nlink b x1\n");
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "b");
        put_digest(f, &digest, 10, 'b');
        pass(f);
        expect_events(f, "modify b\n");
        put_file(f, ROOT_DIR, "b", 11, 'c');            /* or another file was */
        put_arrived(f, "c", &file);
        pass(f);
        expect_events(f, "modify b x1 replaces\nlink c\n");
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "c");
}

/* The request for it was under way when the watcher saw it move; another file has its name by then. */
static void a_digest_that_was_wanted_live_is_not_lost_when_its_file_moves(void **state) {
        Fixture *f = *state;
        FeedMessage file, m;
        Asked digest;

        with_dataset(f);
        file = state_of(f, ROOT_DIR, "a", 10, 'a');
        put(f, file);
        put_gone_unread(f, "a");
        put_arrived(f, "b", &file);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "b");
        put_moved(f, FEED_MOVED, ROOT_DIR, "b", ROOT_DIR, "c");
        put_arrived(f, "c", &file);
        m = state_of(f, ROOT_DIR, "b", 11, 'b');
        m.STATE.request = digest.m.DIGEST.request;
        put(f, m);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "c");
        put_digest(f, &digest, 10, 'c');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\nunlink a\nlink b\nrename c from b x1\ncreate b x1 replaces\n"
                         "modify c\n");
        expect_nothing_asked(f);
}

/* Looks at both names were faster than the notices of a write and of the move; that at the old one saw another file,
 * which has moved on as well. */
static void a_file_whose_move_is_noticed_late_is_read_where_it_is(void **state) {
        Fixture *f = *state;
        FeedMessage file, other;
        Asked digest;

        with_dataset(f);
        file = state_of(f, ROOT_DIR, "a", 10, 'a');
        put(f, file);
        put_arrived(f, "b", &file);
        other = state_of(f, ROOT_DIR, "a", 11, 'o');
        put(f, other);
        put_arrived(f, "c", &other);
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\nrename b from a\ncreate a x1 replaces\nrename c from a\n");
        expect_nothing_asked(f);
        put_moved(f, FEED_MOVED, ROOT_DIR, "a", ROOT_DIR, "b");
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "b");
        put_digest(f, &digest, 10, 'b');
        pass(f);
        expect_events(f, "modify b x1\n");
        expect_nothing_asked(f);
}

/* Its directory could not be reached, say: nobody else would ask for it again. */
static void a_digest_of_what_was_not_found_is_looked_for(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };
        FeedMessage m;
        Asked digest, barrier, check;

        with_dataset(f);
        put_listed(f, ROOT_DIR, "a", 10, 0);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        settle(f, &settled);
        put_barrier_done(f, await_one(f, FEED_BARRIER).m.BARRIER.barrier);
        pass(f);
        put_failed(f, digest.m.DIGEST.request, ENOENT);
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "a");
        m = state_of(f, ROOT_DIR, "a", 10, 0);
        m.STATE.request = check.m.CHECK.request;
        m.STATE.origin = check.m.CHECK.origin;
        put(f, m);
        pass(f);
        assert_int_equal(settled.times, 0);
        digest = take_one(f, FEED_DIGEST);
        put_digest(f, &digest, 10, 'a');
        pass(f);
        barrier = take_one(f, FEED_BARRIER);
        put_barrier_done(f, barrier.m.BARRIER.barrier);
        pass(f);
        assert_int_equal(settled.times, 1);
        assert_int_equal(settled.result.digests_pending, 0);
        expect_nothing_asked(f);
}

static void a_directory_that_moves_before_it_is_listed_is_asked_for_where_it_is(void **state) {
        Fixture *f = *state;
        FeedMessage m;
        Asked check;

        with_dataset(f);
        m = state_of(f, ROOT_DIR, "d", 10, 0);
        m.STATE.mode = 040755;
        put(f, m);
        pass(f);
        check = take_one(f, FEED_CHECK);
        put_moved(f, FEED_MOVED, ROOT_DIR, "d", ROOT_DIR, "e");
        put_gone(f, ROOT_DIR, "d", 0, check.m.CHECK.request);
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "e");
        assert_true(check.m.CHECK.list);
        put_moved(f, FEED_MOVED, ROOT_DIR, "e", ROOT_DIR, "f");
        put_failed(f, check.m.CHECK.request, ENOENT);
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "f");
        m.STATE.name = BYTES_STR("f");
        m.STATE.request = check.m.CHECK.request;
        m.STATE.flags = FEED_FLAG_ADOPTED;
        put(f, m);
        pass(f);
        expect_nothing_asked(f);
}

static void a_digest_is_asked_for_once_at_a_time(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_listed(f, ROOT_DIR, "a", 10, 0);
        put_listed(f, ROOT_DIR, "b", 11, 0);
        pass(f);
        (void) take_one(f, FEED_DIGEST);
        (void) take_one(f, FEED_DIGEST);
        put_listed(f, ROOT_DIR, "a", 10, 1);            /* wanted once more: the cursor goes back */
        pass(f);
        expect_nothing_asked(f);
}

static void a_watcher_that_is_lost_leaves_a_gap_that_the_next_one_closes(void **state) {
        Fixture *f = *state;
        IntakeStatus status;
        Asked watch;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        assert_int_equal(intake_feed_end(f->intake, f->feed, CAUSE_WATCHER_LOST), 0);
        put_file(f, ROOT_DIR, "late", 11, 'l');         /* nothing is taken from a feed that has ended */
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\ngap-open  watcher-lost\n");
        intake_status(f->intake, 0, &status);
        assert_false(status.watched);
        hello(f);
        watch = take_one(f, FEED_WATCH);
        assert_string_equal(watch.name, "/data");
        assert_int_equal(watch.m.WATCH.origin, ORIGIN_RECONCILE);
        f->token = watch.m.WATCH.root;
        put_root(f, f->token, ROOT_INODE);
        put_list(f, FEED_LIST_BEGIN, ROOT_DIR);
        put_listed(f, ROOT_DIR, "a", 10, 1);
        put_list(f, FEED_LIST_END, ROOT_DIR);
        put_walk_end(f, watch.m.WATCH.walk);
        pass(f);
        expect_events(f, "");
        put_failed(f, take_one(f, FEED_DIGEST).m.DIGEST.request, EIO);
        pass(f);
        expect_events(f, "gap-close  watcher-lost\n");
}

/* Attributes changed: nothing of it is read. Returns what was seen. */
static FeedMessage put_look(Fixture *f, const char *name, uint64_t inode, const FeedMessage *was) {
        FeedMessage m = state_of(f, ROOT_DIR, name, inode, 0);

        m.STATE.mtime = was->STATE.mtime;
        m.STATE.count = 0;
        put(f, m);
        return m;
}

/* The tree is listed by the next watcher, and all is as it was seen last. */
static void put_relisted(Fixture *f, const FeedMessage *seen, size_t n) {
        Asked watch;

        assert_int_equal(intake_feed_end(f->intake, f->feed, CAUSE_WATCHER_LOST), 0);
        hello(f);
        watch = take_one(f, FEED_WATCH);
        f->token = watch.m.WATCH.root;
        put_root(f, f->token, ROOT_INODE);
        put_list(f, FEED_LIST_BEGIN, ROOT_DIR);
        for (size_t i = 0; i < n; i++) {
                FeedMessage m = seen[i];

                m.STATE.flags = FEED_FLAG_LISTED;
                m.STATE.origin = ORIGIN_RECONCILE;
                m.STATE.digest = BYTES_NONE;
                m.STATE.digest_source = 0;
                m.STATE.count = 0;
                put(f, m);
        }
        put_list(f, FEED_LIST_END, ROOT_DIR);
        put_walk_end(f, watch.m.WATCH.walk);
        pass(f);
}

/* What the notice of a write would have told may be lost with the watcher: a look at attributes is no reading. */
static void what_was_only_looked_at_just_before_notices_were_lost_is_read(void **state) {
        Fixture *f = *state;
        FeedMessage seen[4];
        Asked digest;

        with_dataset(f);
        f->now -= 10 * (int64_t) USEC_PER_SEC;          /* long before the dataset was last covered */
        seen[0] = state_of(f, ROOT_DIR, "long-ago", 10, 'a');
        put(f, seen[0]);
        seen[0] = put_look(f, "long-ago", 10, &seen[0]);
        seen[3] = state_of(f, ROOT_DIR, "racy", 13, 'd');
        seen[3].STATE.ctime *= -1;
        put(f, seen[3]);
        seen[3].STATE.ctime *= -1;
        f->now += 10 * (int64_t) USEC_PER_SEC;
        seen[1] = state_of(f, ROOT_DIR, "read", 11, 'b');
        put(f, seen[1]);
        put_look(f, "read", 11, &seen[1]);
        seen[1].STATE.ctime += 5000 * 1000;
        put(f, seen[1]);
        seen[2] = state_of(f, ROOT_DIR, "seen", 12, 'c');
        put(f, seen[2]);
        seen[2] = put_look(f, "seen", 12, &seen[2]);
        pass(f);
        expect_events(f, "dataset-add \ncreate long-ago x1\ncreate racy x1\ncreate read x1\ncreate seen x1\n");
        put_relisted(f, seen, 4);
        expect_events(f, "gap-open  watcher-lost\n");
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "seen");
        expect_nothing_asked(f);
        seen[2].STATE.request = digest.m.DIGEST.request;
        seen[2].STATE.flags = FEED_FLAG_CONTENT;
        seen[2].STATE.digest = seen[1].STATE.digest;
        seen[2].STATE.digest_source = DIGEST_SOURCE_READ;
        put(f, seen[2]);
        pass(f);
        expect_events(f, "modify seen\ngap-close  watcher-lost\n");
        seen[2].STATE.request = 0;
        put_relisted(f, seen, 4);                       /* it is known now */
        expect_nothing_asked(f);
}

/* While a gap is open, a notice of attributes may be all that is left of those of a file. */
static void what_is_only_looked_at_while_notices_were_lost_is_read(void **state) {
        Fixture *f = *state;
        FeedMessage file;

        with_dataset(f);
        file = state_of(f, ROOT_DIR, "a", 10, 'a');
        put(f, file);
        put_gap(f, f->token, 0, NULL, CAUSE_OVERFLOW);
        put_look(f, "a", 10, &file);
        pass(f);
        assert_string_equal(take_one(f, FEED_DIGEST).name, "a");
}

/* A file system that is mounted no longer leaves the directory on which it was mounted. */
static void a_root_that_is_a_directory_of_another_file_system_now_is_not_watched(void **state) {
        Fixture *f = *state;
        Asked watch;

        with_dataset(f);
        put_file(f, ROOT_DIR, "b", 11, 'b');
        pass(f);
        expect_events(f, "dataset-add \ncreate b x1\n");
        assert_int_equal(intake_feed_end(f->intake, f->feed, CAUSE_WATCHER_LOST), 0);
        hello(f);
        watch = take_one(f, FEED_WATCH);
        put(f, (FeedMessage) { .type = FEED_ROOT,
                               .ROOT = { .root = watch.m.WATCH.root, .dir = ROOT_DIR, .inode = ROOT_INODE + 1,
                                         .btime = 5, .fs_type = BYTES_STR("ext4"), .device = DEVICE + 1,
                                         .names = BYTES("stray", 6) } });
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        assert_int_equal(take_one(f, FEED_UNWATCH).m.UNWATCH.root, watch.m.WATCH.root);
        expect_events(f, "gap-open  watcher-lost\ngap-open  root-moved\n");
}

static void what_is_not_a_message_starts_the_feed_anew(void **state) {
        Fixture *f = *state;
        uint8_t *bad = calloc(1, 3);

        with_dataset(f);
        assert_int_equal(intake_feed_frame(f->intake, f->feed, bad, 3), 0);
        wait_for(f, &f->resets, 1);
        expect_events(f, "dataset-add \ngap-open  watcher-lost\n");
        assert_null(intake_degraded(f->intake));
}

static void a_removed_dataset_is_not_watched_and_is_resumed_with_a_gap(void **state) {
        Fixture *f = *state;
        Answer removed = { 0 }, again = { 0 }, added = { 0 };

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        assert_int_equal(intake_remove(f->intake, "data", on_answer, &removed), 0);
        wait_for(f, &removed.times, 1);
        assert_int_equal(removed.result.outcome, INTAKE_DONE);
        assert_int_equal(take_one(f, FEED_UNWATCH).m.UNWATCH.root, f->token);
        put_file(f, ROOT_DIR, "b", 11, 'b');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\ndataset-remove \n");
        assert_int_equal(intake_remove(f->intake, "data", on_answer, &again), 0);
        wait_for(f, &again.times, 1);
        assert_int_equal(again.result.outcome, INTAKE_E_NO_DATASET);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/data"), "other", 0, on_answer, &added), 0);
        put_root(f, await_one(f, FEED_WATCH).m.WATCH.root, ROOT_INODE);
        pass(f);
        assert_int_equal(added.times, 1);
        assert_string_equal(added.dataset, "other");
        expect_events(f, "dataset-add \ngap-open  removed\n");
}

static void a_scan_walks_and_a_second_one_follows_the_first(void **state) {
        Fixture *f = *state;
        Answer scanned = { 0 };
        Asked walk;

        with_dataset(f);
        assert_int_equal(intake_scan(f->intake, "data", on_answer, &scanned), 0);
        walk = await_one(f, FEED_WALK);
        wait_for(f, &scanned.times, 1);
        assert_int_equal(intake_scan(f->intake, "data", on_answer, &scanned), 0);
        wait_for(f, &scanned.times, 2);
        expect_nothing_asked(f);
        put_walk_end(f, walk.m.WALK.walk);
        pass(f);
        walk = take_one(f, FEED_WALK);
        put_walk_end(f, walk.m.WALK.walk);
        pass(f);
        expect_nothing_asked(f);
}

static void what_cannot_be_read_is_a_gap_until_it_can(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_file(f, ROOT_DIR, "secret", 10, 0);
        put_gap(f, 0, ROOT_DIR, "secret", CAUSE_PERMISSION);
        put_gap(f, 0, ROOT_DIR, "secret", CAUSE_PERMISSION);
        pass(f);
        expect_events(f, "dataset-add \ncreate secret x1\ngap-open secret permission\n");
        expect_nothing_asked(f);
        put_file(f, ROOT_DIR, "secret", 10, 's');
        pass(f);
        f->lines[0] = '\0';
        assert_int_equal(query_events(f->query, &(QueryEvents) { .after = f->told }, event_line, f), 0);
        assert_non_null(strstr(f->lines, "gap-close secret permission\n"));
}

static void each_start_has_a_gap_that_says_how_the_run_before_it_ended(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        fixture_stop(f, true);
        fixture_start(f);
        expect_events(f, "dataset-add \ngap-open  stopped\n");
        fixture_stop(f, false);
        fixture_start(f);
        expect_events(f, "");           /* one that is open covers it */
        hello(f);
        put_root(f, take_one(f, FEED_WATCH).m.WATCH.root, ROOT_INODE);
        f->token = 1;
        for (uint32_t walk = 1; walk < 5; walk++)
                put_walk_end(f, walk);
        pass(f);
        expect_events(f, "gap-close  stopped\n");
        fixture_stop(f, false);
        fixture_start(f);
        expect_events(f, "gap-open  crashed\n");
}

static void on_backup(void *userdata, int result, int64_t bytes, int64_t seq) {
        Answer *a = userdata;

        a->times++;
        a->result.error = result;
        a->result.pending = bytes;
        a->result.seq = seq;
}

static void a_backup_holds_what_was_told_before_it(void **state) {
        Fixture *f = *state;
        Answer done = { 0 };
        FILE *file = tmpfile();

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        assert_int_equal(intake_backup(f->intake, fileno(file), on_backup, &done), 0);
        wait_for(f, &done.times, 1);
        assert_int_equal(done.result.error, 0);
        assert_int_equal(done.result.seq, 3);
        fseek(file, 0, SEEK_END);
        assert_int_equal(ftell(file), done.result.pending);
        fclose(file);
        put_file(f, ROOT_DIR, "b", 11, 'b');
        pass(f);
        expect_files(f, "a b ");
}

/* Each file has its gap, some have two; what ends one of them ends no other, in whatever order. */
static void of_many_gaps_each_ends_by_itself(void **state) {
        enum { MANY = 250, STEP = 101 };        /* no factor of one another */
        Fixture *f = *state;
        char names[MANY][8];
        QueryTotals totals;
        int64_t open = 0;

        with_dataset(f);
        for (int i = 0; i < MANY; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                put_file(f, ROOT_DIR, names[i], 1000 + (uint64_t) i, 1);
        }
        pass(f);
        for (int i = 0; i < MANY; i++) {
                put_gap(f, f->token, ROOT_DIR, names[i], CAUSE_READ_ERROR);
                put_gap(f, f->token, ROOT_DIR, names[i], i % 3 == 0 ? CAUSE_PERMISSION : CAUSE_READ_ERROR);
                open += i % 3 == 0 ? 2 : 1;
        }
        pass(f);
        assert_int_equal(query_totals(f->query, &totals), 0);
        assert_int_equal(totals.gaps_open, open);
        for (int i = 0; i < MANY; i++) {
                int at = i * STEP % MANY;

                put_file(f, ROOT_DIR, names[at], 1000 + (uint64_t) at, 2);
                open -= at % 3 == 0 ? 2 : 1;
                if (i % 50 != 0)
                        continue;
                pass(f);
                assert_int_equal(query_totals(f->query, &totals), 0);
                assert_int_equal(totals.gaps_open, open);
        }
        pass(f);
        assert_int_equal(query_totals(f->query, &totals), 0);
        assert_int_equal(totals.gaps_open, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(an_overflow_opens_a_gap_that_the_watchers_own_sweep_closes),
                TEST(losses_in_a_row_are_one_gap_that_no_walk_closes),
                TEST(a_gap_and_a_settle_wait_for_the_last_of_many_digests),
                TEST(a_settle_is_answered_when_a_barrier_has_passed),
                TEST(a_settle_that_comes_while_a_barrier_is_under_way_gets_one_of_its_own),
                TEST(a_walk_that_begins_sends_a_settle_back_to_it),
                TEST(a_settle_past_its_deadline_says_what_is_pending),
                TEST(a_settle_of_no_dataset_or_by_nobody_is_over),
                TEST(a_digest_that_was_displaced_is_asked_for_again_and_one_that_failed_is_not),
                TEST(a_directory_that_is_met_again_is_compared),
                TEST(a_digest_whose_file_moved_unseen_is_asked_for_where_it_is),
                TEST(a_file_that_was_written_to_and_seen_nowhere_is_read_where_it_turns_up),
                TEST(a_digest_that_was_wanted_live_is_not_lost_when_its_file_moves),
                TEST(a_file_whose_move_is_noticed_late_is_read_where_it_is),
                TEST(a_digest_of_what_was_not_found_is_looked_for),
                TEST(a_directory_that_moves_before_it_is_listed_is_asked_for_where_it_is),
                TEST(a_digest_is_asked_for_once_at_a_time),
                TEST(a_watcher_that_is_lost_leaves_a_gap_that_the_next_one_closes),
                TEST(what_was_only_looked_at_just_before_notices_were_lost_is_read),
                TEST(what_is_only_looked_at_while_notices_were_lost_is_read),
                TEST(a_root_that_is_a_directory_of_another_file_system_now_is_not_watched),
                TEST(what_is_not_a_message_starts_the_feed_anew),
                TEST(a_removed_dataset_is_not_watched_and_is_resumed_with_a_gap),
                TEST(a_scan_walks_and_a_second_one_follows_the_first),
                TEST(what_cannot_be_read_is_a_gap_until_it_can),
                TEST(each_start_has_a_gap_that_says_how_the_run_before_it_ended),
                TEST(a_backup_holds_what_was_told_before_it),
                TEST(of_many_gaps_each_ends_by_itself),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
