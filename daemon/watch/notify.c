/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inotifytools/inotifytools.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/watch/notify.h"

/* Not IN_EXCL_UNLINK: what is written through a name that went may have other names. */
#define WATCH_MASK                                                                                          \
        (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |     \
         IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct Notify {
        int fd;                 /* the library's; it closes it */
        int marker_fd;          /* a memfd, watched for changes of its mode and of its size */
        int marker;             /* its wd */
        uint32_t mark;          /* what a mark is now: IN_ATTRIB or IN_MODIFY */
};

/* The library has no accessor for its descriptor: it is the one that links to an inotify instance. */
static int find_descriptor(void) {
        DIR *dir = opendir("/proc/self/fd");
        struct dirent *entry;
        int found = -ENOENT;

        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                char target[64];
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strcmp(target, "anon_inode:inotify") == 0)
                        found = (int) strtol(entry->d_name, NULL, 10);
        }
        closedir(dir);
        return found;
}

static int add(Notify *n, int fd, uint32_t mask) {
        char path[32];
        int wd;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        wd = inotify_add_watch(n->fd, path, mask);
        return wd < 0 ? -errno : wd;
}

int notify_new(Notify **ret) {
        CLEANUP(freep) Notify *n = NULL;

        assert(ret);
        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->marker_fd = memfd_create("scitrace-marker", MFD_CLOEXEC);
        if (n->marker_fd < 0)
                return -errno;
        if (!inotifytools_init(0, 0, 0)) {
                int error = inotifytools_error();

                close(n->marker_fd);
                return error > 0 ? -error : -EIO;
        }
        n->fd = find_descriptor();
        n->marker = n->fd < 0 ? -EIO : add(n, n->marker_fd, IN_ATTRIB | IN_MODIFY);
        n->mark = IN_ATTRIB;
        if (n->marker < 0 || fcntl(n->fd, F_SETFD, FD_CLOEXEC) < 0 ||
            fcntl(n->fd, F_SETFL, O_NONBLOCK) < 0) {
                int r = n->marker < 0 ? n->marker : -errno;

                inotifytools_cleanup();
                close(n->marker_fd);
                return r;
        }
        *ret = STEAL(n);
        return 0;
}

Notify *notify_free(Notify *n) {
        if (!n)
                return NULL;
        inotifytools_cleanup();
        close(n->marker_fd);
        free(n);
        return NULL;
}

int notify_fd(const Notify *n) {
        return n->fd;
}

int notify_next(Notify *n, Notice *ret) {
        const struct inotify_event *event;
        size_t size;

        assert(n && ret);
        do
                event = inotifytools_next_events(0, 1);
        while (!event && inotifytools_error() == EINTR); /* which does not say that nothing is there */
        if (!event) {
                int error = inotifytools_error();

                return error == 0 || error == EAGAIN ? 0 : -error;
        }
        size = event->len > 0 ? strnlen(event->name, event->len) : 0;
        ret->wd = event->wd;
        ret->mask = event->mask;
        if (size > NAME_SIZE_MAX) {
                ret->mask = NOTICE_UNNAMEABLE;
                size = 0;
        }
        ret->cookie = event->cookie;
        ret->name_size = (uint8_t) size;
        memcpy(ret->name, event->name, size);
        ret->name[size] = '\0';
        return 1;
}

int notify_add(Notify *n, int dir_fd) {
        assert(n && dir_fd >= 0);
        return add(n, dir_fd, WATCH_MASK);
}

void notify_remove(Notify *n, int wd) {
        assert(n);
        (void) inotify_rm_watch(n->fd, wd);     /* EINVAL: the kernel was faster */
}

int notify_mark(Notify *n) {
        int r;

        assert(n);
        r = n->mark == IN_ATTRIB ? fchmod(n->marker_fd, 0600) : ftruncate(n->marker_fd, 0);
        return r < 0 ? -errno : 0;
}

/* One that comes behind this overflow comes before the next: two kinds are enough. */
void notify_mark_lost(Notify *n) {
        n->mark ^= IN_ATTRIB | IN_MODIFY;
}

bool notify_is_mark(const Notify *n, const Notice *notice) {
        return notice->wd == n->marker && notice->mask & n->mark;
}

int notify_watch_limit(bool *ret_namespaced) {
        CLEANUP(fclosep) FILE *f = fopen("/proc/sys/user/max_inotify_watches", "re");
        int limit = inotifytools_get_max_user_watches(), own;

        *ret_namespaced = f && fscanf(f, "%d", &own) == 1 && own < limit;
        return *ret_namespaced ? own : limit;
}
