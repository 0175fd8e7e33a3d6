/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_POOL_H
#define SCITRACE_DAEMON_CONTROL_POOL_H

/* pool: the query threads, each with a Query of its own. A job runs on one of them and writes bytes; the
 * main thread takes them from the event loop. Knows no method and no connection.
 * May use: lib daemon/query.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "daemon/query/query.h"

typedef struct Pool Pool;
typedef struct Job Job;

enum {
        POOL_THREADS = 2,               /* at work at once; started when they are first needed */
        POOL_THREADS_MAX = 8,           /* those that wait for a client included; about 2.5 MiB each */
        JOB_OUTPUT_MAX = 128 * 1024,    /* bytes that the main thread has not yet taken, a job */
};

/** Job: embedded in what it belongs to. The owner fills in run, news and done, and keeps it until done
 * has run. */
struct Job {
        int (*run)(Job *job, Query *q);         /* query thread. What it returns is `result` of done */
        void (*news)(Job *job);                 /* main thread: there is something to take */
        /* Main thread, last: run has returned, or could not run (-errno), or was cancelled (-ECANCELED). */
        void (*done)(Job *job, int result);
        /* the pool's own */
        Pool *pool;
        Query *query;                   /* while it runs */
        Job *next;
        char *output;
        size_t size, allocated;
        bool cancelled, noted;
        enum { JOB_NEW, JOB_QUEUED, JOB_RUNNING, JOB_DONE } state;
        int result;
};

/** pool_new() - store_path: of the store that this process writes; each thread opens it for itself. 0 or
 *  negative errno. */
int pool_new(sd_event *event, const char *store_path, Pool **ret);
/** pool_free() - cancels what is left, waits for the threads, and runs what is left of news and done. */
Pool *pool_free(Pool *p);

/** pool_submit() - a job that has never run, or is done. */
void pool_submit(Pool *p, Job *job);
/** pool_cancel() - ends it soon; done comes from the event loop, as always. */
void pool_cancel(Job *job);
/** pool_take() - main thread: what has been written so far, into *ret (malloc'd or NULL); makes room for
 * more. */
size_t pool_take(Job *job, char **ret);

/* Query thread, within run: */

/** job_write() - hands size bytes over, waiting for room; the query's snapshot is given up meanwhile.
 *  0; -ECANCELED; -ENOMEM. */
int job_write(Job *job, const char *data, size_t size);
/** job_room() - job_write() would not wait now. */
bool job_room(Job *job, size_t size);
/** job_cancelled() - nobody waits for it any more. */
bool job_cancelled(Job *job);

#endif
