/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_MOUNTINFO_H
#define SCITRACE_LIB_MOUNTINFO_H

/* mountinfo: the lines of /proc/self/mountinfo. Pure.
 * May use: lib.  May not use: anything else. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

/** MountinfoLine: all runs of bytes borrow from the text, and are escaped there (\040 for a space). */
typedef struct MountinfoLine {
        uint64_t id;                    /* of the mount; never that of another while this one is there */
        uint64_t parent;                /* of the one that it is mounted on, told or not */
        Bytes device;                   /* "major:minor" of the superblock */
        Bytes root;                     /* what of the file system is mounted */
        Bytes mountpoint, type, source;
        bool readonly;                  /* the file system, not only this mount of it */
        bool propagates;                /* mounts and unmounts elsewhere come to it, or go from it */
} MountinfoLine;

/** mountinfo_next() - 1 and *ret; 0 at the end. Takes the lines from *text; those that are no mounts are
 *  skipped. A later mount hides what an earlier one has at its mount point. */
int mountinfo_next(Bytes *text, MountinfoLine *ret);

/** mountinfo_unescape() - undoes the kernel's \040; out has PATH_MAX bytes. False: too long for a path. */
bool mountinfo_unescape(Bytes text, char *out);

/** mountinfo_leads_through() - whether the way to path leads through the directory, or ends there. Both
 *  escaped, or neither. */
bool mountinfo_leads_through(Bytes path, Bytes directory);

#endif
