/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/watch/state.h"

/* probe: does the file system answer? Notices come from the kernel's memory, and canaries pass through it: a
 * server that hangs is noticed by who asks it something. A thread of its own asks for the state of each root
 * that a server stands behind; and when the answer takes too long, the watcher says so. */

/* Under the lock. */
static bool is_probed(const Root *root) {
        return root->id != 0 && root->path && (root->remote || root->wd == 0);
}

static void ask(const char *path) {
        CLEANUP(closep) int fd = identify_root(path);
        struct statx stx;

        if (fd >= 0)
                (void) statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx);
}

static void tell(Watch *w, int64_t since) {
        w->stalled = since != 0;
        state_emit(w, &(FeedMessage) { .type = FEED_STALLED, .STALLED = { .since = since } }, true);
}

/* Under the lock, which is let go meanwhile. */
static void probe_root(Watch *w, const Root *root) {
        CLEANUP(freep) char *path = strdup(root->path);

        if (!path)
                return;
        w->probe_since = now_usec(CLOCK_MONOTONIC);
        pthread_mutex_unlock(&w->lock);
        ask(path);
        pthread_mutex_lock(&w->lock);
        w->probe_since = 0;
        if (!w->stalled)
                return;
        tell(w, 0);
        for (size_t i = 0; i < ELEMENTS(w->lookers); i++)       /* whoever waited has a new chance */
                w->lookers[i].waited = 0;
}

static void wait_until(Watch *w, int64_t at) {
        struct timespec until = timespec_of(at);

        if (at == INT64_MAX)
                pthread_cond_wait(&w->probe, &w->lock);
        else
                pthread_cond_timedwait(&w->probe, &w->lock, &until);
}

void probe_tick(Watch *w) {
        int64_t waited = w->probe_since ? now_usec(CLOCK_MONOTONIC) - w->probe_since : 0;

        if (!w->stalled && waited > w->answer_max / PROBES)
                tell(w, now_usec(CLOCK_REALTIME) - waited);
}

void *probe_thread(void *userdata) {
        Watch *w = userdata;

        pthread_mutex_lock(&w->lock);
        while (!w->stop) {
                bool any = false;

                for (size_t i = 0; i < ROOTS_MAX && !w->stop; i++)
                        if (is_probed(&w->roots[i])) {
                                any = true;
                                probe_root(w, &w->roots[i]);
                        }
                if (!w->stop)
                        wait_until(w, any && w->answer_max < INT64_MAX ?
                                              now_usec(CLOCK_MONOTONIC) + w->answer_max / (2 * PROBES) :
                                              INT64_MAX);
        }
        pthread_mutex_unlock(&w->lock);
        return NULL;
}
