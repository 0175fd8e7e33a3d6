/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sys/statvfs.h>

#include "daemon/metrics/filesystems.h"
#include "daemon/metrics/labels.h"
#include "lib/mountinfo.h"

/* Their statvfs() answers from memory, or from a disk of this machine. */
static const char *const local_types[] = {
        "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "ntfs3", "overlay",
        "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
};

/* The kernel's own, which hold no files of anybody: not sampled, but harmless on the way to another. */
static const char *const kernel_types[] = {
        "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs",
        "sysfs", "tracefs",
};

static const Metric fs_size = { "", "node_filesystem_size_bytes", "bytes", "*", "", 9, 0, false };
static const Metric fs_free = { "", "node_filesystem_free_bytes", "bytes", "*", "", 9, 0, false };
static const Metric fs_avail = { "", "node_filesystem_avail_bytes", "bytes", "*", "", 9, 0, false };
static const Metric fs_files = { "", "node_filesystem_files", "", "*", "", 0, 0, false };
static const Metric fs_files_free = { "", "node_filesystem_files_free", "", "*", "", 0, 0, false };
static const Metric fs_readonly = { "", "node_filesystem_readonly", "", "*", "", 0, 0, false };
static const Metric store_size = {
        "", "scitrace_store_filesystem_size_bytes", "bytes", "", "", 9, 0, false
};
static const Metric store_avail = {
        "", "scitrace_store_filesystem_avail_bytes", "bytes", "", "", 9, 0, false
};

static bool is_listed(Bytes type, const char *const *list, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (bytes_equal(type, BYTES_STR(list[i])))
                        return true;
        return false;
}

static bool is_local(Bytes type) {
        return is_listed(type, local_types, ELEMENTS(local_types));
}

static bool is_harmless(Bytes type) {
        return is_local(type) || is_listed(type, kernel_types, ELEMENTS(kernel_types));
}

typedef struct Mounts {
        MountinfoLine *items;
        size_t n;
} Mounts;

static void mounts_done(Mounts *mounts) {
        free(mounts->items);
}

static int read_mounts(Bytes mountinfo, Mounts *ret) {
        size_t lines = 1;
        MountinfoLine m;

        for (size_t i = 0; i < mountinfo.size; i++)
                lines += mountinfo.data[i] == '\n';
        ret->items = calloc(lines, sizeof(*ret->items));
        if (!ret->items)
                return -ENOMEM;
        while (mountinfo_next(&mountinfo, &m))
                ret->items[ret->n++] = m;
        return 0;
}

/* May a call that follows this path wait for somebody? */
static bool may_hang(const Mounts *mounts, Bytes path) {
        for (size_t i = 0; i < mounts->n; i++)
                if (mountinfo_leads_through(path, mounts->items[i].mountpoint) &&
                    !is_harmless(mounts->items[i].type))
                        return true;
        return false;
}

/* The same for a path that is not escaped. */
static bool store_may_hang(const Mounts *mounts, const char *path) {
        char directory[PATH_MAX];

        for (size_t i = 0; i < mounts->n; i++) {
                const MountinfoLine *m = &mounts->items[i];

                if (!is_harmless(m->type) &&
                    (!mountinfo_unescape(m->mountpoint, directory) ||
                     mountinfo_leads_through(BYTES_STR(path), BYTES_STR(directory))))
                        return true;
        }
        return false;
}

/* Is something mounted over the i-th, or over the way there? Later mounts follow. */
static bool is_hidden(const Mounts *mounts, size_t i) {
        for (size_t j = i + 1; j < mounts->n; j++)
                if (mountinfo_leads_through(mounts->items[i].mountpoint, mounts->items[j].mountpoint))
                        return true;
        return false;
}

static bool is_known(const FilesystemList *list, Bytes number) {
        for (size_t i = 0; i < list->n; i++)
                if (bytes_equal(number, BYTES_STR(list->items[i].number)))
                        return true;
        return false;
}

static void filesystem_done(Filesystem *fs) {
        free(fs->path);
        free(fs->labels);
}

void filesystems_done(FilesystemList *list) {
        while (list->n > 0)
                filesystem_done(&list->items[--list->n]);
        free(list->items);
        *list = (FilesystemList) { 0 };
}

static int add(FilesystemList *list, const MountinfoLine *mount, const char *path) {
        CLEANUP(filesystem_done) Filesystem fs = { .readonly = mount->readonly };
        char source[PATH_MAX], labels[LABELS_MAX] = "";
        Filesystem *grown;

        if (!mountinfo_unescape(mount->source, source) ||
            labels_add(labels, "device", BYTES_STR(source)) < 0 ||
            labels_add(labels, "fstype", mount->type) < 0 ||
            labels_add(labels, "mountpoint", BYTES_STR(path)) < 0)
                return 0;               /* no text is long enough for it */
        (void) snprintf(fs.number, sizeof(fs.number), "%.*s", (int) mount->device.size, mount->device.data);
        fs.path = strdup(path);
        fs.labels = strdup(labels);
        grown = reallocarray(list->items, list->n + 1, sizeof(*grown));
        if (grown)
                list->items = grown;
        if (!fs.path || !fs.labels || !grown)
                return -ENOMEM;
        list->items[list->n++] = fs;
        fs = (Filesystem) { 0 };
        return 0;
}

int filesystems_parse(Bytes mountinfo, const char *store_path, FilesystemList *ret) {
        CLEANUP(filesystems_done) FilesystemList list = { 0 };
        CLEANUP(mounts_done) Mounts mounts = { 0 };
        char path[PATH_MAX];
        int r;

        assert(ret);
        r = read_mounts(mountinfo, &mounts);
        for (size_t i = 0; i < mounts.n && list.n < FILESYSTEMS_MAX && r == 0; i++) {
                const MountinfoLine *m = &mounts.items[i];

                if (is_local(m->type) && !is_known(&list, m->device) &&
                    mountinfo_unescape(m->mountpoint, path) && !is_hidden(&mounts, i) &&
                    !may_hang(&mounts, m->mountpoint))
                        r = add(&list, m, path);
        }
        if (r < 0)
                return r;
        list.store_safe = store_path && !store_may_hang(&mounts, store_path);
        *ret = list;
        list = (FilesystemList) { 0 };
        return 0;
}

static void emit(const ProcSink *sink, const Metric *metric, const char *labels, double value) {
        sink->fn(sink->userdata, metric, BYTES_STR(labels), value);
}

void filesystems_sample(const FilesystemList *list, const char *store_path, const ProcSink *sink) {
        struct statvfs v;

        for (size_t i = 0; i < list->n; i++) {
                const Filesystem *fs = &list->items[i];

                if (statvfs(fs->path, &v) < 0)
                        continue;       /* no longer there, or not for us to see */
                emit(sink, &fs_size, fs->labels, (double) v.f_blocks * (double) v.f_frsize);
                emit(sink, &fs_free, fs->labels, (double) v.f_bfree * (double) v.f_frsize);
                emit(sink, &fs_avail, fs->labels, (double) v.f_bavail * (double) v.f_frsize);
                emit(sink, &fs_files, fs->labels, (double) v.f_files);
                emit(sink, &fs_files_free, fs->labels, (double) v.f_ffree);
                emit(sink, &fs_readonly, fs->labels, fs->readonly);
        }
        if (store_path && list->store_safe && statvfs(store_path, &v) == 0) {
                emit(sink, &store_size, "", (double) v.f_blocks * (double) v.f_frsize);
                emit(sink, &store_avail, "", (double) v.f_bavail * (double) v.f_frsize);
        }
}
