/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/identify/stat.h"

static int64_t nsec_of(const struct statx_timestamp *t) {
        int64_t nsec;

        /* ext4 and xfs keep years past 2262, which ns in 64 bits do not. */
        if (__builtin_mul_overflow(t->tv_sec, INT64_C(1000000000), &nsec) ||
            __builtin_add_overflow(nsec, t->tv_nsec, &nsec))
                return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
        return nsec;
}

static bool without_btime;

void identify_without_btime(void) {
        __atomic_store_n(&without_btime, true, __ATOMIC_RELAXED);
}

static bool has_btime(const struct statx *stx) {
        return stx->stx_mask & STATX_BTIME && !__atomic_load_n(&without_btime, __ATOMIC_RELAXED);
}

IdentifyState state_from(const struct statx *stx) {
        return (IdentifyState) {
                .device = makedev(stx->stx_dev_major, stx->stx_dev_minor),
                .inode = stx->stx_ino,
                .btime = has_btime(stx) ? nsec_of(&stx->stx_btime) : 0,
                .mode = stx->stx_mode,
                .uid = stx->stx_uid,
                .gid = stx->stx_gid,
                .nlink = stx->stx_nlink,
                .size = (int64_t) stx->stx_size,
                .allocated = (int64_t) stx->stx_blocks * 512,
                .mtime = nsec_of(&stx->stx_mtime),
                .ctime = nsec_of(&stx->stx_ctime),
                .mount_root = stx->stx_attributes & stx->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT,
        };
}

int stat_entry(int dir_fd, const char *name, struct statx *ret) {
        int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0);

        return statx(dir_fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, ret) < 0 ? -errno : 0;
}

bool stat_is_young(int64_t ctime, int64_t granule, int64_t began, int64_t ended) {
        return ctime > began - granule && ctime < ended + granule;
}

bool name_is_entry(const char *name) {
        return strcmp(name, "..") != 0 && !strchr(name, '/');
}

int identify_stat(int dir_fd, const char *name, IdentifyState *ret) {
        struct statx stx;
        int r;

        assert(name && ret);
        if (!name_is_entry(name))
                return -EINVAL;
        r = stat_entry(dir_fd, name, &stx);
        if (r < 0)
                return r;
        *ret = state_from(&stx);
        return 0;
}

int identify_target(int dir_fd, const char *name, uint8_t **ret, size_t *ret_size) {
        uint8_t buffer[PATH_MAX + 1], *copy;
        ssize_t n;

        assert(name && ret && ret_size);
        if (!name_is_entry(name))
                return -EINVAL;
        n = readlinkat(dir_fd, name, (char *) buffer, sizeof(buffer));
        if (n < 0)
                return -errno;
        if ((size_t) n == sizeof(buffer))
                return -ENAMETOOLONG;           /* Linux has no longer ones: a foreign file system at most */
        copy = malloc((size_t) n + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, buffer, (size_t) n);
        copy[n] = '\0';
        *ret = copy;
        *ret_size = (size_t) n;
        return 0;
}
