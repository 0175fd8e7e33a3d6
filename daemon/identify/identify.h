/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_IDENTIFY_IDENTIFY_H
#define SCITRACE_DAEMON_IDENTIFY_IDENTIFY_H

/* identify: what a name is now: its state, its content's digest. Stateless; safe from several threads.
 * Opens only beneath a root, by openat2(2) with RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS,
 * never a FIFO or a device, never blocking, O_NOATIME where allowed; keeps no descriptor between calls.
 * May use: lib policy.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/names.h"
#include "lib/util.h"

/** IdentifyState: what statx(2) says; times in ns since the epoch, after 2262 INT64_MAX. btime 0 where
 *  there is none. */
typedef struct IdentifyState {
        uint64_t device;                /* st_dev of this mount: compare only within one run */
        uint64_t inode;
        int64_t btime;
        uint32_t mode;                  /* with the type's bits */
        uint32_t uid, gid, nlink;
        int64_t size, mtime, ctime;
        int64_t allocated;              /* bytes on disk */
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
/** identify_without_btime() - from now on birth times count as unknown, in this process: for a file system
 *  on which a file can change its own (overlay: when it is copied up). */
void identify_without_btime(void);
/** identify_below() - the same of a directory in dir_fd, but not where another file system is or would be
 *  mounted: -EXDEV. */
int identify_below(int dir_fd, const char *name);
/** identify_stat() - statx of a name in a directory, not following a link; "" for the directory itself. */
int identify_stat(int dir_fd, const char *name, IdentifyState *ret);
/** identify_target() - the target of a symbolic link, malloc'd, with a NUL behind its *ret_size bytes. */
int identify_target(int dir_fd, const char *name, uint8_t **ret, size_t *ret_size);

typedef enum IdentifyOutcome {
        IDENTIFY_DONE = 0,
        IDENTIFY_E_CHANGED = 1,         /* size, mtime, ctime or inode moved during it: not a version */
        IDENTIFY_E_NOT_FILE,            /* no regular file; it was not opened, no ret_ is set */
        IDENTIFY_E_PAUSED,              /* the callback said so: *reading can go on later */
        IDENTIFY_E_RACY,                /* ctime within 10 ms (the coarsest tick; 2 s where the file system
                                         * keeps whole seconds) before the read began: a change during the
                                         * read might not have moved it. Read again a little later. */
} IdentifyOutcome;

/** IdentifyReading: a digest under way, in slices. Plain data, no descriptor, so that the file system can
 *  be unmounted and the process ended between two of them. All zero: not begun. */
typedef struct IdentifyReading {
        bool begun;
        bool drop;                      /* nothing of it was in memory: leave it so */
        IdentifyState before;           /* as it was when the reading began; only inode, btime, size, mtime
                                         * and ctime outlive the process */
        int64_t began;                  /* ns of the clock that file systems take their times from */
        int64_t done;                   /* bytes digested so far, whole blocks of SHA-256 */
        uint32_t hash[8];               /* its state there */
} IdentifyReading;

/** identify_reading_save(), _load() - a reading as bytes, with a check of their own: what was damaged, or
 *  is of another form, is no reading (false). */
enum { IDENTIFY_READING_SIZE = 105 };
void identify_reading_save(const IdentifyReading *reading, uint8_t ret[IDENTIFY_READING_SIZE]);
bool identify_reading_load(Bytes saved, IdentifyReading *ret);

/** IdentifyPauseFn - asked before each 128 KiB, the first ones too; non-zero ends the slice with
 *  IDENTIFY_E_PAUSED. done: bytes digested so far, those of earlier slices included. */
typedef int (*IdentifyPauseFn)(void *userdata, int64_t done);

typedef struct IdentifyLimits {
        int64_t budget;                 /* bytes to be hashed, holes included; 0: none */
        IdentifyPauseFn pause;          /* NULL: never */
        void *userdata;
} IdentifyLimits;

/** IdentifyContent: what was learned by reading. */
typedef struct IdentifyContent {
        uint8_t digest[32];
        uint8_t key_size;               /* of a pointer file of git-annex: its key, as a file name */
        uint8_t key[255];
} IdentifyContent;

/** identify_hold() - a name as what it is now, O_PATH: neither a FIFO nor a device notices, and what the
 *  descriptor names stays the same; and its state. A descriptor that the caller closes soon, or -errno
 *  (-ELOOP: a symbolic link; -EINVAL: name has a slash or is ".."). */
int identify_hold(int dir_fd, const char *name, IdentifyState *ret);

/** identify_file() - reads a regular file, or goes on with it; held, held_state: of identify_hold(), just
 *  now. It is held and opened anew for each slice and must be what it was when the reading began; its state
 *  is taken again at the end. On CHANGED and RACY
 *  *ret_state and the content are those after the read. Holes are not read as data (SEEK_DATA), but hashed:
 *  a sparse file of 1 EiB would take years, so the budget bounds it: past it -EFBIG. Of a file of 1 MiB or
 *  more of which nothing was in the page cache, nothing is left there.
 *  0, IDENTIFY_E_*, or -errno (-EACCES, -EIO ...). ret_state may be held_state. */
int identify_file(int held, const IdentifyState *held_state, const IdentifyLimits *limits,
                  IdentifyReading *reading, IdentifyState *ret_state, IdentifyContent *ret);

/** identify_object() - whether a name in the directory at dir_path (relative to its root) is an object of
 *  git-annex that cannot be written to, has no other name, and whose key tells its SHA-256 and the size
 *  that it has: then it need not be read. */
bool identify_object(const char *dir_path, const char *name, const IdentifyState *state,
                     uint8_t ret_digest[32]);

/** identify_filesystem() - identity of the file system of an open directory: type's name (statfs(2) magic,
 *  static string), whether changes from other hosts cannot be seen (network: NFS, SMB, Ceph, FUSE of a
 *  remote ...), UUID where one can be had without privilege (16 bytes; *ret_has_uuid). */
int identify_filesystem(int fd, const char **ret_type, bool *ret_network, uint8_t ret_uuid[16],
                        bool *ret_has_uuid);

/* git: kind and HEAD of a repository at a root, hardened: no owner check, no configuration outside the
 * repository, and nothing outside the root: git_repository_path, commondir and objects/info/alternates
 * must lie beneath it. */

/** identify_git_head() - what is at root (an absolute path): *ret_kind: a plain folder, or a repository of
 *  git, git-annex (it has .git/annex) or DataLad (.datalad/config gives it an id); ret_commit: the commit
 *  of HEAD in hexadecimal, "" when there is none yet. Looks twice, and waits while what it looks at is
 *  younger than a clock tick (10 ms, at most 200 ms: call it from a worker). 0, or -errno (-EFBIG: a file
 *  of it is absurdly large; -EPERM: refused, it leads out of the root or would block; -EAGAIN: it never
 *  held still; -EBADMSG: HEAD is not one). */
int identify_git_head(const char *root, DatasetKind *ret_kind, char ret_commit[65]);

/* ignore: gitignore(5) patterns of the policy, by libgit2's matcher on a repository in memory. */

typedef struct IdentifyIgnore IdentifyIgnore;
/** identify_ignore_new() - patterns: newline-separated. -EINVAL: NUL in them. */
int identify_ignore_new(Bytes patterns, IdentifyIgnore **ret);
IdentifyIgnore *identify_ignore_free(IdentifyIgnore *i);
/** identify_ignored() - path: relative to the root. Parents are taken to be not ignored. Thread-safe. */
bool identify_ignored(IdentifyIgnore *i, const char *path, bool directory);

#endif
