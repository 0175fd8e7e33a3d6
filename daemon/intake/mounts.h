/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_INTAKE_MOUNTS_H
#define SCITRACE_DAEMON_INTAKE_MOUNTS_H

/* mounts: which file system is where, from the text of /proc/self/mountinfo alone: nothing that may hang is
 * asked. Pure.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/util.h"

enum { MOUNTS_MAX = 65536 };            /* further ones are not seen */

typedef struct Mount {
        uint64_t id, parent;            /* of the mount; of the one that it is mounted on */
        uint64_t device;                /* of its superblock */
        char *path;                     /* where it is mounted, bytes */
        size_t path_size;
        char type[32];
        bool propagates;                /* when it is unmounted elsewhere, it is here */
} Mount;

typedef struct Mounts {
        Mount *items;                   /* as the kernel tells them: the order says nothing */
        size_t n;
} Mounts;                               /* all zero: nothing is known */

/** mounts_parse() - *ret is made anew; mounts_done() frees it. 0 or -ENOMEM. */
int mounts_parse(Bytes text, Mounts *ret);
void mounts_done(Mounts *m);

/** mounts_have() - whether a mount of that id is there. */
bool mounts_have(const Mounts *m, uint64_t id);

/** mounts_find() - the mount that an absolute path is on, found as the kernel does: from the root on, the
 *  first mount on the way that is mounted on the one that was found last. So one that is hidden, at its own
 *  place or somewhere above, is not met. NULL: nothing is known. */
const Mount *mounts_find(const Mounts *m, Bytes path);

#endif
