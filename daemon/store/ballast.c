/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/store/ballast.h"
#include "lib/util.h"

/* By trying: statvfs(3) knows nothing of quotas, nor of what btrfs is still to give back. */
static int allocate(const char *path, int *ret_fd) {
        CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : -posix_fallocate(fd, 0, BALLAST_SIZE);

        if (r < 0) {
                if (fd >= 0)
                        (void) unlink(path);
                return is_full(r) ? -ENOSPC : r;
        }
        *ret_fd = STEAL_FD(fd);
        return 0;
}

/* Two are made, and the first is given back: so is there room for what comes next, and a volume on which
 * there is just enough for one does not take turns between full and not. */
int ballast_make(const char *dir) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int room = -1, fd = -1;
        int r;

        assert(dir);
        if (asprintf(&path, "%s/ballast", dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        (void) unlink(path);
        r = allocate(path, &room);
        if (r < 0)
                return r;
        return unlink(path) < 0 ? -errno : allocate(path, &fd);
}

void ballast_drop(const char *dir) {
        CLEANUP(freep) char *path = NULL;

        assert(dir);
        if (asprintf(&path, "%s/ballast", dir) < 0)
                path = NULL;
        else
                (void) unlink(path);
}
