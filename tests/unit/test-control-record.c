/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/control-fixture.h"

/* Files named from, from+1, ... as one transaction; the store's seq is 1 after the fixture's dataset-add. */
static void make_files(Server *s, int from, int n) {
        char name[64];

        begin(&s->store);
        for (int i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "file-%06d", from + i);
                make(&s->store, s->store.root, name, TYPE_FILE, i);
        }
        commit(&s->store);
}

static void tell_commit(Server *s) {
        asked.commit_fn(asked.commit_userdata, store_last_seq(s->store.store));
}

static void events(Talk *t, const char *json) {
        json_t *parameters = json_loads(json, 0, NULL);

        assert_non_null(parameters);
        call(t, "org.scitrace.Record.Events", VARLINK_MORE, parameters);
}

static void events_come_in_order_within_their_bounds(void **state) {
        static const struct {
                const char *parameters, *seqs;
        } cases[] = {
                { "{}", "1 2 3 4 5 6 " },
                { "{\"reverse\":true}", "6 5 4 3 2 1 " },
                { "{\"after\":4}", "5 6 " },
                { "{\"before\":3,\"reverse\":true}", "2 1 " },
                { "{\"limit\":2}", "1 2 " },
                { "{\"limit\":2,\"reverse\":true}", "6 5 " },
                { "{\"limit\":6}", "1 2 3 4 5 6 " },
                { "{\"kinds\":[\"create\"],\"limit\":1}", "2 " },
                { "{\"kinds\":[\"dataset-add\",\"unlink\"]}", "1 " },
                { "{\"origins\":[\"scan\"]}", "" },
                { "{\"after\":6}", "" },
                { "{\"dataset\":\"one\",\"after\":5}", "6 " },
                { "{\"paths\":[{\"path\":\"/data/one/file-000001/\"}]}", "3 " },
        };
        Server *s = *state;
        Talk t = talk(s);
        char seqs[256];

        make_files(s, 0, 5);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                events(&t, cases[i].parameters);
                (void) rows(&t, "event", "seq", seqs, sizeof(seqs));
                if (strcmp(seqs, cases[i].seqs) != 0)
                        fail_msg("%s: %s", cases[i].parameters, seqs);
        }
        hang_up(&t);
}

static void events_refuses_what_makes_no_sense(void **state) {
        static const struct {
                const char *parameters, *wrong;
        } cases[] = {
                { "{\"limit\":0}", "limit" },
                { "{\"limit\":-1}", "limit" },
                { "{\"kinds\":[\"Create\"]}", "kinds" },
                { "{\"origins\":[\"create\"]}", "origins" },
                { "{\"follow\":true,\"reverse\":true}", "reverse" },
                { "{\"follow\":true,\"before\":9}", "before" },
                { "{\"paths\":[{\"path\":\"a\"}]}", "paths" },
                { "{\"paths\":[{\"path\":\"/a/../b\"}]}", "paths" },
                { "{\"paths\":[{}]}", "paths" },
                { "{\"paths\":[{\"path\":\"/a\",\"pathBase64\":\"L2E=\"}]}", "paths" },
                { "{\"paths\":[{\"pathBase64\":\"L2E\"}]}", "paths" },
                { "{\"after\":-1}", "after" },
        };
        Talk t = talk(*state);

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkReply r;

                events(&t, cases[i].parameters);
                r = expect_error(&t, "org.varlink.service.InvalidParameter");
                assert_string_equal(json_string_value(json_object_get(r.parameters, "parameter")),
                                    cases[i].wrong);
                varlink_reply_done(&r);
        }
        events(&t, "{\"dataset\":\"two\"}");
        expect_refusal(&t, "org.scitrace.Datasets.NoSuchDataset");
        events(&t, "{\"paths\":[{\"path\":\"/data/one\"},{\"path\":\"/data/onet\"}]}");
        expect_refusal(&t, "org.scitrace.Record.NotWatched");
        hang_up(&t);
}

/* Reads rows that are there; the seqs must go on from *seq. */
static void follow_to(Talk *t, int64_t *seq, int64_t last) {
        while (*seq < last) {
                VarlinkReply r = reply(t);

                assert_null(r.error);
                assert_true(r.continues);
                assert_int_equal(
                        json_integer_value(json_object_get(json_object_get(r.parameters, "event"), "seq")),
                        ++*seq);
                varlink_reply_done(&r);
        }
}

static void a_follower_gets_each_event_once_and_goes_on(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        int64_t seq = 0;
        VarlinkReply r;

        make_files(s, 0, 3);
        events(&t, "{\"follow\":true}");
        follow_to(&t, &seq, 4);
        for (int round = 0; round < 5; round++) {
                make_files(s, 100 + 10 * round, 10);
                tell_commit(s);
                follow_to(&t, &seq, 4 + 10 * (round + 1));
        }
        tell_commit(s);
        run_dry(s);
        assert_int_equal(take(&t, false, &r), -1);
        hang_up(&t);
}

static void a_follower_for_whom_there_is_nothing_rests(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        VarlinkReply r;

        events(&t, "{\"follow\":true,\"kinds\":[\"unlink\"]}");
        make_files(s, 0, 3);
        tell_commit(s);
        run_dry(s);
        make_files(s, 3, 3);
        tell_commit(s);
        run_dry(s);
        assert_int_equal(take(&t, false, &r), -1);
        hang_up(&t);
}

static void a_follower_with_a_limit_ends(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        char seqs[64];

        events(&t, "{\"follow\":true,\"limit\":3,\"after\":1}");
        run(s);
        make_files(s, 0, 1);
        tell_commit(s);
        wait_for_news(s);
        make_files(s, 1, 5);
        tell_commit(s);
        (void) rows(&t, "event", "seq", seqs, sizeof(seqs));
        assert_string_equal(seqs, "2 3 4 ");
        hang_up(&t);
}

/* More followers than query threads: while they are parked, others are answered. */
static void parked_followers_hold_no_thread(void **state) {
        Server *s = *state;
        Talk followers[3 * POOL_THREADS], t = talk(s);
        int64_t seqs[3 * POOL_THREADS] = { 0 };

        for (size_t i = 0; i < ELEMENTS(followers); i++) {
                followers[i] = talk(s);
                events(&followers[i], "{\"follow\":true}");
                follow_to(&followers[i], &seqs[i], 1);
        }
        events(&t, "{}");
        assert_int_equal(rows(&t, "event", "seq", NULL, 0), 1);
        make_files(s, 0, 2);
        tell_commit(s);
        for (size_t i = 0; i < ELEMENTS(followers); i++)
                follow_to(&followers[i], &seqs[i], 3);
        for (size_t i = 0; i < ELEMENTS(followers); i++)
                hang_up(&followers[i]);
        hang_up(&t);
}

/* 20,000 events are about 6 MB: far more than what sockets and buffers hold. */
static void clients_that_do_not_read_hold_no_thread_and_miss_nothing(void **state) {
        Server *s = *state;
        Talk slow[2 * POOL_THREADS], t = talk(s);

        make_files(s, 0, 20000);
        for (size_t i = 0; i < ELEMENTS(slow); i++) {
                slow[i] = talk(s);
                events(&slow[i], i % 2 ? "{\"reverse\":true}" : "{}");
        }
        for (int i = 0; i < 50; i++) {
                events(&t, "{\"limit\":5}");
                assert_int_equal(rows(&t, "event", "seq", NULL, 0), 5);
        }
        for (size_t i = 0; i < ELEMENTS(slow); i++) {
                int64_t seq = i % 2 ? 20002 : 0, last = i % 2 ? 1 : 20001;
                bool more = true;

                while (more) {
                        VarlinkReply r = reply(&slow[i]);

                        seq += i % 2 ? -1 : 1;
                        assert_null(r.error);
                        assert_int_equal(json_integer_value(json_object_get(
                                                 json_object_get(r.parameters, "event"), "seq")),
                                         seq);
                        more = r.continues;
                        varlink_reply_done(&r);
                }
                assert_int_equal(seq, last);
                hang_up(&slow[i]);
        }
        hang_up(&t);
}

/* A listing of files cannot go on where it stopped: its thread waits, and another takes its place. */
static void clients_that_do_not_read_files_keep_nobody_waiting(void **state) {
        Server *s = *state;
        Talk slow[POOL_THREADS_MAX - POOL_THREADS], t = talk(s);

        make_files(s, 0, 5000);
        for (size_t i = 0; i < ELEMENTS(slow); i++) {
                slow[i] = talk(s);
                call(&slow[i], "org.scitrace.Record.Files", VARLINK_MORE,
                     json_pack("{ss}", "dataset", "one"));
                run_dry(s);
        }
        for (int i = 0; i < 10; i++) {
                events(&t, "{\"limit\":5}");
                assert_int_equal(rows(&t, "event", "seq", NULL, 0), 5);
        }
        for (size_t i = 0; i < ELEMENTS(slow); i++) {
                assert_int_equal(rows(&slow[i], "file", "seq", NULL, 0), 5000);
                hang_up(&slow[i]);
        }
        run_dry(s);
        events(&t, "{\"limit\":5}");
        assert_int_equal(rows(&t, "event", "seq", NULL, 0), 5);
        hang_up(&t);
}

static void a_client_that_leaves_in_the_middle_leaves_nothing_behind(void **state) {
        Server *s = *state;
        Talk t = talk(s);

        make_files(s, 0, 5000);
        for (int i = 0; i < 6; i++) {
                Talk gone = talk(s);
                VarlinkReply r;

                call(&gone, "org.scitrace.Record.Files", VARLINK_MORE, json_pack("{ss}", "dataset", "one"));
                r = reply(&gone);
                varlink_reply_done(&r);
                if (i % 2)
                        run_dry(s);     /* the thread waits for the client now */
                hang_up(&gone);
        }
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE, json_pack("{ss}", "dataset", "one"));
        assert_int_equal(rows(&t, "file", "seq", NULL, 0), 5000);
        hang_up(&t);
}

static void files_history_and_show_answer(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        VarlinkReply r;
        char paths[256];
        int64_t folder;

        begin(&s->store);
        folder = make(&s->store, s->store.root, "d", TYPE_DIRECTORY, 0);
        make(&s->store, folder, "caf\xe9", TYPE_FILE, 3);
        make(&s->store, s->store.root, "e", TYPE_SYMLINK, 0);
        commit(&s->store);
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE, json_pack("{ss}", "dataset", "one"));
        assert_int_equal(rows(&t, "file", "path", paths, sizeof(paths)), 3);
        assert_string_equal(paths, "d e ");
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE,
             json_pack("{s{ss}}", "directory", "path", "/data/one/d"));
        (void) rows(&t, "file", "pathBase64", paths, sizeof(paths));
        assert_string_equal(paths, "ZC9jYWbp ");
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE,
             json_pack("{ss si}", "dataset", "one", "limit", 2));
        assert_int_equal(rows(&t, "file", "path", NULL, 0), 2);
        call(&t, "org.scitrace.Record.Show", 0, json_pack("{ss}", "path", "/data/one/e"));
        r = reply(&t);
        assert_string_equal(
                json_string_value(json_object_get(json_object_get(r.parameters, "file"), "target")),
                "target");
        varlink_reply_done(&r);
        call(&t, "org.scitrace.Record.History", VARLINK_MORE,
             json_pack("{ss}", "pathBase64", "L2RhdGEvb25lL2QvY2Fm6Q=="));
        assert_int_equal(rows(&t, "event", "kind", paths, sizeof(paths)), 1);
        assert_string_equal(paths, "create ");
        hang_up(&t);
}

static void what_is_not_there_is_said_with_where_it_would_be(void **state) {
        static const char *const methods[] = { "org.scitrace.Record.Show", "org.scitrace.Record.History" };
        Talk t = talk(*state);
        VarlinkReply r;

        for (size_t i = 0; i < ELEMENTS(methods); i++) {
                call(&t, methods[i], VARLINK_MORE, json_pack("{ss}", "path", "/data/one/none"));
                r = expect_error(&t, "org.scitrace.Record.NoSuchFile");
                assert_string_equal(json_string_value(json_object_get(r.parameters, "dataset")), "one");
                varlink_reply_done(&r);
                call(&t, methods[i], VARLINK_MORE, json_pack("{ss}", "path", "/elsewhere"));
                expect_refusal(&t, "org.scitrace.Record.NotWatched");
                call(&t, methods[i], VARLINK_MORE, NULL);
                expect_refusal(&t, "org.varlink.service.InvalidParameter");
        }
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE, json_pack("{ss}", "dataset", "two"));
        expect_refusal(&t, "org.scitrace.Datasets.NoSuchDataset");
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE, NULL);
        expect_refusal(&t, "org.varlink.service.InvalidParameter");
        call(&t, "org.scitrace.Record.Files", VARLINK_MORE,
             json_pack("{ss s{ss}}", "dataset", "one", "directory", "path", "/data/one"));
        expect_refusal(&t, "org.varlink.service.InvalidParameter");
        call(&t, "org.scitrace.Datasets.Coverage", VARLINK_MORE, json_pack("{ss}", "name", "two"));
        expect_refusal(&t, "org.scitrace.Datasets.NoSuchDataset");
        hang_up(&t);
}

static void coverage_has_the_gaps(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        char states[64];

        begin(&s->store);
        append(&s->store, (Event) { .kind = KIND_GAP_OPEN, .cause = CAUSE_OVERFLOW });
        commit(&s->store);
        call(&t, "org.scitrace.Datasets.Coverage", VARLINK_MORE, json_pack("{ss}", "name", "one"));
        (void) rows(&t, "stretch", "state", states, sizeof(states));
        assert_string_equal(states, "covered gap ");
        hang_up(&t);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_start, server_stop)

int main(void) {
        const struct CMUnitTest tests[] = {
                SERVER_TEST(events_come_in_order_within_their_bounds),
                SERVER_TEST(events_refuses_what_makes_no_sense),
                SERVER_TEST(a_follower_gets_each_event_once_and_goes_on),
                SERVER_TEST(a_follower_for_whom_there_is_nothing_rests),
                SERVER_TEST(a_follower_with_a_limit_ends),
                SERVER_TEST(parked_followers_hold_no_thread),
                SERVER_TEST(clients_that_do_not_read_hold_no_thread_and_miss_nothing),
                SERVER_TEST(clients_that_do_not_read_files_keep_nobody_waiting),
                SERVER_TEST(a_client_that_leaves_in_the_middle_leaves_nothing_behind),
                SERVER_TEST(files_history_and_show_answer),
                SERVER_TEST(what_is_not_there_is_said_with_where_it_would_be),
                SERVER_TEST(coverage_has_the_gaps),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
