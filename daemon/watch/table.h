/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_TABLE_H
#define SCITRACE_DAEMON_WATCH_TABLE_H

/* table: the watched directories: wd -> directory, (parent, name) -> directory. No path strings in it:
 * renaming a directory is O(1). A directory's id on the feed is its wd. Pure; the caller locks.
 * Directories lie in chunks and know one another by 32-bit indexes: 80 bytes each, 8 to 16 more to find it,
 * and its name where that is longer than 13 bytes. A Directory stays where it is until it is removed; its
 * place serves the next one then. At most TABLE_MAX.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

enum { TABLE_MAX = INT32_MAX, TABLE_NAME_NEAR = 13 };

typedef struct Directory {
        uint64_t inode;
        int64_t btime;
        int wd;
        uint32_t root;                  /* id of the dataset's root on the feed */
        uint32_t parent;                /* these are of the table's own: indexes, 0: none */
        uint32_t first_child, next_sibling, previous_sibling;
        uint32_t next_wd, next_name;    /* hash chains; next_wd: also of places that are free */
        uint32_t removals;              /* names seen to go, or reported: a listing may be older than that */
        uint32_t walk, armed;           /* walks that last listed it, and found it watched at its name */
        uint32_t clear_mark;            /* notices before this mark may be older than its listing */
        _Alignas(char *) char name[TABLE_NAME_NEAR];    /* see table_name(); of a longer one, where it is */
        uint8_t name_size;
        uint8_t away;                   /* rounds in which it was not to be found */
        bool listed : 1;                /* has been listed at least once */
        bool listing : 1;               /* is being listed, or will be for the first time */
        bool stale : 1;                 /* its listing is known to have missed something */
        bool leaving : 1;               /* it is about to be forgotten */
        bool unnameable : 1;            /* a gap says that a name in it is too long for the record */
        bool polled : 1;                /* changes in it are looked for, now and then */
        bool unwatched : 1;             /* its wd is none of the kernel's */
        bool poll_said : 1;             /* a gap says so, or that of a directory above */
} Directory;

typedef struct Table Table;

/** table_new() - 0 or -ENOMEM. table_count() - directories in it, detached ones too. */
int table_new(Table **ret);
Table *table_free(Table *t);
size_t table_count(const Table *t);

/** table_ids() - the wds of all, malloc'd. 0 or -ENOMEM. */
int table_ids(const Table *t, int **ret, size_t *ret_n);

/** table_add() - a new directory below parent (NULL: a root, name ""). A directory that stood at that name
 *  is detached first. 0, -ENOMEM (or TABLE_MAX are there); -EEXIST: the wd is taken. */
int table_add(Table *t, int wd, uint32_t root, Directory *parent, Bytes name, uint64_t inode, int64_t btime,
              Directory **ret);
/** table_find() - by wd; table_child() - by its place; NULL: there is none. */
Directory *table_find(const Table *t, int wd);
Directory *table_child(const Table *t, const Directory *parent, Bytes name);

/** table_parent() - the one that it is in; NULL: a root, or no longer in the tree.
 *  table_name() - its name there, as long as it neither moves nor is removed. */
Directory *table_parent(const Table *t, const Directory *d);
Bytes table_name(const Directory *d);

/** table_move() - d is now `name` in parent; what stood there is detached. The root id of d's subtree
 *  follows. 0, -ENOMEM; -ELOOP: parent is d or below it, as far as is known (what is known of parent's place
 *  is old then); nothing has changed. */
int table_move(Table *t, Directory *d, Directory *parent, Bytes name);

/** table_rekey() - d has another wd, which is free. */
void table_rekey(Table *t, Directory *d, int wd);

/** table_split() - d is a root from now on, wherever it was; the root id of its subtree is `root`. */
void table_split(Table *t, Directory *d, uint32_t root);

/** table_detach() - takes d out of its parent; it and what is below stay known by wd. */
void table_detach(Table *t, Directory *d);
/** table_vacate() - detaches what stands at a name, if anything: where it is found again,
 *  it is listed again. */
void table_vacate(Table *t, Directory *parent, Bytes name);
/** table_remove() - forgets one directory; children are detached. */
void table_remove(Table *t, Directory *d);

/** table_subtree() - calls fn for d and all below it, children before parents;
 *  fn may remove the directory. */
void table_subtree(const Table *t, Directory *d, void (*fn)(void *userdata, Directory *d), void *userdata);

/** table_path() - path relative to the root, malloc'd, "" for the root; NULL: out of memory.
 *  table_attached() - whether d is still connected to a root. */
char *table_path(const Table *t, const Directory *d);
bool table_attached(const Table *t, const Directory *d);
/** table_root() - the topmost directory above d, or d itself: a root only if d is attached. */
const Directory *table_root(const Table *t, const Directory *d);

#endif
