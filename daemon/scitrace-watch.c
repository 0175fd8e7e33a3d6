/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "config.h"
#include "daemon/identify/identify.h"
#include "daemon/watch/watch.h"

/* scitrace-watch: reads datasets, tells scitraced what moved. Started by scitraced or by systemd with a
 * connected SOCK_SEQPACKET socket as descriptor 3: its feed. When the feed ends, it ends. */

enum {
        FEED_FD = 3,
        IDLE_MSEC = 1000,
        GATHER_USEC = 3000,     /* from one sending to the next: what comes meanwhile shares its frames */
};

typedef struct Feed {
        Watch *watch;
        uint32_t credit;                /* frames that scitraced will take */
        bool blocked;                   /* the socket would not take one */
        int64_t gather_until;           /* µs of CLOCK_MONOTONIC: some were sent just before */
        uint8_t frame[FEED_FRAME_MAX];  /* a request's */
} Feed;

static int send_hello(void) {
        FeedMessage hello = { .type = FEED_HELLO,
                              .HELLO = { .version = FEED_VERSION, .pid = (uint32_t) getpid() } };
        uint8_t frame[256];
        size_t size = 0;
        int r = feed_add(frame, &size, &hello);

        if (r == 0 && send(FEED_FD, frame, size, MSG_NOSIGNAL) < 0)
                r = -errno;
        return r;
}

/* 1, 0: the feed ended, -errno. */
static int receive_requests(Feed *f) {
        ssize_t n = recv(FEED_FD, f->frame, sizeof(f->frame), MSG_DONTWAIT);
        size_t offset = 0;
        FeedMessage m;
        int r;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : -errno;
        if (n == 0)
                return 0;
        while ((r = feed_next(BYTES(f->frame, (size_t) n), &offset, &m)) == 1) {
                if (m.type == FEED_CREDIT)
                        f->credit += m.CREDIT.frames;
                else
                        r = watch_request(f->watch, &m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : 1;
}

static int send_frames(Feed *f) {
        f->blocked = false;
        while (f->credit > 0) {
                size_t size;
                uint8_t *frame = watch_take(f->watch, &size);

                if (!frame)
                        return 0;
                if (send(FEED_FD, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                        int error = errno;

                        watch_return(f->watch, frame, size);
                        f->blocked = error == EAGAIN || error == ENOBUFS;
                        return f->blocked || error == EINTR ? 0 : -error;
                }
                free(frame);
                f->credit--;
                f->gather_until = now_usec(CLOCK_MONOTONIC) + GATHER_USEC;
        }
        return 0;
}

static int run(Feed *f) {
        int r = send_hello();

        while (r >= 0) {
                int64_t wait = MAX_OF(f->gather_until - now_usec(CLOCK_MONOTONIC), 0);
                struct pollfd pfds[] = {
                        { .fd = FEED_FD, .events = (short) (POLLIN | (f->blocked ? POLLOUT : 0)) },
                        { .fd = f->credit > 0 && !f->blocked && wait == 0 ? watch_fd(f->watch) : -1,
                          .events = POLLIN },
                };

                if (poll(pfds, ELEMENTS(pfds), wait > 0 ? (int) (wait / 1000) + 1 : IDLE_MSEC) < 0 &&
                    errno != EINTR)
                        return -errno;
                if (pfds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
                        r = receive_requests(f);
                        if (r <= 0)
                                return r;
                }
                if (f->blocked || now_usec(CLOCK_MONOTONIC) >= f->gather_until)
                        r = send_frames(f);
                if (r >= 0)
                        r = watch_tick(f->watch);
        }
        return r;
}

static int check_feed(void) {
        int type = 0;
        socklen_t size = sizeof(type);

        return getsockopt(FEED_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET &&
               fcntl(FEED_FD, F_SETFD, FD_CLOEXEC) == 0;
}

/* Whether trees can be read at all. */
static int check_system(void) {
        CLEANUP(closep) int fd = identify_root("/");

        return fd < 0 ? fd : 0;
}

static int watch(void) {
        Feed *f = calloc(1, sizeof(*f));
        int r = f ? watch_new((unsigned) sysconf(_SC_NPROCESSORS_ONLN), &f->watch) : -ENOMEM;

        if (r == 0)
                r = watch_start(f->watch);
        if (r == 0)
                r = run(f);
        if (f && watch_free(f->watch))  /* a file system does not answer: nothing else ends that */
                _exit(r < 0 ? 1 : 0);
        free(f);
        return r == -ECONNRESET || r == -EPIPE ? 0 : r;
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "help", no_argument, NULL, 'h' },
                                                 { "version", no_argument, NULL, 'V' },
                                                 { 0 } };
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                if (c == 'V') {
                        puts(PACKAGE_STRING);
                        return 0;
                }
                puts("scitrace-watch is started by scitraced or systemd; there is nothing to run by hand.\n"
                     "See scitrace-watch(8).");
                return c == 'h' ? 0 : 2;
        }
        (void) hold_standard_descriptors();
        if (!check_feed()) {
                fprintf(stderr,
                        "scitrace-watch: descriptor 3 is not a feed; scitraced starts this program, see "
                        "scitrace-watch(8).\n");
                return 2;
        }
        r = check_system();
        if (r < 0) {
                fprintf(stderr,
                        "scitrace-watch: openat2(2) fails (%s), and without it no tree is read safely; it "
                        "takes Linux 5.6 or later, and a sandbox that allows it.\n", strerror(-r));
                return FEED_EXIT_UNABLE;
        }
        if (chdir("/") < 0)             /* or the file system that we were started on is held */
                return 1;
        signal(SIGPIPE, SIG_IGN);
        signal(SIGINT, SIG_IGN); /* from a terminal it is meant for scitraced, and our feed ends with it */
        r = watch();
        if (r < 0)
                fprintf(stderr, "scitrace-watch: %s; scitraced starts another one.\n", strerror(-r));
        return r < 0 ? 1 : 0;
}
