/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_UNIT_CONTROL_FIXTURE_H
#define SCITRACE_TESTS_UNIT_CONTROL_FIXTURE_H

/* control-fixture: a real control server with a real store, query and metrics, and clients on its socket;
 * all in one thread but for the query threads. daemon/intake and daemon/watchers are stood in for (what is
 * asked of them is noted, and the test gives the answer), since a unit test starts no watcher. Every reply
 * that a client takes is checked against the interface files. Include after tests/lib/unit.h. */

#include <fcntl.h>
#include <sys/socket.h>

#include "daemon/control/control.h"
#include "daemon/control/methods.h"
#include "lib/place.h"
#include "tests/unit/store-fixture.h"

/* What was asked of the stages that are stood in for. */
static struct Asked {
        IntakeCommitFn commit_fn;
        void *commit_userdata;
        IntakeBackupFn backup_fn;
        IntakeDoneFn done;
        void *userdata;
        void *forgotten;
        int fd;
        const char *degraded;
        const char *unsealed;
        char what[64], dataset[64], path[64];
        int64_t timeout;
        WatchersStatus status;
} asked;

void intake_on_commit(Intake *i, IntakeCommitFn fn, void *userdata) {
        asked.commit_fn = fn;
        asked.commit_userdata = userdata;
}

int intake_backup(Intake *i, int fd, IntakeBackupFn fn, void *userdata) {
        asked.backup_fn = fn;
        asked.userdata = userdata;
        asked.fd = fd;
        return 0;
}

static void forget(void *userdata) {
        asked.forgotten = userdata;
        if (asked.userdata == userdata)
                asked.userdata = NULL;
}

int intake_step(Intake *i, StoreStep step, int64_t argument, IntakeStepFn fn, void *userdata) {
        return 0;
}

int intake_care(Intake *i, const char *what, const char *result, IntakeStepFn fn, void *userdata) {
        return 0;
}

void intake_forget(Intake *i, void *userdata) {
        forget(userdata);
}

void intake_time(Intake *i, IntakeTime *ret) {
        (void) i;
        *ret = (IntakeTime) { .time = now_usec(CLOCK_REALTIME) };
}

const char *intake_degraded(const Intake *i) {
        return asked.degraded;
}

const char *intake_unsealed(const Intake *i) {
        return asked.unsealed;
}

static int note(const char *what, const char *dataset, IntakeDoneFn done, void *userdata) {
        snprintf(asked.what, sizeof(asked.what), "%s", what);
        snprintf(asked.dataset, sizeof(asked.dataset), "%s", dataset ? dataset : "");
        asked.done = done;
        asked.userdata = userdata;
        return 0;
}

int watchers_add(Watchers *w, Bytes root, const char *name, unsigned flags, IntakeDoneFn fn,
                 void *userdata) {
        snprintf(asked.path, sizeof(asked.path), "%.*s", (int) root.size, (const char *) root.data);
        return note("add", name, fn, userdata);
}

int watchers_remove(Watchers *w, const char *name, IntakeDoneFn fn, void *userdata) {
        return note("remove", name, fn, userdata);
}

int watchers_scan(Watchers *w, const char *name, IntakeDoneFn fn, void *userdata) {
        return note("scan", name, fn, userdata);
}

int watchers_settle(Watchers *w, const char *dataset, int64_t timeout, IntakeDoneFn fn, void *userdata) {
        asked.timeout = timeout;
        return note("settle", dataset, fn, userdata);
}

void watchers_forget(Watchers *w, void *userdata) {
        forget(userdata);
}

void watchers_status(Watchers *w, int64_t dataset, WatchersStatus *ret) {
        *ret = asked.status;
}

int watchers_pids(Watchers *w, pid_t *ret, int max) {
        return 0;
}

typedef struct Server {
        Fixture store;
        sd_event *event;
        Metrics *metrics;
        Control *control;
        Interfaces *interfaces;
        char socket[96];
} Server;

/* Until nothing has happened for 20 ms: the query threads have nothing left that they can do. */
static UNUSED void run_dry(Server *s) {
        int64_t end = now_usec(CLOCK_MONOTONIC) + 10 * (int64_t) USEC_PER_SEC;

        while (sd_event_run(s->event, 20 * USEC_PER_MSEC) > 0)
                if (now_usec(CLOCK_MONOTONIC) > end)
                        fail_msg("it never comes to rest");
}

typedef struct Talk {
        Server *server;
        int fd;
        VarlinkInput input;
        char method[128];               /* asked last */
} Talk;

static UNUSED int server_start(void **state) {
        Server *s = calloc(1, sizeof(*s));
        CLEANUP(closep) int folder = -1;
        struct sockaddr_un address;
        int fd;

        *state = s;
        asked = (struct Asked) { .fd = -1 };
        fixture_open(&s->store);
        assert_int_equal(sd_event_new(&s->event) < 0, 0);
        assert_int_equal(metrics_new(&s->metrics), 0);
        assert_int_equal(interfaces_new(&s->interfaces), 0);
        snprintf(s->socket, sizeof(s->socket), "%s/control.sock", s->store.dir);
        assert_int_equal(place_address(s->socket, &address, &folder), 0);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 128), 0);
        return control_new(s->event, fd,
                           &(ControlConfig){
                                   .store_path = store_path(s->store.store),
                                   .mode = "user",
                                   .owner = getuid(),
                                   .metrics = s->metrics,
                           },
                           &s->control);
}

static UNUSED int server_stop(void **state) {
        Server *s = *state;

        control_free(s->control);
        interfaces_free(s->interfaces);
        metrics_free(s->metrics);
        sd_event_unref(s->event);
        fixture_close(&s->store);
        free(s);
        return 0;
}

/* What can be done at once is done; the query threads may go on. */
static UNUSED void run(Server *s) {
        while (sd_event_run(s->event, 0) > 0)
                ;
}

/* Waits for something to happen; 10 s without anything is a failure. */
static UNUSED void wait_for_news(Server *s) {
        if (sd_event_run(s->event, 10 * USEC_PER_SEC) == 0)
                fail_msg("nothing happened");
}

static UNUSED Talk talk(Server *s) {
        Talk t = { .server = s, .input.max = VARLINK_REPLY_MAX };
        CLEANUP(closep) int folder = -1;
        struct sockaddr_un address;

        t.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(place_address(s->socket, &address, &folder), 0);
        assert_int_equal(connect(t.fd, (struct sockaddr *) &address, sizeof(address)), 0);
        run(s);
        return t;
}

static UNUSED void hang_up(Talk *t) {
        close(t->fd);
        varlink_input_done(&t->input);
        run(t->server);
}

static UNUSED void say(Talk *t, const char *data, size_t size) {
        assert_int_equal(send(t->fd, data, size, MSG_NOSIGNAL), size);
}

/* Sends a call; takes over parameters. */
static UNUSED void call(Talk *t, const char *method, unsigned flags, json_t *parameters) {
        CLEANUP(freep) char *text = NULL;
        size_t size;

        snprintf(t->method, sizeof(t->method), "%s", method);
        assert_int_equal(varlink_call_format(method, parameters, flags, &text, &size), 0);
        json_decref(parameters);
        say(t, text, size);
}

static UNUSED void check_reply(Talk *t, const VarlinkReply *r) {
        const char *name = r->error ? r->error : t->method, *wrong = NULL;
        const IdlMember *m;
        const Idl *idl;

        m = interfaces_member(t->server->interfaces, r->error ? IDL_ERROR : IDL_METHOD, name, &idl);
        if (!m)
                fail_msg("%s is in no interface file", name);
        if (!r->error && json_object_size(r->parameters) == 0 && !r->continues)
                return;
        if (!idl_check(idl, r->error ? m->type : m->reply, r->parameters, &wrong))
                fail_msg("%s: %s does not fit", name, wrong);
}

/* 1: the next reply; 0: the server has hung up. Only what is there, with wait_for false: else -1. */
static UNUSED int take(Talk *t, bool wait_for, VarlinkReply *ret) {
        for (;;) {
                size_t room;
                ssize_t n;
                Bytes m;
                char *p;

                if (varlink_input_next(&t->input, &m) > 0) {
                        assert_int_equal(varlink_reply_parse(m, ret), 0);
                        check_reply(t, ret);
                        return 1;
                }
                assert_int_equal(varlink_input_room(&t->input, &p, &room), 0);
                n = recv(t->fd, p, room, 0);
                if (n == 0 || (n < 0 && errno == ECONNRESET))
                        return 0;
                if (n > 0)
                        varlink_input_filled(&t->input, (size_t) n);
                else if (wait_for)
                        wait_for_news(t->server);
                else if (sd_event_run(t->server->event, 0) == 0)
                        return -1;
        }
}

static UNUSED VarlinkReply reply(Talk *t) {
        VarlinkReply r = { 0 };

        assert_int_equal(take(t, true, &r), 1);
        return r;
}

/* The reply must be this error. Its parameters: varlink_reply_done(). */
static UNUSED VarlinkReply expect_error(Talk *t, const char *error) {
        VarlinkReply r = reply(t);

        assert_non_null(r.error);
        assert_string_equal(r.error, error);
        assert_false(r.continues);
        return r;
}

static UNUSED void expect_refusal(Talk *t, const char *error) {
        VarlinkReply r = expect_error(t, error);

        varlink_reply_done(&r);
}

/* Reads the rows of a `more` call to its end; returns how many, and the concatenated values of member
 * `field`. */
static UNUSED int rows(Talk *t, const char *key, const char *field, char *ret, size_t size) {
        int n = 0;
        bool more;

        if (ret)
                ret[0] = 0;
        do {
                VarlinkReply r = reply(t);
                json_t *value = json_object_get(json_object_get(r.parameters, key), field);

                if (r.error)
                        fail_msg("%s", r.error);
                if (json_object_get(r.parameters, key))
                        n++;
                if (ret && json_is_integer(value))
                        snprintf(ret + strlen(ret), size - strlen(ret), "%lld ",
                                 (long long) json_integer_value(value));
                else if (ret && value)
                        snprintf(ret + strlen(ret), size - strlen(ret), "%s ", json_string_value(value));
                more = r.continues;
                varlink_reply_done(&r);
        } while (more);
        return n;
}

#endif
