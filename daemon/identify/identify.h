/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_IDENTIFY_IDENTIFY_H
#define SCITRACE_DAEMON_IDENTIFY_IDENTIFY_H

/* identify: what a name is now: its state, its content's digest. Stateless; safe from several threads. Opens
 * only beneath a root, by openat2(2) with RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS, never a
 * FIFO or a device, never blocking, O_NOATIME where allowed; keeps no descriptor between calls.
 * May use: lib policy.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/names.h"
#include "lib/util.h"

/** IdentifyState: what statx(2) says; times in ns since the epoch, after 2262 INT64_MAX. btime 0 where there
 *  is none. */
typedef struct IdentifyState {
        uint64_t device;                /* st_dev of this mount: compare only within one run */
        uint64_t inode;
        int64_t btime;
        uint32_t mode;                  /* with the type's bits */
        uint32_t uid, gid, nlink;
        int64_t size, mtime, ctime;
        bool mount_root;                /* another mount begins here (STATX_ATTR_MOUNT_ROOT) */
} IdentifyState;

/** identify_root() - opens an absolute path without following a symbolic link in any component;
 *  O_PATH|O_DIRECTORY.
 *  Returns a descriptor that the caller closes soon, or -errno (-ELOOP: a symbolic link). */
int identify_root(const char *path);
/** identify_directory() - opens `path` (relative, "" or "." for the root itself; may exceed PATH_MAX: it is
 *  opened piecewise) beneath root_fd for reading its names (O_RDONLY|O_DIRECTORY). A descriptor or
 *  -errno. */
int identify_directory(int root_fd, const char *path);
/** identify_stat() - statx of a name in a directory, not following a link; "" for the directory itself. */
int identify_stat(int dir_fd, const char *name, IdentifyState *ret);
/** identify_target() - the target of a symbolic link, malloc'd, with a NUL behind its *ret_size bytes. */
int identify_target(int dir_fd, const char *name, uint8_t **ret, size_t *ret_size);

typedef enum IdentifyOutcome {
        IDENTIFY_DONE = 0,
        IDENTIFY_E_CHANGED = 1,         /* size, mtime, ctime or inode moved during it: not a version */
        IDENTIFY_E_NOT_FILE,            /* no regular file (any more); it was not opened, no ret_ is set */
        IDENTIFY_E_CANCELLED,           /* the callback said so */
        IDENTIFY_E_RACY,                /* ctime within 10 ms (the coarsest tick; 2 s where the file system
                                         * keeps whole seconds) before the read began: a change during the
                                         * read might not have moved it. Read again a little later. */
} IdentifyOutcome;

/** IdentifyPauseFn - asked before the first byte and each mebibyte; non-zero ends the read with
 *  IDENTIFY_E_CANCELLED. */
typedef int (*IdentifyPauseFn)(void *userdata, int64_t done);

/** identify_file() - digest of a regular file, and its state. The state is taken before and after; on
 *  CHANGED and RACY *ret_state and digest are those after the read. Holes are not read as data (SEEK_DATA):
 *  a sparse file of 1 EiB costs what its data costs - the digest is that of the whole content all the same,
 *  so `budget` (bytes to be hashed, holes included; 0: none) bounds it: past it -EFBIG. Of a file of 1 MiB
 *  or more of which nothing was in the page cache, nothing is left there.
 *  0, IDENTIFY_E_*, or -errno (-ENOENT, -EACCES, -EIO ...; -EINVAL: name has a slash or is ".."). */
int identify_file(int dir_fd, const char *name, int64_t budget, IdentifyPauseFn pause, void *userdata,
                  IdentifyState *ret_state, uint8_t ret_digest[32]);

/** identify_filesystem() - identity of the file system of an open directory: type's name (statfs(2) magic,
 *  static string), whether changes from other hosts cannot be seen (network: NFS, SMB, Ceph, FUSE of a
 *  remote ...), UUID where one can be had without privilege (16 bytes; *ret_has_uuid). */
int identify_filesystem(int fd, const char **ret_type, bool *ret_network, uint8_t ret_uuid[16],
                        bool *ret_has_uuid);

/* git: HEAD of a repository at a root, hardened: no owner check, no configuration outside the repository,
 * and nothing outside the root: git_repository_path, commondir and objects/info/alternates must lie beneath
 * it. */

/** identify_git_init() - once, before any thread. */
int identify_git_init(void);
void identify_git_done(void);
/** identify_git_head() - *ret_git: whether root (an absolute path) holds a repository; ret_commit: the
 *  commit of HEAD in hexadecimal, "" when there is none yet. Looks twice, and waits while what it looks at
 *  is younger than a clock tick (10 ms, at most 200 ms: call it from a worker). 0, or -errno (-EPERM:
 *  refused, it leads out of the root or would block; -EAGAIN: it never held still; -EBADMSG: HEAD is not
 *  one). */
int identify_git_head(const char *root, bool *ret_git, char ret_commit[65]);

/* ignore: gitignore(5) patterns of the policy, by libgit2's matcher on a repository in memory. */

typedef struct IdentifyIgnore IdentifyIgnore;
/** identify_ignore_new() - patterns: newline-separated. After identify_git_init(). -EINVAL: NUL in them. */
int identify_ignore_new(Bytes patterns, IdentifyIgnore **ret);
IdentifyIgnore *identify_ignore_free(IdentifyIgnore *i);
/** identify_ignored() - path: relative to the root. Parents are taken to be not ignored. Thread-safe. */
bool identify_ignored(IdentifyIgnore *i, const char *path, bool directory);

#endif
