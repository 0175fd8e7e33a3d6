/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "daemon/control/connection.h"
#include "lib/varlink.h"

/* A client's end and the connection under test, in one event loop. */
typedef struct Fixture {
        sd_event *event;
        Connection *connection;
        int client;
        char got[4096];                 /* messages, each with a ';' behind it */
        int messages, drained, passed;  /* passed: descriptors that came with a message */
        char last_passed;               /* the one byte that the last one held */
        bool closed, answer;            /* answer: each message is answered at once */
        char reason[64];
} Fixture;

static void on_message(Connection *c, void *userdata, Bytes message, int fd) {
        Fixture *f = userdata;

        snprintf(f->got + strlen(f->got), sizeof(f->got) - strlen(f->got), "%.*s;", (int) message.size,
                 (const char *) message.data);
        f->messages++;
        if (fd >= 0) {
                f->passed++;
                assert_int_equal(pread(fd, &f->last_passed, 1, 0), 1);
                close(fd);
        }
        if (f->answer) {
                assert_int_equal(connection_send(c, "ok", 3), 0);
                connection_next(c);
        }
}

static void on_drained(Connection *c, void *userdata) {
        ((Fixture *) userdata)->drained++;
}

static void on_closed(Connection *c, void *userdata, const char *reason) {
        Fixture *f = userdata;

        f->closed = true;
        snprintf(f->reason, sizeof(f->reason), "%s", reason ? reason : "");
        f->connection = connection_free(c);
}

static const ConnectionHooks hooks = { on_message, on_drained, on_closed };

static int set_up(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        int pair[2];

        *state = f;
        f->answer = true;
        if (sd_event_new(&f->event) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
                return -1;
        f->client = pair[1];
        return connection_new(f->event, pair[0], &hooks, f, &f->connection);
}

static int tear_down(void **state) {
        Fixture *f = *state;

        connection_free(f->connection);
        closep(&f->client);
        sd_event_unref(f->event);
        free(f);
        return 0;
}

/* Until nothing is left to do at once. */
static void settle(Fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static void say(Fixture *f, const char *data, size_t size) {
        assert_int_equal(write(f->client, data, size), size);
        settle(f);
}

static int answers(Fixture *f) {
        char data[4096];
        ssize_t n = read(f->client, data, sizeof(data));

        return n < 0 ? 0 : (int) n / 3;
}

static void requests_are_answered_one_at_a_time_and_in_order(void **state) {
        Fixture *f = *state;

        f->answer = false;
        say(f, "a\0b\0c", 6);
        assert_string_equal(f->got, "a;");
        connection_next(f->connection);
        settle(f);
        assert_string_equal(f->got, "a;b;");
        f->answer = true;
        connection_next(f->connection);
        settle(f);
        assert_string_equal(f->got, "a;b;c;");
        assert_int_equal(answers(f), 1);
}

static void a_request_may_arrive_byte_by_byte(void **state) {
        Fixture *f = *state;

        for (int i = 0; i < 3; i++)
                say(f, &"ab"[i], 1);
        assert_string_equal(f->got, "ab;");
        assert_int_equal(answers(f), 1);
}

static void a_flood_of_requests_waits_in_the_socket_and_none_is_lost(void **state) {
        Fixture *f = *state;
        char request[1000];
        int sent = 0;

        memset(request, 'x', sizeof(request));
        request[sizeof(request) - 1] = 0;
        f->answer = false;
        while (send(f->client, request, sizeof(request), MSG_DONTWAIT) == sizeof(request))
                sent++;
        settle(f);
        assert_int_equal(f->messages, 1);
        assert_true(sent * 1000 > 2 * VARLINK_REQUEST_MAX);
        f->answer = true;
        f->got[0] = 0;
        connection_next(f->connection);
        for (int last = 0; last != f->messages && !f->closed;) {
                last = f->messages;
                settle(f);
                (void) answers(f);
        }
        assert_false(f->closed);
        assert_int_equal(f->messages, sent);
}

static void a_request_that_is_too_large_closes(void **state) {
        Fixture *f = *state;
        char request[VARLINK_REQUEST_MAX + 1];

        memset(request, ' ', sizeof(request));
        say(f, request, VARLINK_REQUEST_MAX - 1);
        assert_false(f->closed);
        say(f, "\0", 1);
        assert_int_equal(f->messages, 1);
        (void) !write(f->client, request, sizeof(request));
        settle(f);
        assert_true(f->closed);
        assert_string_equal(f->reason, "sent a request that is too large");
        assert_int_equal(f->messages, 1);
}

static void a_client_that_hangs_up_is_closed_also_while_it_waits(void **state) {
        Fixture *f = *state;

        f->answer = false;
        say(f, "a", 2);
        assert_false(f->closed);
        close(STEAL_FD(f->client));
        settle(f);
        assert_true(f->closed);
}

static void what_has_arrived_before_a_hang_up_is_still_carried_out(void **state) {
        Fixture *f = *state;

        assert_int_equal(write(f->client, "oneway", 7), 7);
        close(STEAL_FD(f->client));
        settle(f);
        assert_string_equal(f->got, "oneway;");
        assert_true(f->closed);
}

static void a_client_that_only_stops_sending_gets_its_answers(void **state) {
        Fixture *f = *state;

        f->answer = false;
        say(f, "a", 2);
        assert_int_equal(shutdown(f->client, SHUT_WR), 0);
        settle(f);
        assert_false(f->closed);
        assert_int_equal(connection_send(f->connection, "ok", 3), 0);
        connection_next(f->connection);
        settle(f);
        assert_int_equal(answers(f), 1);
        assert_true(f->closed);
}

static void a_slow_reader_fills_the_output_and_drains_it(void **state) {
        Fixture *f = *state;
        static char chunk[65536];
        size_t sent = 0, got = 0;

        f->answer = false;
        say(f, "a", 2);
        while (!connection_full(f->connection)) {
                assert_int_equal(connection_send(f->connection, chunk, sizeof(chunk)), 0);
                sent += sizeof(chunk);
        }
        assert_in_range(sent, CONNECTION_OUTPUT_HIGH, 4 * 1024 * 1024);
        settle(f);
        assert_int_equal(f->drained, 0);
        for (ssize_t n; got < sent && (n = read(f->client, chunk, sizeof(chunk))) > 0; settle(f))
                got += (size_t) n;
        assert_int_equal(got, sent);
        assert_int_equal(f->drained, 1);
        assert_true(connection_idle(f->connection));
}

static void pass(Fixture *f, const char *data, size_t size, char mark) {
        char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
        struct iovec iov = { (void *) data, size };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        FILE *file = tmpfile();
        int fds[2] = { fileno(file), fileno(file) };

        assert_int_equal(pwrite(fds[0], &mark, 1, 0), 1);
        *h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(sizeof(fds)) };
        memcpy(CMSG_DATA(h), fds, sizeof(fds));
        assert_int_equal(sendmsg(f->client, &m, 0), size);
        fclose(file);
}

static int open_descriptors(void) {
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void a_descriptor_goes_to_the_request_it_came_with(void **state) {
        Fixture *f = *state;
        int before = open_descriptors();

        assert_int_equal(write(f->client, "a", 2), 2);
        pass(f, "b", 2, 'B');
        assert_int_equal(write(f->client, "c", 2), 2);
        f->answer = false;
        settle(f);
        assert_string_equal(f->got, "a;");
        assert_int_equal(f->passed, 0);
        connection_next(f->connection);
        settle(f);
        assert_string_equal(f->got, "a;b;");
        assert_int_equal(f->passed, 1);
        assert_int_equal(f->last_passed, 'B');
        connection_next(f->connection);
        settle(f);
        assert_string_equal(f->got, "a;b;c;");
        assert_int_equal(f->passed, 1);
        assert_int_equal(open_descriptors(), before);
}

/* Deadlines: the clock is not waited for; what the timer would do is looked at. */
static void deadline(Fixture *f, uint64_t least, uint64_t most) {
        uint64_t now, when;
        int enabled;

        sd_event_now(f->event, CLOCK_MONOTONIC, &now);
        enabled = connection_deadline(f->connection, &when);
        if (most == 0) {
                assert_int_equal(enabled, 0);
                return;
        }
        assert_int_equal(enabled, 1);
        assert_in_range(when, now + least, now + most);
}

static void deadlines_run_while_the_client_owes_something_and_only_then(void **state) {
        Fixture *f = *state;
        static char chunk[1 << 20];
        ssize_t n;

        deadline(f, 0, 0);
        say(f, "a", 1);
        deadline(f, CONNECTION_REQUEST_USEC - 1000000, CONNECTION_REQUEST_USEC);
        say(f, "\0", 1);
        deadline(f, 0, 0);

        f->answer = false;
        say(f, "b\0half", 6);
        deadline(f, 0, 0);
        connection_next(f->connection);
        settle(f);
        deadline(f, CONNECTION_REQUEST_USEC - 1000000, CONNECTION_REQUEST_USEC);
        say(f, "\0", 1);
        deadline(f, 0, 0);
        assert_int_equal(connection_send(f->connection, chunk, sizeof(chunk)), 0);
        settle(f);
        deadline(f, CONNECTION_STALL_USEC - 1000000, CONNECTION_STALL_USEC);
        do {
                n = read(f->client, chunk, sizeof(chunk));
                settle(f);
        } while (n > 0);
        deadline(f, 0, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(requests_are_answered_one_at_a_time_and_in_order, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_request_may_arrive_byte_by_byte, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_flood_of_requests_waits_in_the_socket_and_none_is_lost,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_request_that_is_too_large_closes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_client_that_hangs_up_is_closed_also_while_it_waits, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(what_has_arrived_before_a_hang_up_is_still_carried_out,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_client_that_only_stops_sending_gets_its_answers, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_slow_reader_fills_the_output_and_drains_it, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_descriptor_goes_to_the_request_it_came_with, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(deadlines_run_while_the_client_owes_something_and_only_then,
                                                set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
