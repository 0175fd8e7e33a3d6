/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_WATCH_H
#define SCITRACE_DAEMON_WATCH_WATCH_H

/* watch: what moved, and where could I have missed something? The watcher as a whole: one inotify instance,
 * the table of directories, what settles, and the threads: watch (drains the kernel's queue, maps, posts;
 * never waits for a disk or the feed), walk (watches and lists directories), look (asks what a name is now).
 * May use: lib policy daemon/identify.  May not use: anything else in daemon/. */

#include <stdint.h>

#include "lib/feed.h"

typedef struct Watch Watch;

/** watch_new() - makes the inotify instance; call it before the process opens much.
 *  lookers: threads that look. */
int watch_new(unsigned lookers, Watch **ret);
/** watch_start() - starts the threads. watch_free() ends them; it returns w, and frees nothing, when one of
 *  them waits for a file system that does not answer: then the process ends with it.
 *  watch_tick() - now and then, each second at least; -ETIMEDOUT: too many do; -ENOMEM: there was none for
 *  what cannot be made up for. */
int watch_start(Watch *w);
Watch *watch_free(Watch *w);
int watch_tick(Watch *w);

/** watch_request() - takes one request of scitraced. 0, or -errno: the feed is broken. */
int watch_request(Watch *w, const FeedMessage *m);

/** watch_fd() - readable when frames wait. watch_take() - the next frame (malloc'd), NULL: none now.
 *  watch_return() - could not be sent: first again. */
int watch_fd(const Watch *w);
uint8_t *watch_take(Watch *w, size_t *ret_size);
void watch_return(Watch *w, uint8_t *frame, size_t size);

#endif
