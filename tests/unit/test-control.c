/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/control-fixture.h"

static void ping_and_info_answer(void **state) {
        Talk t = talk(*state);
        VarlinkReply r;

        call(&t, "org.scitrace.Service.Ping", 0, NULL);
        r = reply(&t);
        assert_null(r.error);
        assert_int_equal(json_object_size(r.parameters), 0);
        varlink_reply_done(&r);

        call(&t, "org.varlink.service.GetInfo", 0, NULL);
        r = reply(&t);
        assert_string_equal(json_string_value(json_object_get(r.parameters, "product")), "scitraced");
        assert_int_equal(json_array_size(json_object_get(r.parameters, "interfaces")), 7);
        varlink_reply_done(&r);

        call(&t, "org.varlink.service.GetInterfaceDescription", 0,
             json_pack("{ss}", "interface", "org.scitrace.Store"));
        r = reply(&t);
        assert_string_equal(json_string_value(json_object_get(r.parameters, "description")),
                            interfaces_text("org.scitrace.Store"));
        varlink_reply_done(&r);

        call(&t, "org.varlink.service.GetInterfaceDescription", 0,
             json_pack("{ss}", "interface", "org.scitrace"));
        expect_refusal(&t, "org.varlink.service.InterfaceNotFound");
        hang_up(&t);
}

static void calls_that_are_sent_together_are_answered_in_order(void **state) {
        static const char both[] =
                "{\"method\":\"org.scitrace.Store.Describe\"}\0{\"method\":\"org.scitrace.Service.Ping\"}\0"
                "{\"method\":\"org.scitrace.Service.Ping\",\"oneway\":true}\0{\"method\":\"a.b.C\"}";
        Talk t = talk(*state);
        VarlinkReply r;

        snprintf(t.method, sizeof(t.method), "org.scitrace.Store.Describe");
        say(&t, both, sizeof(both));
        r = reply(&t);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "events")), 1);
        varlink_reply_done(&r);
        snprintf(t.method, sizeof(t.method), "org.scitrace.Service.Ping");
        r = reply(&t);
        assert_null(r.error);
        varlink_reply_done(&r);
        expect_refusal(&t, "org.varlink.service.InterfaceNotFound");
        hang_up(&t);
}

static void what_is_not_a_call_ends_the_connection(void **state) {
        static const char *const bad[] = {
                "x",
                "{}",
                "[]",
                "{\"method\":\"a.B\",\"method\":\"a.B\"}",
                "{\"method\":1}",
                "{\"method\":\"org.scitrace.Service.Ping\",\"parameters\":{\"a\":[[[[[[[[[[[[[[[[[[]]]]]]]]]"
                "]]]]]]]]]}}",
        };

        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                Talk t = talk(*state);
                VarlinkReply r;

                say(&t, bad[i], strlen(bad[i]) + 1);
                assert_int_equal(take(&t, true, &r), 0);
                hang_up(&t);
        }
}

static void the_sixty_fifth_connection_is_turned_away(void **state) {
        Talk all[CONTROL_CONNECTIONS_MAX], late;

        for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
                all[i] = talk(*state);
        late = talk(*state);
        expect_refusal(&late, "org.scitrace.Service.RateLimited");
        assert_int_equal(take(&late, true, &(VarlinkReply) { 0 }), 0);
        hang_up(&late);
        call(&all[63], "org.scitrace.Service.Ping", 0, NULL);
        assert_int_equal(rows(&all[63], "", "", NULL, 0), 0);
        hang_up(&all[0]);
        late = talk(*state);
        call(&late, "org.scitrace.Service.Ping", 0, NULL);
        assert_int_equal(rows(&late, "", "", NULL, 0), 0);
        hang_up(&late);
        for (int i = 1; i < CONTROL_CONNECTIONS_MAX; i++)
                hang_up(&all[i]);
}

/* A client with another uid: the kernel takes the effective one. */
static Talk talk_as(Server *s, uid_t uid) {
        Talk t;

        assert_int_equal(chmod(s->store.dir, 0711), 0);
        assert_int_equal(chmod(s->socket, 0666), 0);
        assert_int_equal(seteuid(uid), 0);
        t = talk(s);
        assert_int_equal(seteuid(0), 0);
        return t;
}

static void others_get_ping_and_the_description_and_nothing_else(void **state) {
        Talk t;

        if (getuid() != 0)
                skip();
        t = talk_as(*state, 65534);
        call(&t, "org.scitrace.Service.Ping", 0, NULL);
        assert_int_equal(rows(&t, "", "", NULL, 0), 0);
        call(&t, "org.scitrace.Service.Describe", 0, NULL);
        expect_refusal(&t, "org.varlink.service.PermissionDenied");
        call(&t, "org.scitrace.Record.Events", VARLINK_MORE, NULL);
        expect_refusal(&t, "org.varlink.service.PermissionDenied");
        call(&t, "no.such.Method", 0, NULL);
        expect_refusal(&t, "org.varlink.service.PermissionDenied");
        hang_up(&t);
}

static void nobody_can_lock_the_administrator_out(void **state) {
        Talk all[CONTROL_CONNECTIONS_MAX - CONTROL_CONNECTIONS_KEPT], late;
        Server *s = *state;

        if (getuid() != 0)
                skip();
        for (size_t i = 0; i < ELEMENTS(all); i++)
                all[i] = talk_as(s, 60000 + (uid_t) (i / CONTROL_CONNECTIONS_UID_MAX));
        late = talk_as(s, 60000);       /* its ninth */
        expect_refusal(&late, "org.scitrace.Service.RateLimited");
        hang_up(&late);
        late = talk_as(s, 61000);       /* its first, but the rest is kept */
        expect_refusal(&late, "org.scitrace.Service.RateLimited");
        hang_up(&late);
        late = talk(s);
        call(&late, "org.scitrace.Service.Ping", 0, NULL);
        assert_int_equal(rows(&late, "", "", NULL, 0), 0);
        hang_up(&late);

        hang_up(&all[0]);
        hang_up(&all[ELEMENTS(all) - 1]);
        all[0] = talk_as(s, 60000);     /* its eighth again */
        call(&all[0], "org.scitrace.Service.Ping", 0, NULL);
        assert_int_equal(rows(&all[0], "", "", NULL, 0), 0);
        late = talk_as(s, 60000);
        expect_refusal(&late, "org.scitrace.Service.RateLimited");
        hang_up(&late);
        for (size_t i = 0; i + 1 < ELEMENTS(all); i++)
                hang_up(&all[i]);
}

static void describe_tells_what_the_stages_say(void **state) {
        Talk t = talk(*state);
        VarlinkReply r;

        asked.status = (WatchersStatus){
                .pending = 3, .watches = 4, .overflows = 5, .walked_twice = 6, .swept = 8, .walked_again = 9,
                .restarts = 7
        };
        asked.degraded = "The disk is full.";
        call(&t, "org.scitrace.Service.Describe", 0, NULL);
        r = reply(&t);
        assert_string_equal(json_string_value(json_object_get(r.parameters, "state")), "degraded");
        assert_string_equal(json_string_value(json_object_get(r.parameters, "reason")), "The disk is full.");
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "pending")), 3);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "walkedTwice")), 6);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "swept")), 8);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "walkedAgain")), 9);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "datasets")), 1);
        assert_in_range(json_integer_value(json_object_get(r.parameters, "memoryBytes")), 1 << 20,
                        INT64_C(1) << 40);
        assert_in_range(json_integer_value(json_object_get(r.parameters, "storeBytes")), 4096, 1 << 24);
        varlink_reply_done(&r);

        asked.degraded = NULL;
        asked.unsealed = "nothing is sealed";
        call(&t, "org.scitrace.Service.Describe", 0, NULL);
        r = reply(&t);
        assert_string_equal(json_string_value(json_object_get(r.parameters, "state")), "degraded");
        assert_string_equal(json_string_value(json_object_get(r.parameters, "reason")), "nothing is sealed");
        varlink_reply_done(&r);

        asked.unsealed = NULL;
        call(&t, "org.scitrace.Service.Describe", 0, NULL);
        r = reply(&t);
        assert_string_equal(json_string_value(json_object_get(r.parameters, "state")), "running");
        assert_null(json_object_get(r.parameters, "reason"));
        varlink_reply_done(&r);
        hang_up(&t);
}

static void answer(Server *s, IntakeResult result) {
        void *userdata = asked.userdata;

        assert_non_null(userdata);
        asked.userdata = NULL;
        asked.done(userdata, &result);
        run(s);
}

static void settle_answers_when_the_watchers_do(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        VarlinkReply r;

        call(&t, "org.scitrace.Service.Settle", 0,
             json_pack("{ss sI}", "dataset", "one", "timeoutUsec", (json_int_t) 5));
        run(s);
        assert_string_equal(asked.what, "settle");
        assert_string_equal(asked.dataset, "one");
        assert_int_equal(asked.timeout, 5);
        assert_int_equal(take(&t, false, &r), -1);
        answer(s, (IntakeResult) { .seq = 9, .digests_pending = 2 });
        r = reply(&t);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "seq")), 9);
        varlink_reply_done(&r);

        call(&t, "org.scitrace.Service.Settle", 0, NULL);
        run(s);
        assert_int_equal(asked.timeout, 60 * USEC_PER_SEC);
        answer(s, (IntakeResult) { .outcome = INTAKE_E_NOT_SETTLED, .pending = 4, .stalled = true });
        r = expect_error(&t, "org.scitrace.Service.NotSettled");
        assert_true(json_is_true(json_object_get(r.parameters, "stalled")));
        varlink_reply_done(&r);

        call(&t, "org.scitrace.Service.Settle", 0, json_pack("{ss}", "dataset", "two"));
        run(s);
        answer(s, (IntakeResult) { .outcome = INTAKE_E_NO_DATASET });
        expect_refusal(&t, "org.scitrace.Datasets.NoSuchDataset");
        call(&t, "org.scitrace.Service.Settle", 0, json_pack("{sI}", "timeoutUsec", (json_int_t) 0));
        expect_refusal(&t, "org.varlink.service.InvalidParameter");
        hang_up(&t);
}

static void a_client_that_leaves_is_forgotten_by_who_works_for_it(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        void *userdata;

        call(&t, "org.scitrace.Service.Settle", 0, NULL);
        run(s);
        userdata = asked.userdata;
        assert_non_null(userdata);
        hang_up(&t);
        assert_ptr_equal(asked.forgotten, userdata);
        assert_null(asked.userdata);
}

/* Each outcome: its error, and that the sentence names what it is about. */
static void every_outcome_of_add_has_its_error_and_a_sentence(void **state) {
        static const struct {
                IntakeOutcome outcome;
                const char *dataset, *error, *reason, *says;
        } cases[] = {
                { INTAKE_E_NAME_TAKEN, "n", "org.scitrace.Datasets.NameTaken", NULL, "'n'" },
                { INTAKE_E_NAME_INVALID, "n", "org.scitrace.Datasets.InvalidName", NULL, "'n'" },
                { INTAKE_E_MISSING, NULL, "org.scitrace.Datasets.CannotWatch", "missing",
                  "/d\\xff does not exist" },
                { INTAKE_E_NOT_DIRECTORY, NULL, "org.scitrace.Datasets.CannotWatch", "not-directory",
                  "not a directory" },
                { INTAKE_E_PERMISSION, NULL, "org.scitrace.Datasets.CannotWatch", "permission",
                  "may not be read" },
                { INTAKE_E_INSIDE, "o", "org.scitrace.Datasets.CannotWatch", "inside",
                  "inside dataset 'o'" },
                { INTAKE_E_NOT_KNOWN, NULL, "org.scitrace.Datasets.CannotWatch", "not-known", "--name" },
                { INTAKE_E_NO_WATCHER, NULL, "org.scitrace.Datasets.CannotWatch", "no-watcher",
                  "no watcher answers" },
                { INTAKE_E_WATCHED, "o", "org.scitrace.Datasets.CannotWatch", "watched", "'o'" },
                { INTAKE_E_NOT_ABSOLUTE, NULL, "org.scitrace.Datasets.CannotWatch", "not-absolute",
                  "absolute" },
                { INTAKE_E_OWN, NULL, "org.scitrace.Datasets.CannotWatch", "own", "own record" },
                { INTAKE_E_FAILED, NULL, "org.scitrace.Service.Failed", NULL, "No space left" },
        };
        Server *s = *state;
        Talk t = talk(s);
        VarlinkReply refused;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkReply r;
                const char *message, *reason;

                call(&t, "org.scitrace.Datasets.Add", 0, json_pack("{ss}", "pathBase64", "L2T/"));
                run(s);
                assert_string_equal(asked.path, "/d\xff");
                answer(s, (IntakeResult){ .outcome = cases[i].outcome,
                                          .dataset = cases[i].dataset,
                                          .error = -ENOSPC });
                r = expect_error(&t, cases[i].error);
                message = json_string_value(json_object_get(r.parameters, "message"));
                reason = json_string_value(json_object_get(r.parameters, "reason"));
                if (!strstr(message, cases[i].says))
                        fail_msg("%s", message);
                if (cases[i].reason) {
                        assert_string_equal(reason, cases[i].reason);
                        assert_string_equal(json_string_value(json_object_get(r.parameters, "pathBase64")),
                                            "L2T/");
                }
                varlink_reply_done(&r);
        }
        call(&t, "org.scitrace.Datasets.Add", 0, NULL);
        expect_refusal(&t, "org.varlink.service.InvalidParameter");

        asked.degraded = "free some space";
        call(&t, "org.scitrace.Service.Settle", 0, NULL);
        run(s);
        answer(s, (IntakeResult){ .outcome = INTAKE_E_FAILED, .error = -ENOSPC });
        asked.degraded = NULL;
        refused = expect_error(&t, "org.scitrace.Service.Failed");
        assert_string_equal(json_string_value(json_object_get(refused.parameters, "message")),
                            "At present nothing can be recorded (No space left on device): free some space.");
        varlink_reply_done(&refused);
        hang_up(&t);
}

static void add_answers_with_the_dataset_and_list_with_all(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        char names[64];
        int64_t root;
        VarlinkReply r;

        call(&t, "org.scitrace.Datasets.Add", 0, json_pack("{ss}", "path", "/data/two"));
        run(s);
        begin(&s->store);
        add_dataset(&s->store, "two", "/data/two", &root);
        commit(&s->store);
        asked.status = (WatchersStatus) { .scanning = true, .watches = 8 };
        answer(s, (IntakeResult) { .dataset = "two" });
        r = reply(&t);
        assert_null(r.error);
        r.parameters = json_object_get(r.parameters, "dataset");
        assert_string_equal(json_string_value(json_object_get(r.parameters, "name")), "two");
        assert_string_equal(json_string_value(json_object_get(r.parameters, "path")), "/data/two");
        assert_string_equal(json_string_value(json_object_get(r.parameters, "state")), "scanning");
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "watches")), 8);
        varlink_reply_done(&r);

        call(&t, "org.scitrace.Datasets.List", VARLINK_MORE, NULL);
        assert_int_equal(rows(&t, "dataset", "name", names, sizeof(names)), 2);
        assert_string_equal(names, "one two ");
        call(&t, "org.scitrace.Datasets.List", 0, json_pack("{ss}", "name", "one"));
        assert_int_equal(rows(&t, "dataset", "name", names, sizeof(names)), 1);
        call(&t, "org.scitrace.Datasets.List", 0, json_pack("{ss}", "name", "three"));
        expect_refusal(&t, "org.scitrace.Datasets.NoSuchDataset");
        call(&t, "org.scitrace.Datasets.List", 0, NULL);
        expect_refusal(&t, "org.varlink.service.ExpectedMore");
        hang_up(&t);
}

static void remove_and_scan_are_passed_on(void **state) {
        static const struct {
                const char *method, *what;
        } cases[] = { { "org.scitrace.Datasets.Remove", "remove" },
                      { "org.scitrace.Datasets.Scan", "scan" } };
        Server *s = *state;
        Talk t = talk(s);

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                call(&t, cases[i].method, 0, json_pack("{ss}", "name", "one"));
                run(s);
                assert_string_equal(asked.what, cases[i].what);
                assert_string_equal(asked.dataset, "one");
                answer(s, (IntakeResult) { 0 });
                assert_int_equal(rows(&t, "", "", NULL, 0), 0);
                call(&t, cases[i].method, 0, json_pack("{ss}", "name", "\x1b[1m"));
                run(s);
                answer(s, (IntakeResult) { .outcome = INTAKE_E_NO_DATASET });
                expect_refusal(&t, "org.scitrace.Datasets.NoSuchDataset");
                call(&t, cases[i].method, 0, NULL);
                expect_refusal(&t, "org.varlink.service.InvalidParameter");
        }
        hang_up(&t);
}

static int send_backup(Talk *t, int fd) {
        static const char text[] = "{\"method\":\"org.scitrace.Store.Backup\"}";
        char control[CMSG_SPACE(sizeof(int))] = { 0 };
        struct iovec iov = { (void *) text, sizeof(text) };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };

        *CMSG_FIRSTHDR(&m) = (struct cmsghdr) {
                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd)),
        };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
        snprintf(t->method, sizeof(t->method), "org.scitrace.Store.Backup");
        return sendmsg(t->fd, &m, 0) == sizeof(text) ? 0 : -errno;
}

static void a_backup_needs_a_writable_file(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        int bad[] = { open("/dev/null", O_WRONLY), open("/proc/self/exe", O_RDONLY), open("/tmp", O_PATH) };
        FILE *file = tmpfile();
        VarlinkReply r;

        call(&t, "org.scitrace.Store.Backup", 0, NULL);
        expect_refusal(&t, "org.scitrace.Store.NoDescriptor");
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                assert_int_equal(send_backup(&t, bad[i]), 0);
                expect_refusal(&t, "org.scitrace.Store.NoDescriptor");
                close(bad[i]);
        }
        assert_int_equal(asked.fd, -1);
        assert_int_equal(send_backup(&t, fileno(file)), 0);
        run(s);
        assert_true(asked.fd >= 0);
        assert_int_equal(write(asked.fd, "x", 1), 1);
        asked.backup_fn(STEAL(asked.userdata), 0, 1, 5);
        r = reply(&t);
        assert_int_equal(json_integer_value(json_object_get(r.parameters, "bytes")), 1);
        varlink_reply_done(&r);
        assert_int_equal(fcntl(asked.fd, F_GETFD), -1);

        assert_int_equal(send_backup(&t, fileno(file)), 0);
        run(s);
        asked.backup_fn(STEAL(asked.userdata), -ENOSPC, 0, 0);
        expect_refusal(&t, "org.scitrace.Service.Failed");
        fclose(file);
        hang_up(&t);
}

static void a_backup_keeps_its_file_when_the_client_leaves(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        FILE *file = tmpfile();

        assert_int_equal(send_backup(&t, fileno(file)), 0);
        run(s);
        fclose(file);
        hang_up(&t);
        assert_non_null(asked.userdata);
        assert_true(fcntl(asked.fd, F_GETFD) >= 0);
        asked.backup_fn(STEAL(asked.userdata), 0, 1, 5);
        assert_int_equal(fcntl(asked.fd, F_GETFD), -1);
}

static void the_newest_sample_and_the_stored_series_are_given(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        char names[4096];
        int n;

        call(&t, "org.scitrace.Metrics.Sample", VARLINK_MORE, NULL);
        assert_int_equal(rows(&t, "point", "name", NULL, 0), 0);
        for (int i = 1; i <= 3; i++)
                assert_int_equal(
                        metrics_sample(s->metrics, (T0 + i) * (int64_t) USEC_PER_SEC, NULL, 0, s->store.dir),
                        0);
        call(&t, "org.scitrace.Metrics.Sample", VARLINK_MORE, json_pack("{s[s]}", "names", "node_load"));
        assert_int_equal(rows(&t, "point", "name", names, sizeof(names)), 3);
        assert_non_null(strstr(names, "node_load15 "));
        call(&t, "org.scitrace.Metrics.Sample", VARLINK_MORE, NULL);
        n = rows(&t, "point", "name", NULL, 0);
        assert_in_range(n, 20, 10000);
        call(&t, "org.scitrace.Metrics.Sample", VARLINK_MORE,
             json_pack("{s[s]}", "names", "scitrace_control_calls_total"));
        assert_int_equal(rows(&t, "point", "value", NULL, 0), 1);

        call(&t, "org.scitrace.Metrics.Series", VARLINK_MORE, json_pack("{ss}", "name", "node_load1"));
        assert_int_equal(rows(&t, "point", "timeUsec", names, sizeof(names)), 3);
        assert_string_equal(names, "1700000001000000 1700000002000000 1700000003000000 ");
        call(&t, "org.scitrace.Metrics.Series", VARLINK_MORE,
             json_pack("{ss sI sI}", "name", "node_load1", "sinceUsec", (json_int_t) 1700000002000000,
                       "untilUsec", (json_int_t) 1700000002000000));
        assert_int_equal(rows(&t, "point", "timeUsec", names, sizeof(names)), 1);
        call(&t, "org.scitrace.Metrics.Series", VARLINK_MORE, json_pack("{ss}", "name", "no_such"));
        expect_refusal(&t, "org.scitrace.Metrics.NoSuchSeries");
        hang_up(&t);
}

static int keep_chunk(void *userdata, const MetricsChunk *k) {
        Server *s = userdata;
        int64_t series;

        if (strcmp(k->name, "node_load1") != 0)
                return 0;
        begin(&s->store);
        assert_int_equal(store_series(s->store.store, k->name, k->labels, k->unit, &series), 0);
        assert_int_equal(store_chunk_put(s->store.store, series, k->from, k->until, k->points, k->data), 0);
        commit(&s->store);
        return 0;
}

static void an_open_chunk_stands_in_for_its_stored_beginning(void **state) {
        Server *s = *state;
        Talk t = talk(s);
        char times[256];

        for (int i = 1; i <= 5; i++) {
                assert_int_equal(
                        metrics_sample(s->metrics, (T0 + i) * (int64_t) USEC_PER_SEC, NULL, 0, s->store.dir),
                        0);
                if (i == 2)
                        assert_int_equal(metrics_flush(s->metrics, keep_chunk, s), 0);
        }
        call(&t, "org.scitrace.Metrics.Series", VARLINK_MORE, json_pack("{ss}", "name", "node_load1"));
        assert_int_equal(rows(&t, "point", "timeUsec", times, sizeof(times)), 5);

        hang_up(&t);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_start, server_stop)

int main(void) {
        const struct CMUnitTest tests[] = {
                SERVER_TEST(ping_and_info_answer),
                SERVER_TEST(calls_that_are_sent_together_are_answered_in_order),
                SERVER_TEST(what_is_not_a_call_ends_the_connection),
                SERVER_TEST(the_sixty_fifth_connection_is_turned_away),
                SERVER_TEST(others_get_ping_and_the_description_and_nothing_else),
                SERVER_TEST(nobody_can_lock_the_administrator_out),
                SERVER_TEST(describe_tells_what_the_stages_say),
                SERVER_TEST(settle_answers_when_the_watchers_do),
                SERVER_TEST(a_client_that_leaves_is_forgotten_by_who_works_for_it),
                SERVER_TEST(every_outcome_of_add_has_its_error_and_a_sentence),
                SERVER_TEST(add_answers_with_the_dataset_and_list_with_all),
                SERVER_TEST(remove_and_scan_are_passed_on),
                SERVER_TEST(a_backup_needs_a_writable_file),
                SERVER_TEST(a_backup_keeps_its_file_when_the_client_leaves),
                SERVER_TEST(the_newest_sample_and_the_stored_series_are_given),
                SERVER_TEST(an_open_chunk_stands_in_for_its_stored_beginning),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
