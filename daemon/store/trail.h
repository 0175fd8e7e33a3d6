/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_TRAIL_H
#define SCITRACE_DAEMON_STORE_TRAIL_H

/* trail: the bytes of table trail, which says in which events something happened beneath a directory
 * (docs/FORMATS.md, "Trails"). A tile of level 0 is 256 events, one of level L is 16 tiles of the level
 * below.
 * Pure: no descriptor, no clock, no database.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

enum {
        TRAIL_WIDTH = 256,              /* events of a tile of level 0 */
        TRAIL_FAN = 16,                 /* tiles of a tile above */
        TRAIL_DEPTH = 64,               /* directories above a name in which it is found */
        TRAIL_LEVELS = 14,              /* a tile of the last one has all events there can be */
        TRAIL_ROW = 512,                /* bytes; one that has as many takes no more entries */
        TRAIL_ROW_MAX = TRAIL_ROW + 10 + 1 + TRAIL_WIDTH / 8,
};

/** TrailSet - which events, or tiles, of a tile. */
typedef struct TrailSet {
        uint64_t bits[TRAIL_WIDTH / 64];
} TrailSet;

/** trail_shift() - a tile of that level has 1 << shift events: seq >> shift is the index of that of seq. */
static inline unsigned trail_shift(unsigned level) {
        return 8 + 4 * level;
}

/** trail_first() - the least (down: the greatest) number of a set in [from, to]; -1: none. */
int trail_first(const TrailSet *set, bool down, unsigned from, unsigned to);

/** TrailIn - the entries of a row, in the order of their directories. To begin: rest is the row's data,
 *  directory the row's.  trail_next() - 1: directory and set are the next entry; 0: there is none;
 *  -EBADMSG. */
typedef struct TrailIn {
        Bytes rest;
        int64_t directory;
        TrailSet set;
} TrailIn;
int trail_next(TrailIn *in);

/** TrailOut - a row that is being made; an all-zero one is empty.  trail_put() - one more entry, of a
 *  greater directory than the last; size is below TRAIL_ROW. */
typedef struct TrailOut {
        int64_t first, last;            /* directories */
        size_t size;
        uint8_t data[TRAIL_ROW_MAX];
} TrailOut;
void trail_put(TrailOut *out, int64_t directory, const TrailSet *set);

#endif
