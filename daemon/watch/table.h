/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_TABLE_H
#define SCITRACE_DAEMON_WATCH_TABLE_H

/* table: the watched directories: wd -> directory, (parent, name) -> directory. No path strings in it:
 * renaming a directory is O(1). A directory's id on the feed is its wd. Pure; the caller locks.
 * About 110 bytes a directory, plus its name.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

typedef struct Directory {
        int wd;
        uint32_t root;                  /* id of the dataset's root on the feed */
        struct Directory *parent;       /* NULL: a root, or no longer in the tree */
        struct Directory *first_child, *next_sibling, *previous_sibling;
        struct Directory *next_wd, *next_name;  /* hash chains */
        uint64_t inode;
        int64_t btime;
        uint32_t removals;              /* names seen to go, or reported: a listing may be older than that */
        uint32_t walk, armed;           /* walks that last listed it, and found it watched at its name */
        bool listed;                    /* has been listed at least once */
        bool leaving;                   /* it is about to be forgotten */
        bool polled;                    /* changes in it are looked for, now and then */
        bool unwatched;                 /* its wd is none of the kernel's */
        bool poll_said;                 /* a gap says so, or that of a directory above */
        uint8_t away;                   /* rounds in which it was not to be found */
        bool stale;                     /* its listing is known to have missed something */
        bool listing;                   /* is being listed, or will be for the first time */
        uint32_t clear_mark;            /* notices before this mark may be older than its listing */
        bool unnameable;                /* a gap says that a name in it is too long for the record */
        uint8_t name_size;
        char name[];                    /* NUL behind it */
} Directory;

typedef struct Table Table;

/** table_new() - 0 or -ENOMEM. table_count() - directories in it, detached ones too. */
int table_new(Table **ret);
Table *table_free(Table *t);
size_t table_count(const Table *t);

/** table_ids() - the wds of all, malloc'd. 0 or -ENOMEM. */
int table_ids(const Table *t, int **ret, size_t *ret_n);

/** table_add() - a new directory below parent (NULL: a root, name ""). A directory that stood at that name
 *  is detached first. 0, -ENOMEM; -EEXIST: the wd is taken. */
int table_add(Table *t, int wd, uint32_t root, Directory *parent, Bytes name, uint64_t inode, int64_t btime,
              Directory **ret);
/** table_find() - by wd; table_child() - by its place; NULL: there is none. */
Directory *table_find(const Table *t, int wd);
Directory *table_child(const Table *t, const Directory *parent, Bytes name);

/** table_move() - d is now `name` in parent; what stood there is detached. The root id of d's subtree
 *  follows. Frees and replaces d: use *ret. 0, -ENOMEM; -ELOOP: parent is d or below it, as far as is known
 *  (what is known of parent's place is old then); nothing has changed. */
int table_move(Table *t, Directory *d, Directory *parent, Bytes name, Directory **ret);

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
void table_subtree(Directory *d, void (*fn)(void *userdata, Directory *d), void *userdata);

/** table_path() - path relative to the root, malloc'd, "" for the root; NULL: out of memory.
 *  table_attached() - whether d is still connected to a root. */
char *table_path(const Directory *d);
bool table_attached(const Directory *d);
/** table_root() - the topmost directory above d, or d itself: a root only if d is attached. */
const Directory *table_root(const Directory *d);

#endif
