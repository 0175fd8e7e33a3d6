/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_NAMES_H
#define SCITRACE_LIB_NAMES_H

/* names: the closed tables of the record (docs/FORMATS.md): numbers that enter the log, and their words.
 * Append-only: a number once given keeps its meaning for ever.
 * May use: libc.  May not use: anything of ours. */

#define KIND_TABLE(X)                                                                                      \
        X(CREATE, 1, "create")             X(MODIFY, 2, "modify")       X(ATTRIBUTE, 3, "attribute")       \
        X(RENAME, 4, "rename")             X(EXCHANGE, 5, "exchange")   X(LINK, 6, "link")                 \
        X(UNLINK, 7, "unlink")             X(TRANSIENT, 8, "transient") X(IDENTIFY, 9, "identify")         \
        X(REHOME, 10, "rehome")            X(MOUNT, 11, "mount")        X(UNMOUNT, 12, "unmount")          \
        X(GAP_OPEN, 13, "gap-open")        X(GAP_CLOSE, 14, "gap-close")                                   \
        X(DATASET_ADD, 15, "dataset-add")  X(DATASET_REMOVE, 16, "dataset-remove")                         \
        X(DATASET_MOVE, 17, "dataset-move") X(CLOCK_STEP, 18, "clock-step")                                \
        X(PRUNE, 19, "prune")              X(CHECKPOINT, 20, "checkpoint") X(KEY, 21, "key")               \
        X(COMMIT, 22, "commit")            X(STORE_LOST, 23, "store-lost")

#define ORIGIN_TABLE(X)                                                                                    \
        X(LIVE, 1, "live") X(SCAN, 2, "scan") X(RECONCILE, 3, "reconcile") X(IMPORT, 4, "import")

#define CAUSE_TABLE(X)                                                                                     \
        X(STOPPED, 1, "stopped")           X(CRASHED, 2, "crashed")     X(OVERFLOW, 3, "overflow")         \
        X(WATCH_LIMIT, 4, "watch-limit")   X(PERMISSION, 5, "permission") X(UNMOUNTED, 6, "unmounted")     \
        X(OTHER_FILESYSTEM, 7, "other-filesystem") X(REMOTE, 8, "remote") X(STORE_FULL, 9, "store-full")   \
        X(READ_ERROR, 10, "read-error")    X(WATCHER_LOST, 11, "watcher-lost") X(STALLED, 12, "stalled")   \
        X(ROOT_MOVED, 13, "root-moved")    X(REMOVED, 14, "removed")    X(UNIGNORED, 15, "unignored")      \
        X(STORE_LOST, 16, "store-lost")

#define TYPE_TABLE(X)                                                                                      \
        X(FILE, 1, "file") X(DIRECTORY, 2, "directory") X(SYMLINK, 3, "symlink") X(FIFO, 4, "fifo")        \
        X(SOCKET, 5, "socket") X(CHAR, 6, "char") X(BLOCK, 7, "block")

#define DIGEST_SOURCE_TABLE(X) X(READ, 1, "read") X(KEY, 2, "key")

#define DATASET_KIND_TABLE(X)                                                                              \
        X(PLAIN, 1, "plain") X(GIT, 2, "git") X(ANNEX, 3, "annex") X(DATALAD, 4, "datalad")

#define NAMES_ENUM_ITEM_KIND(n, v, s) KIND_##n = v,
#define NAMES_ENUM_ITEM_ORIGIN(n, v, s) ORIGIN_##n = v,
#define NAMES_ENUM_ITEM_CAUSE(n, v, s) CAUSE_##n = v,
#define NAMES_ENUM_ITEM_TYPE(n, v, s) TYPE_##n = v,
#define NAMES_ENUM_ITEM_DIGEST_SOURCE(n, v, s) DIGEST_SOURCE_##n = v,
#define NAMES_ENUM_ITEM_DATASET_KIND(n, v, s) DATASET_KIND_##n = v,

typedef enum Kind { KIND_TABLE(NAMES_ENUM_ITEM_KIND) KIND_NONE = 0 } Kind;
typedef enum Origin { ORIGIN_TABLE(NAMES_ENUM_ITEM_ORIGIN) ORIGIN_NONE = 0 } Origin;
typedef enum Cause { CAUSE_TABLE(NAMES_ENUM_ITEM_CAUSE) CAUSE_NONE = 0 } Cause;
typedef enum Type { TYPE_TABLE(NAMES_ENUM_ITEM_TYPE) TYPE_NONE = 0 } Type;
typedef enum DigestSource {
        DIGEST_SOURCE_TABLE(NAMES_ENUM_ITEM_DIGEST_SOURCE) DIGEST_SOURCE_NONE = 0
} DigestSource;
typedef enum DatasetKind {
        DATASET_KIND_TABLE(NAMES_ENUM_ITEM_DATASET_KIND) DATASET_KIND_NONE = 0
} DatasetKind;

/** X_to_word() - the word of a number, or NULL when the table has no such number.
 *  X_from_word() - the number of a word, or 0. */
const char *kind_to_word(int kind);
const char *origin_to_word(int origin);
const char *cause_to_word(int cause);
const char *type_to_word(int type);
const char *digest_source_to_word(int source);
const char *dataset_kind_to_word(int kind);
int kind_from_word(const char *word);
int origin_from_word(const char *word);
int type_from_word(const char *word);

/** type_from_mode() - the type of st_mode (inode(7)), or TYPE_NONE. */
Type type_from_mode(unsigned mode);

#endif
