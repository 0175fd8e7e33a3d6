/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "daemon/identify/identify.h"
#include "daemon/identify/open.h"

enum { EAGAIN_MAX = 100 };              /* asked for when a rename crosses the kernel's check of ".." */

/* glibc has no wrapper. */
static int openat2_as(int dir_fd, const char *path, int flags, uint64_t resolve) {
        const struct open_how how = {
                .flags = (uint64_t) (flags | O_CLOEXEC),
                .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };

        for (int i = 0;; i++) {
                int fd = (int) syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

                if (fd >= 0)
                        return fd;
                if (errno != EINTR && (errno != EAGAIN || i >= EAGAIN_MAX))
                        return -errno;
        }
}

static int openat2_beneath(int dir_fd, const char *path, int flags) {
        return openat2_as(dir_fd, path, flags, 0);
}

/* How much of a path that is too long for one call goes first: up to the last slash that fits. */
static size_t first_piece(const char *path, size_t size) {
        if (size < PATH_MAX)
                return size;
        for (size = PATH_MAX - 1; size > 0; size--)
                if (path[size] == '/')
                        return size;
        return 0;
}

int open_beneath(int dir_fd, const char *path, int flags) {
        CLEANUP(closep) int held = -1;
        size_t left = strlen(path);

        while (left >= PATH_MAX) {
                size_t n = first_piece(path, left);
                char piece[PATH_MAX];
                int fd;

                if (n == 0)
                        return -ENAMETOOLONG;
                memcpy(piece, path, n);
                piece[n] = '\0';
                fd = openat2_beneath(dir_fd, piece, O_PATH | O_DIRECTORY);
                if (fd < 0)
                        return fd;
                closep(&held);
                held = dir_fd = fd;
                path += n;
                path += strspn(path, "/");
                left = strlen(path);
        }
        return openat2_beneath(dir_fd, left == 0 ? "." : path, flags);
}

int identify_root(const char *path) {
        CLEANUP(closep) int top = -1;

        assert(path);
        if (path[0] != '/')
                return -EINVAL;
        top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (top < 0)
                return -errno;
        return open_beneath(top, path + strspn(path, "/"), O_PATH | O_DIRECTORY);
}

int identify_below(int dir_fd, const char *name) {
        int fd;

        assert(name);
        fd = openat2_as(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOATIME, RESOLVE_NO_XDEV);
        if (fd == -EPERM)
                fd = openat2_as(dir_fd, name, O_RDONLY | O_DIRECTORY, RESOLVE_NO_XDEV);
        return fd;
}

int identify_directory(int root_fd, const char *path) {
        int fd;

        assert(path);
        fd = open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY | O_NOATIME);
        if (fd == -EPERM)               /* another's directory, and we lack CAP_FOWNER */
                fd = open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY);
        return fd;
}
