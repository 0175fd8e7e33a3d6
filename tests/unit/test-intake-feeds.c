/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/intake-fixture.h"

/* Several file systems: each has its feed; what happens to one is no matter of the others. */

#define ROOT_LINE "1 0 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"
#define OTHER_LINE "2 1 0:30 / /other rw shared:2 - tmpfs tmpfs rw\n"
#define INSIDE_LINE "3 1 0:31 / /data/inside rw shared:3 - tmpfs tmpfs rw\n"

static void mounts(Fixture *f, const char *text) {
        assert_int_equal(intake_mounts(f->intake, (uint8_t *) strdup(text), strlen(text)), 0);
        sync_queue(f);
}

static void put_other(Fixture *f, const Asked *watch) {
        put(f, (FeedMessage) { .type = FEED_ROOT,
                               .ROOT = { .root = watch->m.WATCH.root, .dir = ROOT_DIR, .inode = ROOT_INODE, .btime = 6,
                                         .fs_type = BYTES_STR("tmpfs"), .device = DEVICE + 1 } });
        put(f, (FeedMessage) { .type = FEED_DIR, .DIR = { .dir = ROOT_DIR, .root = watch->m.WATCH.root,
                                                          .name = BYTES("", 0), .inode = ROOT_INODE, .btime = 6 } });
        put(f, (FeedMessage) { .type = FEED_WALK_END, .WALK_END = { .root = watch->m.WATCH.root,
                                                                    .walk = watch->m.WATCH.walk } });
        pass(f);
}

static void swap_feeds(Fixture *f) {
        uint32_t feed = f->feed;

        f->feed = f->other;
        f->other = feed;
}

/* data on one file system, other on another; the feed of data is the current one. */
static void with_both(Fixture *f) {
        Answer added = { 0 };
        Asked watch;

        mounts(f, ROOT_LINE OTHER_LINE);
        with_dataset(f);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/other"), NULL, 0, on_answer, &added), 0);
        watch = await_one(f, FEED_WATCH);
        assert_int_not_equal(f->other, 0);
        assert_int_equal(watch.feed, f->feed);
        put_other(f, &watch);
        assert_int_equal(added.times, 1);
        swap_feeds(f);
        expect_events(f, "dataset-add \ndataset-add \n");
        expect_nothing_asked(f);
}

static void directories_of_two_feeds_may_have_one_number(void **state) {
        Fixture *f = *state;

        with_both(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        swap_feeds(f);
        put_file(f, ROOT_DIR, "b", 10, 'b');
        pass(f);
        expect_events(f, "create a x1\ncreate b x1\n");
        expect_files(f, "a ");
}

static void a_feed_that_ends_is_a_gap_of_its_datasets_alone(void **state) {
        Fixture *f = *state;
        IntakeStatus status;

        with_both(f);
        assert_int_equal(intake_feed_end(f->intake, f->other, CAUSE_WATCHER_LOST), 0);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        expect_events(f, "gap-open  watcher-lost\ncreate a x1\n");
        intake_status(f->intake, 1, &status);
        assert_true(status.watched);
        intake_status(f->intake, 2, &status);
        assert_false(status.watched);
}

static void what_is_not_a_message_ends_that_feed_alone(void **state) {
        Fixture *f = *state;

        with_both(f);
        assert_int_equal(intake_feed_frame(f->intake, f->other, calloc(1, 3), 3), 0);
        wait_for(f, &f->resets, 1);
        f->consumed = f->fed;
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        expect_events(f, "gap-open  watcher-lost\ncreate a x1\n");
}

/* The next watcher of the current feed has come, and has compared its dataset. */
static void rewatch(Fixture *f) {
        Asked watch;

        put(f, (FeedMessage) { .type = FEED_HELLO, .HELLO = { .version = FEED_VERSION, .pid = 1 } });
        f->consumed = f->fed;
        pass(f);
        watch = take_one(f, FEED_WATCH);
        f->token = watch.m.WATCH.root;
        put_root(f, f->token, ROOT_INODE);
        put_walk_end(f, watch.m.WATCH.walk);
        pass(f);
        expect_events(f, "gap-close  watcher-lost\n");
}

/* Values that no watcher of ours sends are not the store's failure, which would be everybody's. */
static void what_makes_no_sense_ends_that_feed_alone(void **state) {
        static char long_name[300];
        static const uint8_t digest[31];
        const FeedMessage cases[] = {
                { .type = FEED_STATE, .STATE = { .dir = ROOT_DIR, .name = BYTES_STR("a"), .origin = 99,
                                                 .mode = 0100644 } },
                { .type = FEED_STATE, .STATE = { .dir = ROOT_DIR, .name = BYTES(long_name, 300),
                                                 .origin = ORIGIN_LIVE, .mode = 0100644 } },
                { .type = FEED_STATE, .STATE = { .dir = ROOT_DIR, .name = BYTES_STR("a/b"),
                                                 .origin = ORIGIN_LIVE, .mode = 0100644 } },
                { .type = FEED_STATE, .STATE = { .dir = ROOT_DIR, .name = BYTES_STR("a"), .origin = ORIGIN_LIVE,
                                                 .mode = 0100644, .digest = BYTES(digest, sizeof(digest)),
                                                 .digest_source = DIGEST_SOURCE_READ } },
                { .type = FEED_STATE, .STATE = { .dir = ROOT_DIR, .name = BYTES_STR("a"), .origin = ORIGIN_SCAN,
                                                 .mode = 0100644, .digest_source = DIGEST_SOURCE_READ } },
                { .type = FEED_GONE, .GONE = { .dir = ROOT_DIR, .name = BYTES_STR("a"), .count = 1 } },
                { .type = FEED_GONE, .GONE = { .dir = ROOT_DIR, .origin = ORIGIN_LIVE, .count = 1 } },
                { .type = FEED_DIR, .DIR = { .dir = 2, .root = 1, .parent = ROOT_DIR } },
                { .type = FEED_MOVED, .MOVED = { .old_dir = ROOT_DIR, .old_name = BYTES_STR("a"),
                                                 .dir = ROOT_DIR } },
                { .type = FEED_ROOT, .ROOT = { .root = 1, .dir = ROOT_DIR, .inode = 9, .fs_type = BYTES_STR("ext4"),
                                               .names = BYTES_STR("no end") } },
                { .type = FEED_HEAD, .HEAD = { .root = 1, .kind = DATASET_KIND_GIT,
                                               .commit = BYTES_STR("\033[31m") } },
        };
        Fixture *f = *state;

        memset(long_name, 'n', sizeof(long_name));
        with_both(f);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (i > 0)
                        rewatch(f);
                put(f, cases[i]);
                feed_frame(f);
                wait_for(f, &f->resets, (unsigned) i + 1);
                expect_events(f, "gap-open  watcher-lost\n");
        }
}

static void wait_degraded(Fixture *f, bool degraded) {
        struct pollfd pfd = { .fd = intake_fd(f->intake), .events = POLLIN };

        while ((intake_degraded(f->intake) != NULL) != degraded) {
                assert_int_equal(poll(&pfd, 1, 60000), 1);
                intake_dispatch(f->intake);
        }
}

/* The table of mounts is told once for each change. */
static void what_is_unmounted_while_the_store_refuses_counts_afterwards(void **state) {
        Fixture *f = *state;
        char path[128], in_the_way[128];
        Asked first;

        with_both(f);
        snprintf(path, sizeof(path), "%s/scitrace.db", f->dir);
        snprintf(in_the_way, sizeof(in_the_way), "%s/scitrace.db-rescue.part", f->dir);
        assert_int_equal(mkdir(in_the_way, 0700), 0);
        assert_int_equal(unlink(path), 0);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        feed_frame(f);
        wait_degraded(f, true);
        mounts(f, ROOT_LINE);
        assert_int_equal(rmdir(in_the_way), 0);
        wait_degraded(f, false);
        sync_queue(f);
        f->consumed = f->fed;
        f->query = query_close(f->query);       /* of the database that was taken away */
        assert_int_equal(query_open(path, false, &f->query), 0);
        expect_events(f, "store-lost \ngap-open  store-lost\ngap-open  store-lost\n");
        first = take_one(f, FEED_WATCH);
        assert_int_equal(first.feed, take_one(f, FEED_WATCH).feed);     /* on one file system now */
}

static void barrier_done(Fixture *f, uint64_t barrier) {
        put(f, (FeedMessage) { .type = FEED_BARRIER_DONE, .BARRIER_DONE = { .barrier = barrier, .time = f->now } });
        pass(f);
}

static void a_settle_of_one_asks_its_watcher_and_one_of_all_asks_all(void **state) {
        Fixture *f = *state;
        Answer one = { 0 }, all = { 0 };
        Asked first, second;

        with_both(f);
        assert_int_equal(intake_settle(f->intake, "data", INT64_MAX, on_answer, &one), 0);
        first = await_one(f, FEED_BARRIER);
        assert_int_equal(first.feed, f->feed);
        expect_nothing_asked(f);
        barrier_done(f, first.m.BARRIER.barrier);
        assert_int_equal(one.times, 1);

        assert_int_equal(intake_settle(f->intake, NULL, INT64_MAX, on_answer, &all), 0);
        first = await_one(f, FEED_BARRIER);
        second = await_one(f, FEED_BARRIER);
        assert_int_not_equal(first.feed, second.feed);
        barrier_done(f, first.m.BARRIER.barrier);
        assert_int_equal(all.times, 0);
        swap_feeds(f);
        barrier_done(f, second.m.BARRIER.barrier);
        assert_int_equal(all.times, 1);
        assert_int_equal(all.result.outcome, INTAKE_DONE);
}

static void a_watcher_answers_its_own_requests_alone(void **state) {
        Fixture *f = *state;
        Answer settled = { 0 };
        uint32_t request;

        with_both(f);
        put_file(f, ROOT_DIR, "a", 10, 0);
        pass(f);
        request = take_one(f, FEED_DIGEST).m.DIGEST.request;
        assert_int_equal(intake_settle(f->intake, "data", INT64_MAX, on_answer, &settled), 0);
        barrier_done(f, await_one(f, FEED_BARRIER).m.BARRIER.barrier);
        swap_feeds(f);
        put(f, (FeedMessage) { .type = FEED_FAILED, .FAILED = { .request = request, .error = EIO } });
        pass(f);
        assert_int_equal(settled.times, 0);
        swap_feeds(f);
        put(f, (FeedMessage) { .type = FEED_FAILED, .FAILED = { .request = request, .error = EIO } });
        pass(f);
        assert_int_equal(settled.times, 1);
}

static FeedMessage scanned(Fixture *f, uint32_t dir, const char *name, uint64_t inode, uint16_t flags) {
        FeedMessage m = state_of(f, dir, name, inode, 0);

        m.STATE.origin = ORIGIN_SCAN;
        m.STATE.flags = flags;
        m.STATE.mode = flags & FEED_FLAG_LISTED ? 0100644 : 040755;
        return m;
}

/* The first half of a first look at /data, which is added: sub, and f in it. */
static void look_half(Fixture *f, Answer *added, uint64_t file) {
        Asked watch;

        assert_int_equal(intake_add(f->intake, BYTES_STR("/data"), NULL, INTAKE_ADD_NEW, on_answer, added), 0);
        watch = await_one(f, FEED_WATCH);
        assert_int_equal(watch.m.WATCH.origin, ORIGIN_SCAN);
        f->token = watch.m.WATCH.root;
        put_root(f, f->token, ROOT_INODE + 1);
        put(f, scanned(f, ROOT_DIR, "sub", 20, FEED_FLAG_ADOPTED));
        put(f, (FeedMessage) { .type = FEED_DIR, .DIR = { .dir = 2, .root = f->token, .parent = ROOT_DIR,
                                                          .name = BYTES_STR("sub"), .inode = 20, .btime = 5 } });
        put_list(f, FEED_LIST_BEGIN, 2);
        put(f, scanned(f, 2, "f", file, FEED_FLAG_LISTED));
        pass(f);
}

/* It was listed as it appeared; it is new to the record, which had no place for those names. */
static void a_directory_that_a_first_look_need_not_list_is_asked_for(void **state) {
        Fixture *f = *state;
        Answer added = { 0 };
        Asked check;

        hello(f);
        look_half(f, &added, 21);
        expect_nothing_asked(f);
        put(f, scanned(f, ROOT_DIR, "met", 30, 0));
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "met");
        assert_true(check.m.CHECK.list);
        expect_nothing_asked(f);
}

/* What was new to a look that never ended is not new to the next one. */
static void a_dataset_removed_during_its_first_look_is_looked_at_anew(void **state) {
        Fixture *f = *state;
        Answer first = { 0 }, removed = { 0 }, second = { 0 }, kept = { 0 };
        Asked watch;

        hello(f);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/kept"), NULL, 0, on_answer, &kept), 0);
        watch = await_one(f, FEED_WATCH);
        put_root(f, watch.m.WATCH.root, ROOT_INODE);
        put(f, (FeedMessage) { .type = FEED_WALK_END, .WALK_END = { .root = watch.m.WATCH.root,
                                                                    .walk = watch.m.WATCH.walk } });
        pass(f);
        look_half(f, &first, 21);
        assert_int_equal(intake_remove(f->intake, "data", on_answer, &removed), 0);
        wait_for(f, &removed.times, 1);
        look_half(f, &second, 22);
        assert_int_equal(second.times, 1);
        assert_int_equal(f->resets, 0);
        expect_events(f, "dataset-add \ndataset-add \ncreate sub x1 scan\ncreate sub/f x1 scan\n"
                         "dataset-remove \ndataset-add \nrehome \nmodify sub/f x1 replaces scan\n");
}

static void what_is_unmounted_is_a_gap_until_it_is_back(void **state) {
        Fixture *f = *state;
        Asked watch;

        with_both(f);
        mounts(f, ROOT_LINE);           /* the feed of its file system is needed no more */
        assert_int_equal(f->other, 0);
        expect_events(f, "unmount \ngap-open  unmounted\n");
        (void) take_one(f, FEED_UNWATCH);
        watch = await_one(f, FEED_WATCH);       /* it may be there, all the same */
        assert_string_equal(watch.name, "/other");
        assert_int_equal(watch.feed, f->feed);
        put(f, (FeedMessage) { .type = FEED_ROOT, .ROOT = { .root = watch.m.WATCH.root, .dir = 9, .inode = 77,
                                                            .btime = 5, .fs_type = BYTES_STR("ext4"),
                                                            .device = DEVICE } });
        pass(f);
        expect_events(f, "");           /* but that is only the place where it was mounted */
        assert_int_equal(take_one(f, FEED_UNWATCH).m.UNWATCH.root, watch.m.WATCH.root);
        mounts(f, ROOT_LINE OTHER_LINE);
        watch = await_one(f, FEED_WATCH);
        assert_int_equal(watch.feed, f->feed);
        put_other(f, &watch);
        expect_events(f, "mount \ngap-close  unmounted\n");
}

static void what_is_mounted_inside_hides_and_removes_nothing(void **state) {
        Fixture *f = *state;
        FeedMessage m;
        Asked walk;

        with_both(f);
        put_directory(f, ROOT_DIR, "inside", 20, 2);
        put_file(f, 2, "hidden", 21, 'h');
        pass(f);
        expect_events(f, "create inside x1\ncreate inside/hidden x1\n");
        mounts(f, ROOT_LINE OTHER_LINE INSIDE_LINE);
        expect_events(f, "gap-open inside other-filesystem\n");
        m = state_of(f, ROOT_DIR, "inside", ROOT_INODE, 0);     /* what a walk sees there */
        m.STATE.mode = 040755;
        m.STATE.flags = FEED_FLAG_LISTED | FEED_FLAG_FOREIGN;
        m.STATE.count = 0;
        put(f, m);
        pass(f);
        expect_events(f, "");
        mounts(f, ROOT_LINE OTHER_LINE);
        walk = await_one(f, FEED_WALK);
        put_walk_end(f, walk.m.WALK.walk);
        pass(f);
        expect_events(f, "gap-close inside other-filesystem\n");
        expect_files(f, "inside/ inside/hidden ");
}

static void a_file_system_that_does_not_answer_is_a_gap_until_it_does(void **state) {
        Fixture *f = *state;
        IntakeStatus status;

        with_both(f);
        put(f, (FeedMessage) { .type = FEED_STALLED, .STALLED = { .since = f->now } });
        pass(f);
        expect_events(f, "gap-open  stalled\n");
        intake_status(f->intake, 1, &status);
        assert_true(status.stalled);
        intake_status(f->intake, 2, &status);
        assert_false(status.stalled);
        put(f, (FeedMessage) { .type = FEED_STALLED, .STALLED = { .since = 0 } });
        pass(f);
        put_walk_end(f, take_one(f, FEED_WALK).m.WALK.walk);
        pass(f);
        expect_events(f, "gap-close  stalled\n");
        intake_status(f->intake, 1, &status);
        assert_false(status.stalled);
}

static void what_other_hosts_may_change_is_a_gap_and_is_walked_now_and_then(void **state) {
        Fixture *f = *state;
        Answer added = { 0 };
        FeedMessage root;
        Asked watch, walk;

        intake_poll(f->intake, 1);
        mounts(f, ROOT_LINE OTHER_LINE);
        hello(f);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/other"), NULL, 0, on_answer, &added), 0);
        watch = await_one(f, FEED_WATCH);
        root = (FeedMessage) { .type = FEED_ROOT, .ROOT = { .root = watch.m.WATCH.root, .dir = ROOT_DIR,
                                                            .inode = 1, .fs_type = BYTES_STR("nfs"),
                                                            .network = 1, .device = DEVICE } };
        put(f, root);
        put(f, (FeedMessage) { .type = FEED_WALK_END, .WALK_END = { .root = watch.m.WATCH.root,
                                                                    .walk = watch.m.WATCH.walk } });
        pass(f);
        assert_int_equal(added.result.outcome, INTAKE_DONE);
        expect_events(f, "dataset-add \ngap-open  remote\n");
        for (int i = 0; i < 2; i++) {
                assert_int_equal(intake_tick(f->intake, false), 0);
                walk = await_one(f, FEED_WALK);
                assert_true(walk.m.WALK.idle);
                put(f, (FeedMessage) { .type = FEED_WALK_END, .WALK_END = { .root = watch.m.WATCH.root,
                                                                            .walk = walk.m.WALK.walk } });
                pass(f);
                expect_events(f, "");   /* it stays, also when its root is watched anew */
                put(f, root);
                pass(f);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(directories_of_two_feeds_may_have_one_number),
                TEST(a_feed_that_ends_is_a_gap_of_its_datasets_alone),
                TEST(what_is_not_a_message_ends_that_feed_alone),
                TEST(what_makes_no_sense_ends_that_feed_alone),
                TEST(what_is_unmounted_while_the_store_refuses_counts_afterwards),
                TEST(a_watcher_answers_its_own_requests_alone),
                TEST(a_directory_that_a_first_look_need_not_list_is_asked_for),
                TEST(a_dataset_removed_during_its_first_look_is_looked_at_anew),
                TEST(a_settle_of_one_asks_its_watcher_and_one_of_all_asks_all),
                TEST(what_is_unmounted_is_a_gap_until_it_is_back),
                TEST(what_is_mounted_inside_hides_and_removes_nothing),
                TEST(a_file_system_that_does_not_answer_is_a_gap_until_it_does),
                TEST(what_other_hosts_may_change_is_a_gap_and_is_walked_now_and_then),
        };

        return cmocka_run_group_tests_name("intake-feeds", tests, NULL, NULL);
}
