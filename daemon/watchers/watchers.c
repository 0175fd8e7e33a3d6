/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "daemon/watchers/watcher.h"
#include "lib/log.h"

enum {
        TICK_MSEC = 250,                /* while somebody waits for a settle */
        MOUNTINFO_MAX = 16 << 20,       /* bytes; what is mounted beyond is not seen */
        FEEDS = 64,                     /* intake has no more */
};

struct Watchers {
        sd_event *event;
        Intake *intake;
        WatchersConfig config;
        Watcher *watchers[FEEDS];       /* NULL: free */
        int64_t restarts;               /* of those that are closed */
        int64_t canary_at;
        int mounts_fd;
        sd_event_source *tick_source, *mounts_source;
};

/* What is mounted. */

/* The kernel writes it anew for each who reads from its beginning. */
static int read_mounts(int fd, uint8_t **ret, size_t *ret_size) {
        CLEANUP(freep) uint8_t *text = NULL;
        size_t size = 0, allocated = 0;

        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        for (;;) {
                uint8_t *larger = size < allocated ? text : realloc(text, allocated + 16384);
                ssize_t n;

                if (!larger)
                        return -ENOMEM;
                allocated += size < allocated ? 0 : 16384;
                text = larger;
                n = read(fd, text + size, allocated - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                size += (size_t) n;
                if (n == 0 || size >= MOUNTINFO_MAX)
                        break;
        }
        *ret = STEAL(text);
        *ret_size = size;
        return 0;
}

static int tell_mounts(Watchers *w) {
        uint8_t *text = NULL;
        size_t size = 0;
        int r = w->mounts_fd >= 0 ? read_mounts(w->mounts_fd, &text, &size) : 0;

        return r < 0 ? r : intake_mounts(w->intake, text, size);
}

static int on_mounts(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        (void) source;
        (void) fd;
        (void) events;
        (void) tell_mounts(userdata);
        return 0;
}

/* The kernel reports EPOLLERR and EPOLLPRI when the table has changed; it can always be read. */
static int watch_mounts(Watchers *w) {
        int r = 0;

        w->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (w->mounts_fd >= 0)
                r = sd_event_add_io(w->event, &w->mounts_source, w->mounts_fd, EPOLLPRI, on_mounts, w);
        return r < 0 ? r : tell_mounts(w);
}

/* When the clock ticks next: for who waits, for a canary, or for what intake has to do. */

static void next_tick(Watchers *w, int64_t now, bool soon) {
        int64_t at = soon ? now + TICK_MSEC * (int64_t) USEC_PER_MSEC : w->canary_at;
        IntakeStatus status;

        intake_status(w->intake, 0, &status);
        if (status.due != 0)
                at = MIN_OF(at, MAX_OF(status.due, now + TICK_MSEC * (int64_t) USEC_PER_MSEC));
        (void) sd_event_source_set_time(w->tick_source, (uint64_t) at);
        (void) sd_event_source_set_enabled(w->tick_source, SD_EVENT_ONESHOT);
}

static void tick_when_due(Watchers *w) {
        IntakeStatus status;
        uint64_t at;

        intake_status(w->intake, 0, &status);
        if (status.due != 0 && sd_event_source_get_time(w->tick_source, &at) >= 0 &&
            (uint64_t) status.due < at)
                (void) sd_event_source_set_time(w->tick_source, (uint64_t) status.due);
}

/* Feeds, as intake wants them. */

static Watcher **find(Watchers *w, uint32_t feed) {
        for (size_t n = 0; n < FEEDS; n++)
                if (w->watchers[n] && watcher_feed(w->watchers[n]) == feed)
                        return &w->watchers[n];
        return NULL;
}

static void feed_open(void *userdata, uint32_t feed) {
        Watchers *w = userdata;
        size_t n = 0;
        int r = -EMFILE;

        if (find(w, feed))
                return;
        while (n < FEEDS && w->watchers[n])
                n++;
        if (n < FEEDS)
                r = watcher_new(w->event, w->intake, &w->config, feed, &w->watchers[n]);
        if (r < 0)
                log_event(LOG_ERR, MSG_NONE, r, "No watcher can be started");
}

static void end(Watchers *w, Watcher **watcher) {
        w->restarts += watcher_restarts(*watcher);
        *watcher = watcher_free(*watcher);
}

static void feed_close(void *userdata, uint32_t feed) {
        Watcher **watcher = find(userdata, feed);

        if (watcher)
                end(userdata, watcher);
}

static void feed_request(void *userdata, uint32_t feed, const FeedMessage *m) {
        Watcher **watcher = find(userdata, feed);

        if (watcher)
                watcher_request(*watcher, m);
}

static void feed_consumed(void *userdata, uint32_t feed, unsigned frames) {
        Watcher **watcher = find(userdata, feed);

        if (watcher)
                watcher_consumed(*watcher, frames);
        tick_when_due(userdata);
}

static void feed_reset(void *userdata, uint32_t feed) {
        Watchers *w = userdata;
        Watcher **watcher = find(w, feed);

        if (watcher)
                watcher_replace(*watcher, CAUSE_WATCHER_LOST);
        for (size_t n = 0; feed == 0 && n < FEEDS; n++)
                if (w->watchers[n])
                        end(w, &w->watchers[n]);
}

/* The clock. */

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Watchers *w = userdata;
        int64_t now = now_usec(CLOCK_MONOTONIC);
        bool canary = now >= w->canary_at;

        (void) source;
        (void) usec;
        if (canary)
                w->canary_at = now + w->config.check_usec;
        for (size_t n = 0; canary && n < FEEDS; n++)
                if (w->watchers[n])
                        watcher_check(w->watchers[n], now);
        (void) intake_tick(w->intake, canary);
        next_tick(w, now, intake_waiting(w->intake));
        return 0;
}

int watchers_new(sd_event *event, Intake *intake, const WatchersConfig *config, Watchers **ret) {
        static const IntakeFeedOps ops = { .open = feed_open, .close = feed_close, .request = feed_request,
                                           .consumed = feed_consumed, .reset = feed_reset };
        Watchers *w = calloc(1, sizeof(*w));
        int r;

        assert(event && intake && config && ret);
        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        w->intake = intake;
        w->config = *config;
        w->mounts_fd = -1;
        w->canary_at = now_usec(CLOCK_MONOTONIC) + config->check_usec;
        r = sd_event_add_time(event, &w->tick_source, CLOCK_MONOTONIC, (uint64_t) w->canary_at, 0, on_tick,
                              w);
        if (r >= 0) {
                intake_digest_max(intake, config->digest_max);
                intake_poll(intake, config->poll_usec);
                intake_feed(intake, &ops, w);
                r = watch_mounts(w);
        }
        if (r < 0) {
                watchers_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

Watchers *watchers_free(Watchers *w) {
        if (!w)
                return NULL;
        intake_feed(w->intake, NULL, NULL);
        sd_event_source_disable_unref(w->tick_source);
        sd_event_source_disable_unref(w->mounts_source);
        closep(&w->mounts_fd);
        for (size_t n = 0; n < FEEDS; n++)
                watcher_free(w->watchers[n]);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

/* What people ask. */

int watchers_add(Watchers *w, Bytes root, const char *name, unsigned flags, IntakeDoneFn fn,
                 void *userdata) {
        next_tick(w, now_usec(CLOCK_MONOTONIC), true);
        return intake_add(w->intake, root, name, flags, fn, userdata);
}

int watchers_remove(Watchers *w, const char *name, IntakeDoneFn fn, void *userdata) {
        return intake_remove(w->intake, name, fn, userdata);
}

int watchers_scan(Watchers *w, const char *name, IntakeDoneFn fn, void *userdata) {
        return intake_scan(w->intake, name, fn, userdata);
}

int watchers_settle(Watchers *w, const char *dataset, int64_t timeout, IntakeDoneFn fn, void *userdata) {
        int64_t now = now_usec(CLOCK_MONOTONIC);
        int64_t most = INT64_MAX - now;

        next_tick(w, now, true);
        return intake_settle(w->intake, dataset, now + MIN_OF(MAX_OF(timeout, 0), most), fn, userdata);
}

void watchers_forget(Watchers *w, void *userdata) {
        intake_forget(w->intake, userdata);
}

void watchers_status(Watchers *w, int64_t dataset, WatchersStatus *ret) {
        IntakeStatus status;

        intake_status(w->intake, dataset, &status);
        *ret = (WatchersStatus) {
                .pending = status.pending,
                .watches = status.watches,
                .overflows = status.overflows,
                .walked_twice = status.walked_twice,
                .swept = status.swept,
                .walked_again = status.walked_again,
                .polled = status.polled,
                .watch_limit = status.watch_limit,
                .namespaced = status.namespaced,
                .restarts = w->restarts,
                .lost = !status.watched,
                .scanning = status.scanning,
                .stalled = status.stalled,
        };
        for (size_t n = 0; n < FEEDS; n++)
                if (w->watchers[n])
                        ret->restarts += watcher_restarts(w->watchers[n]);
}

int watchers_pids(Watchers *w, pid_t *ret, int max) {
        int found = 0;

        for (size_t n = 0; n < FEEDS && found < max; n++)
                if (w->watchers[n] && watcher_pid(w->watchers[n]) > 0)
                        ret[found++] = watcher_pid(w->watchers[n]);
        return found;
}
