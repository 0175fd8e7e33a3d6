/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/watchers/watcher.h"
#include "lib/log.h"

enum {
        CREDIT_FRAMES = 64,             /* 4 MiB under way to the store thread at most */
        STALLED_CHECKS = 3,             /* without any sign of life, and the watcher is replaced; ... */
        BLIND_CHECKS = 20,              /* ... without a canary coming back, whatever else comes */
        RETRY_MSEC = 100,               /* before the first restart; doubles up to ... */
        RETRY_MAX_MSEC = 10000,
        STEADY_SECONDS = 60,            /* a watcher that lived so long begins at RETRY_MSEC again */
};

typedef struct Frame {                  /* requests on their way up */
        struct Frame *next;
        size_t size;
        uint8_t data[FEED_FRAME_MAX];
} Frame;

struct Watcher {
        sd_event *event;
        Intake *intake;
        const WatchersConfig *config;
        uint32_t feed;

        int fd;                         /* the feed; -1: none just now */
        pid_t pid;                      /* 0: not known */
        pid_t child;                    /* started by us and not yet reaped */
        int64_t since;                  /* of this watcher, µs, CLOCK_MONOTONIC */
        uint64_t retry_msec;
        int64_t restarts;
        Frame *frames, *last_frame;
        int64_t heard;                  /* when a canary came back, as the last check found it */
        int unanswered;                 /* checks since; no time: it is not its fault if we stood still */
        int silent;                     /* of these, the last ones: nothing came that is not consumed */
        unsigned came, unconsumed;      /* frames since the last check; those that intake still has */
        bool asked;                     /* a canary went up since the last check */

        sd_event_source *feed_source, *child_source, *retry_source, *flush_source;
};

static int connect_watcher(Watcher *w);

/* Requests going up. */

static void drop_frames(Watcher *w) {
        for (Frame *f = w->frames, *next; f; f = next) {
                next = f->next;
                free(f);
        }
        w->frames = w->last_frame = NULL;
}

static int flush(Watcher *w) {
        while (w->frames && w->fd >= 0) {
                Frame *f = w->frames;

                if (send(w->fd, f->data, f->size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                        if (errno == EAGAIN || errno == ENOBUFS)
                                return sd_event_source_set_io_events(w->feed_source, EPOLLIN | EPOLLOUT);
                        return -errno;  /* its end is noticed by the reader */
                }
                w->frames = f->next;
                if (!w->frames)
                        w->last_frame = NULL;
                free(f);
        }
        return w->feed_source ? sd_event_source_set_io_events(w->feed_source, EPOLLIN) : 0;
}

static int on_flush(sd_event_source *source, void *userdata) {
        (void) source;
        (void) flush(userdata);
        return 0;
}

void watcher_request(Watcher *w, const FeedMessage *m) {
        if (w->fd < 0)
                return;
        if (!w->last_frame || feed_add(w->last_frame->data, &w->last_frame->size, m) != 0) {
                Frame *f = malloc(sizeof(*f));

                if (!f)
                        return;         /* the barrier behind it is not answered: it is replaced */
                f->next = NULL;
                f->size = 0;
                if (w->last_frame)
                        w->last_frame->next = f;
                else
                        w->frames = f;
                w->last_frame = f;
                (void) feed_add(f->data, &f->size, m);
        }
        w->asked |= m->type == FEED_BARRIER;
        (void) sd_event_source_set_enabled(w->flush_source, SD_EVENT_ONESHOT);
}

static int send_config(Watcher *w) {
        FeedMessage policy = { .type = FEED_POLICY,
                               .POLICY = { .settle = w->config->settle_usec,
                                           .write_max = w->config->write_max_usec,
                                           .digest_max = w->config->digest_max,
                                           .read_max = w->config->read_max,
                                           .pressure_max = (uint32_t) w->config->pressure_max,
                                           .answer_max = STALLED_CHECKS * w->config->check_usec,
                                           .poll_rate = (uint32_t) w->config->poll_rate } };
        CLEANUP(freep) char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        for (size_t i = 0; i < w->config->n_ignore; i++)
                fprintf(f, "%s\n", w->config->ignore[i]);
        if (fclose(f) != 0)
                return -ENOMEM;
        if (size > 0)
                policy.POLICY.ignore = BYTES(text, size);
        watcher_request(w, &policy);
        for (char *const *path = w->config->exclude; path && *path; path++)
                watcher_request(w, &(FeedMessage) { .type = FEED_EXCLUDE,
                                                    .EXCLUDE = { .path = BYTES_STR(*path) } });
        watcher_request(w, &(FeedMessage) { .type = FEED_CREDIT, .CREDIT = { .frames = CREDIT_FRAMES } });
        return 0;
}

/* The watcher's life. */

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Watcher *w = userdata;

        (void) source;
        (void) usec;
        return connect_watcher(w);
}

static void retry_later(Watcher *w) {
        uint64_t at;

        (void) sd_event_now(w->event, CLOCK_MONOTONIC, &at);
        (void) sd_event_source_set_time(w->retry_source, at + w->retry_msec * USEC_PER_MSEC);
        (void) sd_event_source_set_enabled(w->retry_source, SD_EVENT_ONESHOT);
        w->retry_msec = MIN_OF(w->retry_msec * 2, (uint64_t) RETRY_MAX_MSEC);
}

void watcher_replace(Watcher *w, Cause why) {
        if (w->fd < 0)
                return;
        w->feed_source = sd_event_source_disable_unref(w->feed_source);
        close(STEAL_FD(w->fd));
        w->pid = 0;
        w->came = w->unconsumed = 0;
        w->asked = false;
        drop_frames(w);
        if (w->child > 0)
                (void) kill(w->child, SIGKILL); /* stopped ones too; reaped by on_child() */
        if (now_usec(CLOCK_MONOTONIC) - w->since > STEADY_SECONDS * (int64_t) USEC_PER_SEC)
                w->retry_msec = RETRY_MSEC;
        w->restarts++;
        (void) intake_feed_end(w->intake, w->feed, why);
        retry_later(w);
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata) {
        Watcher *w = userdata;

        (void) source;
        w->child = 0;
        w->child_source = sd_event_source_unref(w->child_source);
        if (si->si_code == CLD_EXITED && si->si_status == FEED_EXIT_UNABLE)
                return sd_event_exit(w->event, -EOPNOTSUPP);    /* so would the next one be */
        return 0;                       /* what is left in the feed is read first; then it ends */
}

/* The first frame says who it is. After an upgrade the watcher that systemd starts may be
 * newer than we are. */
static bool greet(Watcher *w, const uint8_t *data, size_t size) {
        size_t offset = 0;
        FeedMessage m;

        if (feed_next(BYTES(data, size), &offset, &m) == 1 && m.type == FEED_HELLO &&
            m.HELLO.version == FEED_VERSION) {
                w->pid = (pid_t) m.HELLO.pid;
                return true;
        }
        log_event(LOG_ERR, MSG_WATCHER_LOST, 0,
                  "A watcher of another version answered; nothing is watched until scitraced is restarted");
        return false;
}

static int on_feed(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Watcher *w = userdata;
        uint8_t *data, *fit;
        ssize_t n;

        (void) source;
        if (events & EPOLLOUT)
                (void) flush(w);
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                return 0;
        data = malloc(FEED_FRAME_MAX);
        n = data ? recv(fd, data, FEED_FRAME_MAX, MSG_DONTWAIT) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                free(data);
                return 0;
        }
        if (n <= 0) {
                free(data);
                log_event(LOG_WARNING, MSG_WATCHER_LOST, 0,
                          "A watcher ended; starting another, which compares its datasets with the record");
                watcher_replace(w, CAUSE_WATCHER_LOST);
                return 0;
        }
        if (w->pid == 0 && !greet(w, data, (size_t) n)) {
                free(data);
                watcher_replace(w, CAUSE_WATCHER_LOST);
                return 0;
        }
        fit = realloc(data, (size_t) n);
        w->came++;
        w->unconsumed++;
        (void) intake_feed_frame(w->intake, w->feed, fit ? fit : data, (size_t) n);
        return 0;
}

static int spawn(Watcher *w, int *ret_fd) {
        char *const argv[] = { (char *) "scitrace-watch", NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        int fds[2], r;

        if (w->child > 0)
                return -EAGAIN;         /* the old one is not reaped yet */
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        posix_spawn_file_actions_adddup2(&actions, fds[1], 3);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = -posix_spawn(&w->child, w->config->program, &actions, &attributes, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        close(fds[1]);
        if (r == 0)
                r = sd_event_add_child(w->event, &w->child_source, w->child, WEXITED, on_child, w);
        if (r < 0) {
                close(fds[0]);
                return r;
        }
        *ret_fd = fds[0];
        return 0;
}

static int connect_unit(Watcher *w, int *ret_fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (strlen(w->config->socket) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, w->config->socket);
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        *ret_fd = STEAL_FD(fd);
        return 0;
}

static int connect_watcher(Watcher *w) {
        int fd = -1;
        int r = w->config->program ? spawn(w, &fd) : connect_unit(w, &fd);

        if (r == 0)
                r = sd_event_add_io(w->event, &w->feed_source, fd, EPOLLIN, on_feed, w);
        if (r < 0) {
                closep(&fd);
                if (r != -EAGAIN)
                        log_event(LOG_ERR, MSG_NONE, r, "No watcher can be started from %s; trying again",
                                  w->config->program ? w->config->program : w->config->socket);
                retry_later(w);
                return 0;
        }
        w->fd = fd;
        w->since = now_usec(CLOCK_MONOTONIC);
        return send_config(w);
}

void watcher_consumed(Watcher *w, unsigned frames) {
        w->unconsumed -= MIN_OF(frames, w->unconsumed);         /* some may be of the one before */
        watcher_request(w, &(FeedMessage) { .type = FEED_CREDIT, .CREDIT = { .frames = frames } });
}

/* A canary comes back behind all that was noticed before: one that is busy may take its time. The store
 * thread sends it: while that makes a backup, say, nobody is asked, and no check counts. */
void watcher_check(Watcher *w, int64_t now) {
        int64_t heard = MAX_OF(w->since, intake_answered(w->intake, w->feed));
        bool asked = w->asked || w->pid == 0;   /* its HELLO is owed unasked */

        w->unanswered = heard == w->heard ? w->unanswered + asked : 0;
        w->silent = w->unanswered > 0 && w->came == 0 && w->unconsumed == 0 ? w->silent + asked : 0;
        w->heard = heard;
        w->came = 0;
        w->asked = false;
        if (w->fd < 0 || (w->silent < STALLED_CHECKS && w->unanswered < BLIND_CHECKS))
                return;
        log_event(LOG_ERR, MSG_WATCHER_LOST, 0,
                  "A watcher has not answered for %d seconds; replacing it with another, which compares its "
                  "datasets with the record", (int) ((now - heard) / (int64_t) USEC_PER_SEC));
        watcher_replace(w, CAUSE_STALLED);
}

int watcher_new(sd_event *event, Intake *intake, const WatchersConfig *config, uint32_t feed,
                Watcher **ret) {
        Watcher *w = calloc(1, sizeof(*w));
        int r;

        assert(event && intake && config && ret);
        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        w->intake = intake;
        w->config = config;
        w->feed = feed;
        w->fd = -1;
        w->retry_msec = RETRY_MSEC;
        r = sd_event_add_time(event, &w->retry_source, CLOCK_MONOTONIC, 0, 0, on_retry, w);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->retry_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &w->flush_source, on_flush, w);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->flush_source, SD_EVENT_OFF);
        if (r >= 0)
                r = connect_watcher(w);
        if (r < 0) {
                watcher_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

static int on_orphan(sd_event_source *source, const siginfo_t *si, void *userdata) {
        (void) source;
        (void) si;
        (void) userdata;
        return 0;
}

Watcher *watcher_free(Watcher *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->feed_source);
        sd_event_source_disable_unref(w->child_source);
        sd_event_source_disable_unref(w->retry_source);
        sd_event_source_disable_unref(w->flush_source);
        if (w->fd >= 0)
                close(w->fd);           /* and the process ends; when it has, it is reaped */
        if (w->child > 0)
                (void) sd_event_add_child(w->event, NULL, w->child, WEXITED, on_orphan, NULL);
        drop_frames(w);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

uint32_t watcher_feed(const Watcher *w) {
        return w->feed;
}

pid_t watcher_pid(const Watcher *w) {
        return w->pid;
}

int64_t watcher_restarts(const Watcher *w) {
        return w->restarts;
}
