/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_METRICS_FILESYSTEMS_H
#define SCITRACE_DAEMON_METRICS_FILESYSTEMS_H

/* filesystems: which file systems can be asked for their usage without waiting for anybody, and what they
 * say. A statvfs() hangs on a network or FUSE mount whose server is gone, and on the way to any path beneath
 * one.
 * May use: lib.  May not use: anything else in daemon/ but daemon/metrics. */

#include "daemon/metrics/proc.h"

enum { FILESYSTEMS_MAX = 256 };         /* further ones are not sampled */

typedef struct Filesystem {
        char *path;                     /* where it is mounted, bytes */
        char *labels;                   /* device, fstype, mountpoint (labels.h) */
        char number[24];                /* "major:minor" */
        bool readonly;
} Filesystem;

typedef struct FilesystemList {
        Filesystem *items;
        size_t n;
        bool store_safe;                /* so can be the file system of store_path */
} FilesystemList;

/** filesystems_parse() - pure. mountinfo: the text of /proc/self/mountinfo; each file system once, at the
 *  first of its mounts that no other hides. store_path: absolute, or NULL. 0 or -ENOMEM; *ret is made anew,
 *  free it with filesystems_done(). */
int filesystems_parse(Bytes mountinfo, const char *store_path, FilesystemList *ret);
void filesystems_done(FilesystemList *list);

/** filesystems_sample() - size, free space and files of each, and of store_path if that is safe to ask. */
void filesystems_sample(const FilesystemList *list, const char *store_path, const ProcSink *sink);

#endif
