/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCHERS_WATCHERS_H
#define SCITRACE_DAEMON_WATCHERS_WATCHERS_H

/* watchers: who watches what, and do they still see: one scitrace-watch for each file system that has a
 * dataset, as intake asks for them; tells intake what is mounted; grants credit, sends marks, restarts who
 * ends or does not answer. Main thread; every callback runs there, from the event loop, exactly once, and
 * never before the function that took it has returned.
 * May use: lib daemon/intake.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/intake/observe.h"
#include "lib/util.h"

typedef struct Watchers Watchers;

/** WatchersConfig: all that it points to stays the caller's, and there, until watchers_free(). */
typedef struct WatchersConfig {
        const char *program;            /* user mode: scitrace-watch to spawn; NULL: connect to socket */
        const char *socket;             /* system mode: scitrace-watch.socket's path */
        int64_t settle_usec, write_max_usec, digest_max, read_max, pressure_max;
        int64_t poll_rate;              /* entries a second, of directories without a watch */
        int64_t poll_usec;              /* between two looks at what other hosts did on a network */
        int64_t check_usec;             /* between two canaries; after three times as long it is replaced */
        char *const *ignore;
        size_t n_ignore;
        char *const *exclude;           /* folders of our own that are never watched, NULL-terminated */
} WatchersConfig;

/** watchers_new() - config is copied, but not what it points to. 0 or negative errno. */
int watchers_new(sd_event *event, Intake *intake, const WatchersConfig *config, Watchers **ret);
Watchers *watchers_free(Watchers *w);

/** watchers_add() - as intake_add(). result.dataset: the name it got. */
int watchers_add(Watchers *w, Bytes root, const char *name, unsigned flags, IntakeDoneFn fn,
                 void *userdata);
/** watchers_remove(), watchers_scan() - as intake_remove() and intake_scan(). */
int watchers_remove(Watchers *w, const char *name, IntakeDoneFn fn, void *userdata);
int watchers_scan(Watchers *w, const char *name, IntakeDoneFn fn, void *userdata);
/** watchers_settle() - dataset NULL: all. timeout µs. The callback runs once every change made before this
 *  call is committed. */
int watchers_settle(Watchers *w, const char *dataset, int64_t timeout, IntakeDoneFn fn, void *userdata);
/** watchers_forget() - callbacks with this userdata are not run any more (its client is gone). */
void watchers_forget(Watchers *w, void *userdata);

typedef struct WatchersStatus {
        int64_t pending;                /* noticed and not yet recorded, digests to be read included */
        int64_t watches;
        int64_t overflows;
        int64_t walked_twice;           /* directories listed again */
        int64_t swept;                  /* directories that a sweep looked at */
        int64_t walked_again;           /* ... and those that it found changed */
        int64_t polled;                 /* directories without a watch */
        int64_t watch_limit;            /* ... for the kernel gives so many */
        bool namespaced;                /* by the sysctl of this user namespace */
        int64_t restarts;               /* of watchers, all together */
        bool lost;                      /* not watched just now */
        bool scanning;
        bool stalled;                   /* the file system does not answer */
} WatchersStatus;
/** watchers_status() - of one dataset (row id), or of all (0). */
void watchers_status(Watchers *w, int64_t dataset, WatchersStatus *ret);
/** watchers_pids() - processes of the watchers, at most max; returns how many. */
int watchers_pids(Watchers *w, pid_t *ret, int max);

#endif
