/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/place.h"
#include "lib/varlink-client.h"

struct VarlinkClient {
        int fd;
        int reader;                     /* varlink_client_answers_to(), or -1 */
        int patience;                   /* varlink_client_patience(), or -1 */
        VarlinkInput input;
};

int varlink_client_open(const char *path, VarlinkClient **ret) {
        CLEANUP(varlink_client_closep) VarlinkClient *c = NULL;
        CLEANUP(closep) int folder = -1;
        struct sockaddr_un address;
        int r;

        assert(path && ret);
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->input.max = VARLINK_REPLY_MAX;
        c->reader = c->patience = -1;
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
                return -errno;
        r = place_address(path, &address, &folder);
        if (r < 0)
                return r;
        if (connect(c->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        *ret = STEAL(c);
        return 0;
}

VarlinkClient *varlink_client_close(VarlinkClient *c) {
        if (!c)
                return NULL;
        closep(&c->fd);
        varlink_input_done(&c->input);
        free(c);
        return NULL;
}

/* The descriptor goes with the first byte. */
static ssize_t send_some(int socket_fd, const char *data, size_t size, int fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (fd >= 0) {
                m.msg_control = &control;
                m.msg_controllen = sizeof(control);
                control.header = (struct cmsghdr) {
                        .cmsg_len = CMSG_LEN(sizeof(int)),
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                };
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        }
        return sendmsg(socket_fd, &m, MSG_NOSIGNAL);
}

int varlink_client_send(VarlinkClient *c, const char *method, json_t *parameters, unsigned flags, int fd) {
        CLEANUP(freep) char *text = NULL;
        size_t size = 0, sent = 0;
        int r;

        assert(c && method);
        r = varlink_call_format(method, parameters, flags, &text, &size);
        if (r < 0)
                return r;
        while (sent < size) {
                ssize_t n = send_some(c->fd, text + sent, size - sent, sent == 0 ? fd : -1);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EPIPE)
                        return 0;       /* it may have said why before it hung up */
                if (n < 0)
                        return -errno;
                sent += (size_t) n;
        }
        return 0;
}

void varlink_client_answers_to(VarlinkClient *c, int fd) {
        c->reader = fd;
}

void varlink_client_patience(VarlinkClient *c, int msec) {
        c->patience = msec;
}

/* Until there is something to be received. */
static int wait_for_server(const VarlinkClient *c) {
        struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->reader } };

        int n = poll(fds, ELEMENTS(fds), c->patience);

        if (n <= 0)
                return n < 0 ? -errno : -EAGAIN;
        return fds[0].revents == 0 && (fds[1].revents & (POLLERR | POLLHUP)) ? -ECANCELED : 0;
}

int varlink_client_next(VarlinkClient *c, VarlinkReply *ret) {
        Bytes text;
        int r;

        assert(c && ret);
        for (;;) {
                size_t room;
                char *data;
                ssize_t n;

                r = varlink_input_next(&c->input, &text);
                if (r < 0)
                        return r;
                if (r > 0)
                        return varlink_reply_parse(text, ret);
                r = varlink_input_room(&c->input, &data, &room);
                if (r < 0)
                        return r;
                r = wait_for_server(c);
                if (r < 0)
                        return r;
                n = recv(c->fd, data, room, 0);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ECONNRESET;
                varlink_input_filled(&c->input, (size_t) n);
        }
}
