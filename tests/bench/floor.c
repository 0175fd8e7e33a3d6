/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "lib/util.h"

/* The floor of B1: what nobody can do without who wants to know a tree and to hear of its changes: a watch on each
 * directory, its names, statx of each (but with "list" of directories alone). Prints the microseconds, and what it saw. */

static uint64_t directories, names;
static bool without_stat;

static void walk(int instance, int fd) {
        char link[64];
        struct dirent *entry;
        struct statx stx;
        DIR *d;

        directories++;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (inotify_add_watch(instance, link, IN_ALL_EVENTS | IN_ONLYDIR) < 0)
                err(1, "inotify_add_watch");
        d = fdopendir(fd);
        if (!d)
                err(1, "fdopendir");
        while ((entry = readdir(d))) {
                int below;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                names++;
                if (without_stat && entry->d_type != DT_DIR)
                        continue;
                if (statx(fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
                        err(1, "%s", entry->d_name);
                if (!S_ISDIR(stx.stx_mode))
                        continue;
                below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (below < 0)
                        err(1, "%s", entry->d_name);
                walk(instance, below);
        }
        closedir(d);
}

int main(int argc, char *argv[]) {
        int64_t began = now_usec(CLOCK_MONOTONIC);
        int instance, fd;

        without_stat = argc == 3 && strcmp(argv[2], "list") == 0;
        if (argc != 2 && !without_stat)
                errx(2, "usage: floor DIR [list]");
        instance = inotify_init1(IN_CLOEXEC);
        fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (instance < 0 || fd < 0)
                err(1, "%s", argv[1]);
        walk(instance, fd);
        printf("%" PRId64 " %" PRIu64 " %" PRIu64 "\n", now_usec(CLOCK_MONOTONIC) - began, directories, names);
        return 0;
}
