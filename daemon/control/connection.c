/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/control/connection.h"
#include "lib/varlink.h"

struct Connection {
        int fd;
        const ConnectionHooks *hooks;
        void *userdata;
        sd_event_source *io;
        sd_event_source *later;         /* dispatches requests that have already arrived */
        sd_event_source *timer;

        VarlinkInput input;
        bool busy;                      /* a request is being answered */
        bool ended;                     /* the client sends no more */
        const char *abort;              /* reason; NULL: none */
        int passed_fd;                  /* came with the byte at passed_at */
        uint64_t passed_at;
        uint64_t received, taken;       /* bytes since the start */

        char *output;
        size_t output_start, output_end, output_allocated;
};

static void close_for(Connection *c, const char *reason) {
        c->hooks->closed(c, c->userdata, reason);
}

bool connection_deadline(const Connection *c, uint64_t *ret) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(c->timer, &enabled);
        return enabled != SD_EVENT_OFF && sd_event_source_get_time(c->timer, ret) >= 0;
}

/* A deadline holds while the client owes us the rest of a request, or owes us reading. */
static void arm(Connection *c, uint64_t usec, bool anew) {
        uint64_t set;

        if (connection_deadline(c, &set) && !anew)
                return;
        (void) sd_event_source_set_time_relative(c->timer, usec);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static bool owes_request(const Connection *c) {
        return !c->busy && varlink_input_partial(&c->input);
}

static bool takes_input(const Connection *c) {
        return !c->ended && c->input.end - c->input.start < c->input.max;
}

/* What to wait for, after anything has changed. progress: the client has read or sent something whole. */
static void update(Connection *c, bool progress) {
        uint32_t events = (takes_input(c) ? EPOLLIN : 0) | (connection_idle(c) ? 0 : EPOLLOUT);

        (void) sd_event_source_set_io_events(c->io, events);
        if (!connection_idle(c))
                arm(c, CONNECTION_STALL_USEC, progress);
        else if (owes_request(c))
                arm(c, CONNECTION_REQUEST_USEC, progress);
        else
                (void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Connection *c = userdata;

        close_for(c, connection_idle(c) ? "did not finish a request in time" : "did not read its replies");
        return 0;
}

/* At most one request: it is answered before the next one. */
static void dispatch_one(Connection *c) {
        Bytes m;
        int r, fd = -1;

        if (c->busy)
                return;
        r = varlink_input_next(&c->input, &m);
        if (r < 0) {
                close_for(c, "sent a request that is too large");
                return;
        }
        if (r == 0) {
                if (c->ended && connection_idle(c))
                        close_for(c, NULL);
                else
                        update(c, false);
                return;
        }
        c->taken += m.size + 1;
        if (c->passed_fd >= 0 && c->passed_at < c->taken)
                fd = STEAL_FD(c->passed_fd);
        c->busy = true;
        update(c, true);
        c->hooks->message(c, c->userdata, m, fd);       /* may free c */
}

static int on_later(sd_event_source *s, void *userdata) {
        Connection *c = userdata;

        if (c->abort)
                close_for(c, c->abort);
        else
                dispatch_one(c);
        return 0;
}

void connection_abort(Connection *c, const char *reason) {
        c->abort = reason;
        (void) sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(c->later, SD_EVENT_ONESHOT);
}

void connection_next(Connection *c) {
        assert(c->busy);
        c->busy = false;
        if (c->ended || varlink_input_partial(&c->input))
                (void) sd_event_source_set_enabled(c->later, SD_EVENT_ONESHOT);
}

/* Keeps the first descriptor, closes all others. */
static void take_descriptors(Connection *c, struct msghdr *m, size_t n) {
        for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
                size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < count; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
                        if (i > 0) {
                                close(fd);
                                continue;
                        }
                        /* The kernel ends a read behind the message that carried descriptors: its last byte
                         * is theirs. */
                        closep(&c->passed_fd);
                        c->passed_fd = fd;
                        c->passed_at = c->received + n - 1;
                }
        }
}

/* 1: bytes came; 0: nothing to be had now, or the end; negative errno. */
static int receive(Connection *c) {
        char control[CMSG_SPACE(sizeof(int))], *data;
        struct iovec iov;
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof(control),
        };
        size_t room;
        ssize_t n;
        int r;

        r = varlink_input_room(&c->input, &data, &room);
        if (r == -EMSGSIZE)
                return 0;
        if (r < 0)
                return r;
        iov = (struct iovec) { data, MIN_OF(room, c->input.max - (c->input.end - c->input.start)) };
        n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0) {
                c->ended = true;
                return 0;
        }
        take_descriptors(c, &m, (size_t) n);
        c->received += (size_t) n;
        varlink_input_filled(&c->input, (size_t) n);
        return 1;
}

/* Sends what waits. 1: something went out; 0: nothing could; negative errno. */
static int flush(Connection *c) {
        int sent = 0;

        while (!connection_idle(c)) {
                ssize_t n = send(c->fd, c->output + c->output_start, c->output_end - c->output_start,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? sent : -errno;
                c->output_start += (size_t) n;
                sent = 1;
        }
        c->output_start = c->output_end = 0;
        if (c->output_allocated > 2 * CONNECTION_OUTPUT_HIGH) {
                free(c->output);
                c->output = NULL;
                c->output_allocated = 0;
        }
        return sent;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Connection *c = userdata;
        bool gone = revents & (EPOLLHUP | EPOLLERR), waited = !connection_idle(c);
        int r;

        if (waited && !gone) {
                r = flush(c);
                if (r < 0)
                        gone = true;
                else
                        update(c, r > 0);
        }
        if (revents & EPOLLIN || (gone && takes_input(c))) {
                r = receive(c);
                if (r < 0)
                        gone = true;
        }
        if (gone) {
                /* What it asked for without wanting an answer is still done, if it has arrived whole. */
                if (c->busy || !varlink_input_partial(&c->input)) {
                        close_for(c, NULL);
                        return 0;
                }
                c->ended = true;
                c->output_start = c->output_end = 0;
        }
        update(c, false);
        if (waited && connection_idle(c) && c->busy)
                c->hooks->drained(c, c->userdata);      /* may free c: nothing follows */
        else
                dispatch_one(c);
        return 0;
}

int connection_send(Connection *c, const void *data, size_t size) {
        size_t held = c->output_end - c->output_start;
        int sent;

        if (c->output_allocated - c->output_end < size) {
                if (c->output_start > 0 && held > 0)
                        memmove(c->output, c->output + c->output_start, held);
                c->output_start = 0;
                c->output_end = held;
        }
        if (c->output_allocated - c->output_end < size) {
                size_t want = MAX_OF(c->output_allocated * 2, held + size);
                char *p = realloc(c->output, want);

                if (!p)
                        return -ENOMEM;
                c->output = p;
                c->output_allocated = want;
        }
        memcpy(c->output + c->output_end, data, size);
        c->output_end += size;
        sent = flush(c);        /* a client that is gone is met again as EPOLLHUP */
        update(c, held == 0 || sent > 0);
        return 0;
}

bool connection_full(const Connection *c) {
        return c->output_end - c->output_start >= CONNECTION_OUTPUT_HIGH;
}

bool connection_idle(const Connection *c) {
        return c->output_start == c->output_end;
}

int connection_new(sd_event *event, int fd, const ConnectionHooks *hooks, void *userdata, Connection **ret) {
        Connection *c = calloc(1, sizeof(*c));
        int r;

        assert(event && hooks && ret);
        if (!c)
                return -ENOMEM;
        *c = (Connection) {
                .fd = -1,
                .hooks = hooks,
                .userdata = userdata,
                .passed_fd = -1,
                .input.max = VARLINK_REQUEST_MAX,
        };
        r = sd_event_add_io(event, &c->io, fd, EPOLLIN, on_io, c);
        if (r >= 0)
                r = sd_event_add_defer(event, &c->later, on_later, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->later, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC, CONNECTION_REQUEST_USEC, 0,
                                               on_timer, c);
        if (r >= 0)
                r = sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        if (r < 0) {
                connection_free(c);
                return r;
        }
        c->fd = fd;
        *ret = c;
        return 0;
}

Connection *connection_free(Connection *c) {
        if (!c)
                return NULL;
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->later);
        sd_event_source_disable_unref(c->timer);
        varlink_input_done(&c->input);
        free(c->output);
        closep(&c->passed_fd);
        closep(&c->fd);
        free(c);
        return NULL;
}
