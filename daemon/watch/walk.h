/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_WALK_H
#define SCITRACE_DAEMON_WATCH_WALK_H

/* walk: what the files of a walk share. walk.c: the thread, its requests, roots; reach.c: how a walk opens
 * directories; arm.c: all directories are watched, which ends blindness; list.c: then all names are
 * reported. The walking thread's own, but for wait_for_room(). */

#include "daemon/watch/state.h"

enum {
        SLICE = 128,                    /* names listed between two looks at what appeared meanwhile */
        HELD_MAX = 64,                  /* directories that wait with an open descriptor */
        NAMES_BUFFER = 32768,
};

typedef struct Name {                   /* as a directory lists it */
        char name[256];
        uint64_t inode;
        uint8_t type;                   /* DT_... */
} Name;

typedef struct Listed {
        Name entry;
        IdentifyState state;
        uint8_t *target;
        size_t target_size;
        int fd;                         /* directories to be watched, else -1 */
        bool known;                     /* a directory that is watched at this name: it has been reported */
        bool foreign;                   /* another file system is mounted there */
        bool ignored, gone;
        int error;                      /* of opening a directory */
} Listed;

typedef struct Held {
        int wd, fd;                     /* fd -1: to be opened */
} Held;

typedef struct Walk {
        Watch *w;
        uint32_t root, id;
        uint8_t origin;
        bool again;                     /* what a sweep found stale, and what is new there; no tree */
        Held *stack;                    /* to be armed, the last one first */
        size_t depth, allocated, lowest;        /* below `lowest` none holds a descriptor */
        size_t n_held;
        int *order;                     /* armed: to be listed, in this order */
        size_t n_order, order_allocated;
        Spot above;                     /* the directory in which one was opened last; fd -1: none */
        uint64_t directories;
        int refused;                    /* why nobody may look into the one that is listed; errno */
        int64_t woken_at;               /* when what was found was last sent on; µs */
        Listed slice[SLICE];
        char buffer[NAMES_BUFFER];
} Walk;

/* reach.c: reach_open() - opens the directory of a watch, for its names, and proves that it is it; in p,
 * root.path may be NULL, and path too where no pattern needs it. Waits while notices of its move are on
 * their way. 0, -ENOENT: it is in no tree any more; -errno; *ret_root: it was the root that failed.
 * reach_names() - gives the names of an open directory to fn in slices: fills entry in k->slice[0..n). */
typedef void (*ReachFn)(Walk *k, const Spot *p, int wd, size_t n);
int reach_open(Walk *k, int wd, Spot *p, bool *ret_root);
int reach_names(Walk *k, const Spot *p, int wd, bool directories, ReachFn fn);
void reach_done(Walk *k);
void wait_for_room(Watch *w);           /* under the lock */

/* arm.c: arm_push() - a directory that is watched now, to be armed (fd: open, or -1; taken over).
 * arm_all() - until none is left. */
int arm_push(Walk *k, int wd, int fd);
void arm_all(Walk *k);
int arm_pop(Walk *k);                   /* the next one, without its descriptor */

/* list.c: pass_slice() - looks at each of a slice of names without the lock and reports it with it; when a
 * name of the directory went meanwhile, once more, one by one. walk_lists() - whether this walk lists a
 * directory; walk_has_listed() - whether it did, or need not (takes the lock). */
typedef void (*WalkLookFn)(Walk *k, const Spot *p, Listed *l);
typedef void (*WalkReportFn)(Walk *k, Directory *d, Listed *l, int64_t now);
void pass_slice(Walk *k, const Spot *p, int wd, size_t n, WalkLookFn look, WalkReportFn report);
bool walk_lists(const Walk *k, const Directory *d);
bool walk_has_listed(Walk *k, int wd);
void list_directory(Walk *k, int wd);

#endif
