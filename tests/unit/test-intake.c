/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/intake-fixture.h"

static void a_directory_becomes_a_dataset_when_its_root_is_watched(void **state) {
        Fixture *f = *state;
        Answer added = { 0 };
        Asked watch;

        assert_int_equal(intake_add(f->intake, BYTES_STR("/home/a project/"), NULL, 0, on_answer, &added), 0);
        hello(f);                       /* an add that came before any watcher waits for one */
        watch = take_one(f, FEED_WATCH);
        assert_string_equal(watch.name, "/home/a project");
        assert_int_equal(watch.m.WATCH.origin, ORIGIN_SCAN);
        assert_int_equal(added.times, 0);
        f->token = watch.m.WATCH.root;
        put_root(f, f->token, ROOT_INODE);
        pass(f);
        assert_int_equal(added.times, 1);
        assert_int_equal(added.result.outcome, INTAKE_DONE);
        assert_string_equal(added.dataset, "a-project");
        expect_events(f, "dataset-add \n");
}

static void a_root_that_cannot_be_watched_is_refused_with_its_reason(void **state) {
        static const struct {
                uint32_t error;
                IntakeOutcome outcome;
        } cases[] = { { ENOENT, INTAKE_E_MISSING }, { ENOTDIR, INTAKE_E_NOT_DIRECTORY },
                      { EACCES, INTAKE_E_PERMISSION }, { EIO, INTAKE_E_FAILED } };
        Fixture *f = *state;

        hello(f);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Answer added = { 0 };

                assert_int_equal(intake_add(f->intake, BYTES_STR("/data"), "d", 0, on_answer, &added), 0);
                put(f, (FeedMessage) { .type = FEED_ROOT, .ROOT = { .root = await_one(f, FEED_WATCH).m.WATCH.root,
                                                                    .error = cases[i].error } });
                pass(f);
                assert_int_equal(added.times, 1);
                assert_int_equal(added.result.outcome, cases[i].outcome);
                assert_int_equal(take_one(f, FEED_UNWATCH).m.UNWATCH.root > 0, true);
        }
        expect_events(f, "");
}

static void paths_and_names_that_are_in_the_way_are_refused(void **state) {
        static const struct {
                const char *path, *name;
                IntakeOutcome outcome;
        } cases[] = { { "data", NULL, INTAKE_E_NOT_ABSOLUTE }, { "/data", "x", INTAKE_E_WATCHED },
                      { "/data/", "x", INTAKE_E_WATCHED },     { "/data/../data", "x", INTAKE_E_NOT_ABSOLUTE },
                      { "/a//b", "x", INTAKE_E_NOT_ABSOLUTE }, { "/./b", "x", INTAKE_E_NOT_ABSOLUTE },
                      { "/other", "data", INTAKE_E_NAME_TAKEN },
                      { "/other", "no good", INTAKE_E_NAME_INVALID } };
        Fixture *f = *state;

        with_dataset(f);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Answer added = { 0 };

                assert_int_equal(intake_add(f->intake, BYTES_STR(cases[i].path), cases[i].name, 0, on_answer, &added), 0);
                wait_for(f, &added.times, 1);
                assert_int_equal(added.result.outcome, cases[i].outcome);
        }
        expect_nothing_asked(f);
}

static void a_first_look_records_names_first_and_asks_for_digests_then(void **state) {
        Fixture *f = *state;
        Answer added = { 0 };
        FeedMessage file;
        Asked watch, digest;

        hello(f);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/data"), NULL, 0, on_answer, &added), 0);
        watch = await_one(f, FEED_WATCH);
        f->token = watch.m.WATCH.root;
        put_root(f, f->token, ROOT_INODE);
        put_list(f, FEED_LIST_BEGIN, ROOT_DIR);
        file = state_of(f, ROOT_DIR, "file", 10, 0);
        file.STATE.flags = FEED_FLAG_LISTED;
        file.STATE.origin = ORIGIN_SCAN;
        file.STATE.count = 0;
        put(f, file);
        put_list(f, FEED_LIST_END, ROOT_DIR);
        pass(f);
        assert_int_equal(f->n_asked, 0);
        expect_events(f, "dataset-add \ncreate file scan\n");
        expect_files(f, "file? ");
        put_walk_end(f, watch.m.WATCH.walk);
        pass(f);
        digest = take_one(f, FEED_DIGEST);
        assert_string_equal(digest.name, "file");
        assert_int_equal(digest.m.DIGEST.dir, ROOT_DIR);
        assert_int_equal(digest.m.DIGEST.inode, 10);
        file.STATE.digest = BYTES("dddddddddddddddddddddddddddddddd", 32);
        file.STATE.digest_source = DIGEST_SOURCE_READ;
        file.STATE.flags = FEED_FLAG_CONTENT;
        file.STATE.request = digest.m.DIGEST.request;
        put(f, file);
        pass(f);
        expect_events(f, "identify file scan\n");
        expect_files(f, "file ");
        expect_nothing_asked(f);
}

static void what_is_new_is_created(void **state) {
        Fixture *f = *state;
        FeedMessage m;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        put_directory(f, ROOT_DIR, "d", 11, 2);
        put_file(f, 2, "b", 12, 'b');
        m = state_of(f, 2, "l", 13, 0);
        m.STATE.mode = 0120777;
        m.STATE.target = BYTES_STR("b");
        put(f, m);
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\ncreate d x1\ncreate d/b x1\ncreate d/l x1\n");
        expect_files(f, "a d/ d/b d/l? ");
        put_file(f, ROOT_DIR, "nowhere", 14, 'n');      /* dir 99 was never announced: it is nobody's */
        put_file(f, 99, "x", 15, 'x');
        pass(f);
        expect_events(f, "create nowhere x1\n");
        expect_nothing_asked(f);
}

static void the_same_thing_told_twice_is_one_event(void **state) {
        Fixture *f = *state;
        FeedMessage m;

        with_dataset(f);
        m = state_of(f, ROOT_DIR, "a", 10, 'a');
        put(f, m);
        put(f, m);
        pass(f);
        put(f, m);
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\n");
}

static void other_content_is_a_modify_and_other_rights_are_an_attribute(void **state) {
        Fixture *f = *state;
        FeedMessage m;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\n");
        m = state_of(f, ROOT_DIR, "a", 10, 'b');
        m.STATE.count = 0;
        put(f, m);
        pass(f);
        expect_events(f, "modify a\n");
        m.STATE.mode = 0100600;
        m.STATE.digest = BYTES_NONE;
        m.STATE.digest_source = 0;
        m.STATE.flags = 0;
        m.STATE.ctime++;
        put(f, m);
        pass(f);
        expect_events(f, "attribute a\n");
        expect_files(f, "a ");
}

static void an_atomic_save_is_one_modify_that_replaces(void **state) {
        Fixture *f = *state;
        FeedMessage m;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\n");
        put_gone(f, ROOT_DIR, "a.tmp", 0, 0);           /* as a folded move reports its first name */
        m = state_of(f, ROOT_DIR, "a", 11, 'b');
        m.STATE.count = 2;
        m.STATE.flags |= FEED_FLAG_ARRIVED;
        put(f, m);
        pass(f);
        expect_events(f, "modify a x2 replaces\n");
        expect_files(f, "a ");
}

static void a_name_that_goes_and_comes_replaces(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        put_gone(f, ROOT_DIR, "a", 1, 0);
        put_file(f, ROOT_DIR, "a", 11, 'b');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\nunlink a x1\ncreate a x1 replaces\n");
        put_gone(f, ROOT_DIR, "b", 2, 0);
        pass(f);
        expect_events(f, "transient b x2\n");
        put_gone(f, ROOT_DIR, "c", 0, 0);
        pass(f);
        expect_events(f, "");
}

static void a_file_becomes_a_directory_and_the_reverse(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        put_directory(f, ROOT_DIR, "a", 11, 2);
        put_file(f, 2, "b", 12, 'b');
        put_file(f, ROOT_DIR, "a", 13, 'a');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\nunlink a\ncreate a x1 replaces\ncreate a/b x1\n"
                         "unlink a/b\nunlink a\ncreate a x1 replaces\n");
        expect_files(f, "a ");
}

static void a_rename_takes_what_is_below_along(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_directory(f, ROOT_DIR, "d", 11, 2);
        put_directory(f, ROOT_DIR, "e", 12, 3);
        put_file(f, 2, "b", 13, 'b');
        pass(f);
        expect_events(f, "dataset-add \ncreate d x1\ncreate e x1\ncreate d/b x1\n");
        put_moved(f, FEED_MOVED, ROOT_DIR, "d", 3, "sub");
        put_moved(f, FEED_MOVED, 2, "b", ROOT_DIR, "up");
        put_moved(f, FEED_MOVED, ROOT_DIR, "unknown", ROOT_DIR, "stays unknown");
        pass(f);
        expect_events(f, "rename e/sub from d x1\nrename up from e/sub/b x1\n");
        expect_files(f, "e/ e/sub/ up ");
}

/* The watcher knows it, but what is recorded above it was found to be something else, and it is not found again
 * yet. It may be gone before it is, and what moved into it too: nobody would tell of the old name. */
static void a_rename_into_a_directory_that_is_not_recorded_leaves_nothing_behind(void **state) {
        Fixture *f = *state;
        Asked check;

        with_dataset(f);
        put_directory(f, ROOT_DIR, "d", 11, 2);
        put_directory(f, 2, "e", 12, 3);
        put_directory(f, ROOT_DIR, "moves", 13, 4);
        put_file(f, ROOT_DIR, "d", 14, 'd');
        pass(f);
        expect_events(f, "dataset-add \ncreate d x1\ncreate d/e x1\ncreate moves x1\nunlink d/e\nunlink d\n"
                         "create d x1 replaces\n");
        put_moved(f, FEED_MOVED, ROOT_DIR, "moves", 3, "in");
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "moves");
        put_gone(f, 3, "in", 1, 0);
        put_gone(f, ROOT_DIR, "moves", 0, check.m.CHECK.request);
        pass(f);
        expect_files(f, "d ");
        expect_nothing_asked(f);
}

/* "d/e/f" moved elsewhere, the notice of which is not here yet, and d into it. */
static void what_a_directory_would_be_beneath_itself_by_is_looked_for(void **state) {
        Fixture *f = *state;
        Asked check;

        with_dataset(f);
        put_directory(f, ROOT_DIR, "d", 11, 2);
        put_directory(f, 2, "e", 12, 3);
        put_directory(f, 3, "f", 13, 4);
        put_directory(f, 3, "g", 14, 5);
        put_moved(f, FEED_MOVED, ROOT_DIR, "d", 4, "in");
        pass(f);
        check = take_one(f, FEED_CHECK);
        assert_string_equal(check.name, "e");
        assert_int_equal(check.m.CHECK.dir, 2);
        put_moved(f, FEED_MOVED, 3, "f", ROOT_DIR, "f");
        pass(f);
        expect_files(f, "f/ f/in/ ");
        put_directory(f, 2, "e", 12, 3);
        pass(f);
        expect_files(f, "f/ f/in/ f/in/e/ f/in/e/g/ ");
}

static void a_rename_over_a_file_replaces_it(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        put_file(f, ROOT_DIR, "b", 11, 'b');
        put_moved(f, FEED_MOVED, ROOT_DIR, "a", ROOT_DIR, "b");
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\ncreate b x1\nrename b from a x1 replaces\n");
        expect_files(f, "b ");
}

static void an_exchange_is_one_event(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        put_directory(f, ROOT_DIR, "d", 11, 2);
        put_file(f, 2, "in", 12, 'i');
        put_file(f, ROOT_DIR, "a", 13, 'a');
        put_moved(f, FEED_EXCHANGED, ROOT_DIR, "d", ROOT_DIR, "a");
        pass(f);
        expect_events(f, "dataset-add \ncreate d x1\ncreate d/in x1\ncreate a x1\n"
                         "exchange a from d x1 replaces\n");
        expect_files(f, "a/ a/in d ");
}

static void a_directory_goes_with_all_that_is_recorded_in_it(void **state) {
        Fixture *f = *state;
        char name[16];

        with_dataset(f);
        put_directory(f, ROOT_DIR, "d", 11, 2);
        put_directory(f, 2, "e", 12, 3);
        put_directory(f, 3, "f", 13, 4);
        for (int n = 0; n < 200; n++) {
                snprintf(name, sizeof(name), "%03d", n);
                put_file(f, n % 2 ? 3 : 4, name, (uint64_t) n + 100, 'x');
        }
        pass(f);
        put_gone(f, ROOT_DIR, "d", 1, 0);
        put_file(f, 4, "late", 400, 'x');               /* of a directory that is in no tree any more */
        pass(f);
        expect_files(f, "");
}

static void a_second_name_of_a_file_is_a_link(void **state) {
        Fixture *f = *state;
        FeedMessage m;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        m = state_of(f, ROOT_DIR, "b", 10, 'a');
        m.STATE.nlink = 2;
        m.STATE.mtime -= 1000 * 1000;   /* a link changes ctime only */
        put(f, m);
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\nlink b x1\n");
        expect_files(f, "a b ");
        put_file(f, ROOT_DIR, "c", 10, 'a');            /* one name is left, and it is none of those */
        pass(f);
        assert_int_equal(f->n_asked, 2);
        assert_int_equal(take_one(f, FEED_CHECK).m.CHECK.dir, ROOT_DIR);
}

static void a_node_found_under_another_name_has_moved(void **state) {
        Fixture *f = *state;
        FeedMessage m;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        expect_events(f, "dataset-add \ncreate a x1\n");
        m = state_of(f, ROOT_DIR, "b", 10, 'b');
        put(f, m);
        pass(f);
        expect_events(f, "rename b from a x1\nmodify b\n");
        expect_files(f, "b ");
}

/* Its names were told when the record had no place for it; ADOPTED: they are told now. */
static void a_directory_that_is_new_to_the_record_alone_is_listed_again(void **state) {
        static const uint8_t origins[] = { ORIGIN_LIVE, ORIGIN_RECONCILE, ORIGIN_SCAN };
        static const uint16_t flags[] = { FEED_FLAG_ADOPTED, FEED_FLAG_FOREIGN, FEED_FLAG_LISTED, 0 };
        Fixture *f = *state;
        uint64_t inode = 10;

        with_dataset(f);
        for (size_t o = 0; o < ELEMENTS(origins); o++)
                for (size_t n = 0; n < ELEMENTS(flags); n++) {
                        char name[] = { 'd', (char) ('0' + o), (char) ('0' + n), '\0' };
                        FeedMessage m = state_of(f, ROOT_DIR, name, inode++, 0);
                        Asked check;

                        m.STATE.mode = 040755;
                        m.STATE.origin = origins[o];
                        m.STATE.flags = flags[n];
                        put(f, m);
                        pass(f);
                        if (!(flags[n] & (FEED_FLAG_ADOPTED | FEED_FLAG_FOREIGN))) {
                                check = take_one(f, FEED_CHECK);
                                assert_string_equal(check.name, name);
                                assert_true(check.m.CHECK.list);
                                assert_int_equal(check.m.CHECK.origin, origins[o]);
                        }
                        expect_nothing_asked(f);
                }
}

/* Before the first of them has been answered. */
static void two_that_are_added_at_once_have_two_names(void **state) {
        Fixture *f = *state;
        Answer first = { 0 }, second = { 0 }, third = { 0 };

        with_dataset(f);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/a/x"), NULL, 0, on_answer, &first), 0);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/b/x"), NULL, 0, on_answer, &second), 0);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/c/x"), "x", 0, on_answer, &third), 0);
        wait_for(f, &third.times, 1);
        assert_int_equal(third.result.outcome, INTAKE_E_NAME_TAKEN);
        put_root(f, await_one(f, FEED_WATCH).m.WATCH.root, ROOT_INODE + 1);
        put_root(f, await_one(f, FEED_WATCH).m.WATCH.root, ROOT_INODE + 2);
        pass(f);
        assert_string_equal(first.dataset, "x");
        assert_string_equal(second.dataset, "x-2");
        assert_int_equal(f->resets, 0);
}

static void what_the_watcher_counts_is_shown(void **state) {
        Fixture *f = *state;
        IntakeStatus status;

        with_dataset(f);
        put(f, (FeedMessage) { .type = FEED_COUNTS, .COUNTS = { .pending = 3, .watches = 4, .overflows = 5,
                                                                .walked_twice = 6, .swept = 7,
                                                                .walked_again = 8 } });
        pass(f);
        intake_status(f->intake, 0, &status);
        assert_int_equal(status.pending, 3);
        assert_int_equal(status.watches, 4);
        assert_int_equal(status.overflows, 5);
        assert_int_equal(status.walked_twice, 6);
        assert_int_equal(status.swept, 7);
        assert_int_equal(status.walked_again, 8);
        assert_true(status.watched);
        assert_false(status.scanning);
        assert_null(intake_degraded(f->intake));
}

static void a_commit_of_head_is_an_event_when_it_moves(void **state) {
        static const char one[] = "1111111111111111111111111111111111111111";
        Fixture *f = *state;
        FeedMessage m = { .type = FEED_HEAD };

        with_dataset(f);
        m.HEAD = (Feed_HEAD) { .root = f->token, .kind = DATASET_KIND_GIT,
                               .commit = BYTES_STR(one), .time = f->now };
        put(f, m);
        put(f, m);
        pass(f);
        expect_events(f, "dataset-add \ncommit \n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_directory_becomes_a_dataset_when_its_root_is_watched),
                TEST(a_root_that_cannot_be_watched_is_refused_with_its_reason),
                TEST(paths_and_names_that_are_in_the_way_are_refused),
                TEST(a_first_look_records_names_first_and_asks_for_digests_then),
                TEST(what_is_new_is_created),
                TEST(the_same_thing_told_twice_is_one_event),
                TEST(other_content_is_a_modify_and_other_rights_are_an_attribute),
                TEST(an_atomic_save_is_one_modify_that_replaces),
                TEST(a_name_that_goes_and_comes_replaces),
                TEST(a_file_becomes_a_directory_and_the_reverse),
                TEST(a_rename_takes_what_is_below_along),
                TEST(a_rename_into_a_directory_that_is_not_recorded_leaves_nothing_behind),
                TEST(what_a_directory_would_be_beneath_itself_by_is_looked_for),
                TEST(a_rename_over_a_file_replaces_it),
                TEST(an_exchange_is_one_event),
                TEST(a_directory_goes_with_all_that_is_recorded_in_it),
                TEST(a_second_name_of_a_file_is_a_link),
                TEST(a_node_found_under_another_name_has_moved),
                TEST(a_directory_that_is_new_to_the_record_alone_is_listed_again),
                TEST(two_that_are_added_at_once_have_two_names),
                TEST(what_the_watcher_counts_is_shown),
                TEST(a_commit_of_head_is_an_event_when_it_moves),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
