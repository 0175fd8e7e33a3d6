/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "daemon/control/call.h"

static void free_call(Call *c) {
        Call **p = &c->service->orphans;

        while (*p && *p != c)
                p = &(*p)->next_orphan;
        if (*p)
                *p = c->next_orphan;
        if (c->method->free)
                c->method->free(c);
        if (!c->request.parameters)
                json_decref(c->parameters);
        varlink_call_done(&c->request);
        emit_done(&c->out);
        closep(&c->fd);
        free(c->job.output);
        free(c);
}

/* Main thread: what has been written goes to the client. */
static void deliver(Call *c, const char *data, size_t size) {
        if (c->connection && !c->request.oneway && size > 0)
                (void) connection_send(c->connection, data, size);
}

static void deliver_job(Call *c) {
        CLEANUP(freep) char *data = NULL;
        size_t size = pool_take(&c->job, &data);

        deliver(c, data, size);
}

static void deliver_out(Call *c) {
        if (!c->out.failed)
                deliver(c, c->out.data, c->out.size);
        c->out.size = 0;
}

static void go_on(Emit *out) {
        EMIT(out, ",\"continues\":true}\0");
}

/* The last row becomes the last reply; a call without rows has an empty one. */
void call_complete(Call *c) {
        if (c->answered)
                return;
        if (c->row_open)
                EMIT(&c->out, "}\0");
        else
                EMIT(&c->out, "{\"parameters\":{}}\0");
        c->answered = true;
}

void call_show(Call *c) {
        assert(!c->running);
        if (c->row_open)
                go_on(&c->out);
        c->row_open = false;
        deliver_out(c);
}

static void finish(Call *c) {
        call_complete(c);
        deliver_out(c);
        if (c->connection)
                c->end(c);
        free_call(c);
}

void call_answer(Call *c) {
        assert(!c->running);
        c->held = false;
        finish(c);
}

/* Query thread. complete: also the end of the last row, which then has others behind it. */
static int flush(Call *c, bool complete) {
        int r;

        if (complete && c->row_open) {
                go_on(&c->out);
                c->row_open = false;
        }
        if (c->out.failed)
                return -ENOMEM;
        r = c->out.size > 0 ? job_write(&c->job, c->out.data, c->out.size) : 0;
        c->out.size = 0;
        c->flushed = now_usec(CLOCK_MONOTONIC);
        return r;
}

static int job_run(Job *job, Query *q) {
        Call *c = (Call *) job;
        int r;

        c->next = CALL_END;
        c->flushed = now_usec(CLOCK_MONOTONIC);
        query_deadline(q, CALL_DEADLINE_USEC);
        r = c->method->run(c, q);
        return r == 0 && c->next == CALL_PARK ? flush(c, true) : r;
}

static void job_news(Job *job) {
        Call *c = (Call *) job;

        if (!c->connection || !connection_full(c->connection))
                deliver_job(c);
}

static void submit(Call *c) {
        c->running = true;
        c->waiting = c->parked = false;
        c->upto = c->service->seq;
        pool_submit(c->service->pool, &c->job);
}

static void say_why(Call *c, int result) {
        if (result == QUERY_E_DEADLINE)
                call_error(c, "org.scitrace.Service.DeadlineExceeded", NULL);
        else if (result != 0)
                call_failed(c, "Cannot read the record for %s: %s.", c->method->name,
                            strerror(result < 0 ? -result : EPROTO));
}

static void job_done(Job *job, int result) {
        Call *c = (Call *) job;

        c->running = false;
        if (!c->connection) {
                free_call(c);
                return;
        }
        deliver_job(c);
        say_why(c, result);
        if (!c->answered && c->next == CALL_END && c->method->finish)
                say_why(c, c->method->finish(c));
        if (c->answered || c->next == CALL_END) {
                finish(c);
                return;
        }
        deliver_out(c);
        c->waiting = c->next == CALL_AGAIN;
        c->parked = c->next == CALL_PARK;
        call_committed(c);
        call_drained(c);
}

int call_new(Service *service, Connection *connection, const Method *method, VarlinkCall *request, int fd,
             void (*end)(Call *c), void *server, Call **ret) {
        json_t *parameters = request->parameters ? request->parameters : json_object();
        Call *c = parameters ? calloc(1, sizeof(*c)) : NULL;

        if (!c) {
                if (!request->parameters)
                        json_decref(parameters);
                return -ENOMEM;
        }
        *c = (Call) {
                .job = { .run = job_run, .news = job_news, .done = job_done },
                .service = service,
                .connection = connection,
                .end = end,
                .server = server,
                .method = method,
                .request = *request,
                .parameters = parameters,
                .fd = fd,
        };
        *request = (VarlinkCall) { 0 };
        *ret = c;
        return 0;
}

void call_start(Call *c) {
        int r = c->method->start ? c->method->start(c) : 0;

        if (r < 0)
                call_failed(c, "Cannot carry out %s: %s.", c->method->name, strerror(-r));
        if (c->answered)
                finish(c);
        else if (r != CALL_LATER)
                submit(c);
}

void call_run(Call *c) {
        submit(c);
}

void call_drained(Call *c) {
        if (c->running)
                deliver_job(c);
        else if (c->waiting && !connection_full(c->connection))
                submit(c);
}

void call_committed(Call *c) {
        if (!c->parked || c->service->seq <= c->after)
                return;
        c->parked = false;
        c->waiting = true;
        call_drained(c);
}

void call_abandon(Call *c) {
        c->connection = NULL;
        if (!c->running && !c->held) {
                free_call(c);
                return;
        }
        c->next_orphan = c->service->orphans;
        c->service->orphans = c;
        if (c->running)
                pool_cancel(&c->job);
}

void call_free_orphans(Service *service) {
        while (service->orphans) {
                Call *c = service->orphans;

                if (c->held)
                        c->fd = -1;     /* another thread may still write to it; the process ends anyway */
                free_call(c);
        }
}

/* Takes over parameters. */
static void answer(Call *c, const char *error, json_t *parameters) {
        CLEANUP(json_decrefp) json_t *owned = parameters;
        CLEANUP(freep) char *text = NULL;
        size_t size = 0;

        if (c->answered)
                return;
        if (c->row_open)
                go_on(&c->out);
        if (varlink_reply_format(error, owned, false, &text, &size) == 0)
                emit_raw(&c->out, text, size);
        else
                c->out.failed = true;
        c->answered = true;
        c->failed = error != NULL;
}

void call_reply(Call *c, json_t *parameters) {
        if (!parameters)
                c->out.failed = true;
        answer(c, NULL, parameters);
}

void call_error(Call *c, const char *error, json_t *parameters) {
        answer(c, error, parameters);
}

void call_invalid(Call *c, const char *parameter) {
        call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", parameter));
}

void call_failed(Call *c, const char *format, ...) {
        CLEANUP(freep) char *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0)
                message = NULL;
        call_error(c, "org.scitrace.Service.Failed",
                   json_pack("{ss}", "message", message ? message : "Out of memory."));
}

Emit *call_row(Call *c, const char *key) {
        if (c->row_open)
                go_on(&c->out);
        EMIT(&c->out, "{\"parameters\":{\"");
        emit_raw(&c->out, key, strlen(key));
        EMIT(&c->out, "\":{");
        c->row_open = true;
        return &c->out;
}

int call_row_end(Call *c, Query *q) {
        EMIT(&c->out, "}}");
        if (!c->request.more || c->out.failed)
                return 1;
        if (!q ||
            (c->out.size < CALL_FLUSH_SIZE && now_usec(CLOCK_MONOTONIC) - c->flushed < CALL_FLUSH_USEC))
                return 0;
        if (c->resumable && !job_room(&c->job, c->out.size)) {
                c->next = CALL_AGAIN;
                return 1;
        }
        if (flush(c, false) < 0)
                return 1;
        query_deadline(q, CALL_DEADLINE_USEC);
        return 0;
}
