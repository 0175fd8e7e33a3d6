/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <signal.h>

#include "ctl/ask.h"
#include "ctl/say.h"
#include "lib/text.h"
#include "lib/utf8.h"

enum { PATIENCE_MSEC = 10000 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
        (void) signal_number;
        interrupted = 1;
}

void ask_until_interrupted(void) {
        struct sigaction action = { .sa_handler = on_interrupt }; /* no SA_RESTART: it must end a wait */

        sigaction(SIGINT, &action, NULL);
}

/* Where this mode's daemon listens: its lock file says, while somebody holds it. */
static int find_socket(Ctl *c, char **ret) {
        CLEANUP(place_freep) Place *place = NULL;
        PlaceEnvironment environment;
        pid_t pid;
        int r;

        place_environment(getuid(), &environment);
        r = place_new(c->mode, c->options.state, &environment, &place);
        if (r != 0)
                return r;
        if (c->mode == PLACE_USER && place_holder(place, &pid, ret) == 0)
                return 0;
        *ret = strdup(place->socket);
        return *ret ? 0 : -ENOMEM;
}

static Status connect_daemon(Ctl *c) {
        CLEANUP(freep) char *found = NULL;
        const char *socket = c->options.socket;
        int r;

        if (c->client)
                return STATUS_OK;
        if (!socket) {
                r = find_socket(c, &found);
                if (r == PLACE_E_NO_HOME)
                        return complain(STATUS_USAGE,
                                        "HOME is not set: say where the daemon is, with --state DIR or "
                                        "--socket PATH");
                if (r < 0)
                        return complain_errno(r, "cannot find the daemon's socket");
                socket = found;
        }
        r = varlink_client_open(socket, &c->client);
        if (r < 0)
                return say_unreachable(c, socket, r);
        varlink_client_answers_to(c->client, STDOUT_FILENO);
        return STATUS_OK;
}

static void disconnect(Ctl *c) {
        c->client = varlink_client_close(c->client);
}

static Status lost(Ctl *c, int error) {
        disconnect(c);
        if (error == -EINTR && interrupted)
                return STATUS_INTERRUPTED;
        if (error == -ECANCELED)
                return STATUS_OK;       /* 'log -f | head' has seen enough */
        if (c->hush)
                return STATUS_FAILED;
        if (error == -ECONNRESET || error == -EPIPE)
                return complain(STATUS_FAILED,
                                "the daemon hung up; 'scitracectl status' says whether it is there");
        if (error == -EBADMSG)
                return complain(STATUS_FAILED,
                                "what answers there is no scitraced: it does not speak its protocol");
        return complain_errno(error, "the connection to the daemon broke");
}

/* An answer may come late because what is asked for takes its time. */
static bool takes_time(const char *method, const json_t *parameters) {
        return strcmp(method, "org.scitrace.Service.Settle") == 0 ||
               strcmp(method, "org.scitrace.Store.Backup") == 0 ||
               strcmp(method, "org.scitrace.Integrity.Verify") == 0 ||
               json_is_true(json_object_get(parameters, "follow"));
}

static int next_reply(Ctl *c, VarlinkReply *ret) {
        int r = varlink_client_next(c->client, ret);

        if (r != -EAGAIN || c->hush)
                return r;
        (void) complain(STATUS_OK,
                        "the daemon has not answered for %d s: it is stopped, or very busy; waiting on "
                        "(Ctrl-C gives up)", PATIENCE_MSEC / 1000);
        varlink_client_patience(c->client, -1);
        return varlink_client_next(c->client, ret);
}

/* Sends, having connected. */
static Status start(Ctl *c, const char *method, json_t *parameters, unsigned flags, int fd) {
        Status status = connect_daemon(c);
        int r;

        if (status != STATUS_OK)
                return status;
        varlink_client_patience(c->client, takes_time(method, parameters) ? -1 : PATIENCE_MSEC);
        r = varlink_client_send(c->client, method, parameters, flags, fd);
        return r < 0 ? lost(c, r) : STATUS_OK;
}

Status ask_with_fd(Ctl *c, const char *method, json_t *parameters, int fd, json_t **ret) {
        VarlinkReply reply = { 0 };
        Status status;
        int r;

        assert(c && method);
        status = start(c, method, parameters, 0, fd);
        json_decref(parameters);
        if (status != STATUS_OK)
                return status;
        r = next_reply(c, &reply);
        if (r < 0)
                return lost(c, r);
        if (reply.error)
                status = say_error(c, &reply);
        else if (ret)
                *ret = json_incref(reply.parameters);
        varlink_reply_done(&reply);
        return status;
}

Status ask(Ctl *c, const char *method, json_t *parameters, json_t **ret) {
        return ask_with_fd(c, method, parameters, -1, ret);
}

void ask_quietly(Ctl *c, const char *method, json_t *parameters, json_t **ret) {
        *ret = NULL;
        c->hush = true;
        (void) ask(c, method, parameters, ret);
        c->hush = false;
}

/* One answer of a stream. */
static Status take(Ctl *c, const VarlinkReply *reply, const char *key, AskRowFn fn, void *userdata,
                   bool *stop) {
        json_t *row = json_object_get(reply->parameters, key);

        if (reply->error) {
                disconnect(c);          /* the sentence may need a question of its own */
                return say_error(c, reply);
        }
        return row ? fn(c, row, stop, userdata) : STATUS_OK;
}

Status ask_rows(Ctl *c, const char *method, json_t *parameters, const char *key, AskRowFn fn,
                void *userdata) {
        bool more = true, stop = false;
        Status status;

        assert(c && method && key && fn);
        status = start(c, method, parameters, VARLINK_MORE, -1);
        json_decref(parameters);
        while (status == STATUS_OK && more && !stop) {
                VarlinkReply reply = { 0 };
                int r = next_reply(c, &reply);

                if (r == -EINTR && !interrupted)
                        continue;
                if (r < 0)
                        return lost(c, r);
                more = reply.continues;
                status = take(c, &reply, key, fn, userdata, &stop);
                varlink_reply_done(&reply);
        }
        if (more)
                disconnect(c);
        return status;
}

Status ask_rows_quietly(Ctl *c, const char *method, json_t *parameters, const char *key, AskRowFn fn,
                        void *userdata) {
        bool before = c->hush;
        Status status;

        c->hush = true;
        status = ask_rows(c, method, parameters, key, fn, userdata);
        c->hush = before;
        return status;
}

json_t *word_value(const char *word) {
        CLEANUP(freep) char *escaped = NULL;

        if (!utf8_valid(BYTES_STR(word)) && text_escape(BYTES_STR(word), &escaped) < 0)
                return NULL;
        return json_string(escaped ? escaped : word);
}

json_t *named(const char *name) {
        return json_pack("{s:o}", "name", word_value(name));
}
