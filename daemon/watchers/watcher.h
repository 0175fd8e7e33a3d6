/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCHERS_WATCHER_H
#define SCITRACE_DAEMON_WATCHERS_WATCHER_H

/* watcher: one feed, and one scitrace-watch after another at its other end: starts it, passes frames to
 * intake and requests to it, starts the next when it ends. Main thread.
 * May use: lib daemon/intake.  May not use: anything else in daemon/ but daemon/watchers. */

#include "daemon/watchers/watchers.h"
#include "lib/feed.h"

typedef struct Watcher Watcher;

/** watcher_new() - connects its first one, too; where that fails it is tried again. config: as in
 *  watchers_new(). 0 or negative errno. */
int watcher_new(sd_event *event, Intake *intake, const WatchersConfig *config, uint32_t feed,
                Watcher **ret);
/** watcher_free() - its process ends, by itself, when it can. */
Watcher *watcher_free(Watcher *w);

uint32_t watcher_feed(const Watcher *w);
pid_t watcher_pid(const Watcher *w);            /* 0: not known */
/** watcher_request() - on its way up; dropped when there is nobody just now. */
void watcher_request(Watcher *w, const FeedMessage *m);
/** watcher_consumed() - intake is done with so many of its frames. */
void watcher_consumed(Watcher *w, unsigned frames);
/** watcher_replace() - ends the process there is, and starts another after a while. */
void watcher_replace(Watcher *w, Cause why);
/** watcher_check() - once each canary: replaces it when no mark came back for too long. now: µs of
 *  CLOCK_MONOTONIC. */
void watcher_check(Watcher *w, int64_t now);
/** watcher_restarts() - how often it was replaced. */
int64_t watcher_restarts(const Watcher *w);

#endif
