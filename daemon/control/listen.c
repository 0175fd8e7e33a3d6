/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/control/listen.h"
#include "lib/place.h"

enum { BACKLOG = 64 };

/* Makes room for a socket. 0, LISTEN_E_..., negative errno. */
static int clear(const char *path, const struct sockaddr_un *address) {
        CLEANUP(closep) int fd = -1;
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return LISTEN_E_OCCUPIED;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
                return LISTEN_E_ANSWERED;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_there(int fd, const char *path, const struct sockaddr_un *address, bool everybody,
                      Listen *ret) {
        mode_t mask = umask(everybody ? 0 : 0077);
        int r = bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0 ? -errno : 0;
        struct stat st;

        umask(mask);
        if (r == 0 && (listen(fd, BACKLOG) < 0 || lstat(path, &st) < 0))
                r = -errno;
        if (r == 0)
                *ret = (Listen) { .device = st.st_dev, .inode = st.st_ino };
        return r == -EADDRINUSE ? LISTEN_E_ANSWERED : r;
}

int listen_open(const char *path, bool everybody, int *ret_fd, Listen *ret) {
        CLEANUP(closep) int fd = -1, folder = -1;
        struct sockaddr_un address;
        int r;

        assert(path && ret_fd && ret);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = place_address(path, &address, &folder);
        if (r == 0)
                r = clear(path, &address);
        if (r == 0)
                r = bind_there(fd, path, &address, everybody, ret);
        if (r == 0)
                *ret_fd = STEAL_FD(fd);
        return r;
}

bool listen_lost(const Listen *l, const char *path) {
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR;
        return st.st_dev != l->device || st.st_ino != l->inode;
}
