/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_CALL_H
#define SCITRACE_DAEMON_CONTROL_CALL_H

/* call: one call of a client, from the request to the last reply: what a method has in its hands. It belongs
 * to the main thread, but to a query thread while `run` runs there.
 * May use: lib daemon/query, and of daemon/control: connection, emit, memory, peer, pool, tend. */

#include "daemon/control/connection.h"
#include "daemon/control/control.h"
#include "daemon/control/emit.h"
#include "daemon/control/memory.h"
#include "daemon/control/peer.h"
#include "daemon/control/pool.h"
#include "daemon/control/tend.h"
#include "lib/varlink.h"

typedef struct Call Call;
typedef struct Method Method;

enum {
        METHODS_MAX = 64,
        CALL_LATER = 1,                         /* outcome of a method's start */

        CALL_FLUSH_SIZE = 32 * 1024,            /* bytes of replies that are handed over at once */
        CALL_FLUSH_USEC = 10 * 1000,            /* or when they have waited so long */
        CALL_DEADLINE_USEC = 30 * 1000 * 1000,  /* of a query, from the last reply that it gave */
};

typedef struct MethodCount {
        int64_t calls, errors;
} MethodCount;

/** Service: what all calls share. Main thread. */
typedef struct Service {
        const ControlConfig *config;
        Pool *pool;
        Tend *tend;
        int64_t prunable;               /* up to here, as somebody was told, events may be pruned */
        int64_t started;                /* µs, CLOCK_MONOTONIC */
        int64_t seq;                    /* the newest event that is committed; 0: none seen yet */
        MethodCount counts[METHODS_MAX]; /* in the order of methods_at() */
        Call *orphans;                  /* calls whose client is gone and that something still works on */
        MemoryRecent memory;            /* of the daemon and its watchers; any thread */
} Service;

typedef enum CallNext {
        CALL_END,                       /* the last reply is given, or nothing more comes */
        CALL_AGAIN,                     /* run once more when the client has read what waits */
        CALL_PARK,                      /* run once more when there is an event after c->after */
} CallNext;

struct Call {
        Job job;                        /* first, so that a job is its call */
        Service *service;
        Connection *connection;         /* NULL: the client is gone */
        Call *next_orphan;
        void (*end)(Call *c);           /* the server's: the call is over, and freed after that */
        void *server;
        const Method *method;
        VarlinkCall request;
        json_t *parameters;             /* never NULL; of request */
        int fd;                         /* came with it, or -1 */
        void *state;                    /* the method's own; freed by its `free` */

        Emit out;                       /* replies that are not yet handed over */
        bool row_open;                  /* the last one may still be followed by others */
        bool answered;                  /* the last reply is given */
        bool failed;                    /* it was an error */
        bool resumable;                 /* run can go on where it stopped: it waits for no slow client */
        bool held;                      /* fd is in use until a callback has run: never freed before */
        int64_t flushed;                /* µs, CLOCK_MONOTONIC */

        CallNext next;                  /* set by run */
        int64_t after;                  /* CALL_PARK: everything up to here has been looked at */
        int64_t upto;                   /* service->seq when the job was last handed to the pool */
        bool running, waiting, parked;  /* its job is with the pool; waits for the client; for events */
};

/** Method: a row of the table in methods.c. */
struct Method {
        const char *name;               /* INTERFACE.Method */
        bool anybody;                   /* else administrators only */
        bool more;                      /* needs "more" */
        /** Main thread, first: takes the parameters, which are checked against the interface. Negative
         *  errno; 0: run follows, unless the answer is given already; CALL_LATER: call_answer() or
         *  call_run() follows, from a callback. */
        int (*start)(Call *c);
        /** Query thread: gives rows or an answer. 0, QUERY_E_DEADLINE, or negative errno. */
        int (*run)(Call *c, Query *q);
        /** Main thread, after run returned 0 without an answer. */
        int (*finish)(Call *c);
        /** Main thread: frees c->state; also forgets what was asked of others for this call. */
        void (*free)(Call *c);
};

/** call_new() - takes over request and fd. end: see Call; it may look at failed and out.failed (memory ran
 *  out, and the client has got half a reply). */
int call_new(Service *service, Connection *connection, const Method *method, VarlinkCall *request, int fd,
             void (*end)(Call *c), void *server, Call **ret);
/** call_start() - runs the method. The call may be over (and c freed) when it returns. */
void call_start(Call *c);
/** call_drained() - the client has read everything. */
void call_drained(Call *c);
/** call_committed() - service->seq has moved. */
void call_committed(Call *c);
/** call_abandon() - the client is gone: ends it and frees it, now or when what works on it has ended. */
void call_abandon(Call *c);
/** call_free_orphans() - at the end, when no thread runs any more. */
void call_free_orphans(Service *service);

/* What methods use, on the thread that has the call. */

/** call_answer() - main thread, from a callback: the answer that was given meanwhile goes out; frees c. */
void call_answer(Call *c);
/** call_show() - main thread: the rows that were given so far go out; more may follow. */
void call_show(Call *c);
/** call_run() - main thread, from a callback: now run follows. */
void call_run(Call *c);
/** call_reply() - the last reply; steals parameters (NULL: memory ran out). */
void call_reply(Call *c, json_t *parameters);
/** call_error() - the same with an error's full name; parameters NULL: none. */
void call_error(Call *c, const char *error, json_t *parameters);
/** call_invalid() - org.varlink.service.InvalidParameter, and which. */
void call_invalid(Call *c, const char *parameter);
/** call_complete() - no more rows come. */
void call_complete(Call *c);
/** call_failed() - org.scitrace.Service.Failed with a sentence. */
void call_failed(Call *c, const char *format, ...) PRINTF_LIKE(2, 3);

/** call_row() - begins a row: an object in member `key` of a reply of its own. Put its members into the
 * result. */
Emit *call_row(Call *c, const char *key);
/** call_row_end() - ends it. 0: go on; 1: stop (only one row was asked for, or the call is cancelled). A
 *  query thread (q) also hands over what has gathered, and waits while the client does not read, or, when
 *  the call is resumable, stops with next = CALL_AGAIN. */
int call_row_end(Call *c, Query *q);
#endif
