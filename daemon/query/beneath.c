/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* Tiles of 256 events, each 16 of them in one above, and so on (docs/FORMATS.md, "Trails"): one look at a
 * tile says in which of its parts there is something. A tile is written when it is full, and the one that is
 * being filled on the first level: so a directory that has rested is passed over in few steps, each of as
 * many events as can be. */

static int64_t begin_of(unsigned level, int64_t index) {
        return index << trail_shift(level);
}

static int64_t end_of(unsigned level, int64_t index) {
        return begin_of(level, index) + (INT64_C(1) << trail_shift(level)) - 1;
}

/* What the tile says of the directory. */
static int look(Query *q, unsigned level, int64_t index, int64_t directory, const TrailSet **ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Tile *t = &q->tiles[level];
        TrailIn in;
        int r;

        *ret = &t->set;
        if (t->directory == directory && t->index == index)
                return 0;
        *t = (Tile) { 0 };
        r = query_stmt(q, QUERY_SQL_TRAIL, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, level);
        sql_bind(stmt, 2, index);
        sql_bind(stmt, 3, directory);
        r = query_step(q, stmt);
        if (r > 0) {
                in = (TrailIn) { .rest = sql_column_bytes(stmt, 1), .directory = sql_column(stmt, 0) };
                while ((r = trail_next(&in)) > 0 && in.directory < directory)
                        ;
                if (r > 0 && in.directory == directory)
                        t->set = in.set;
        }
        t->directory = directory;
        t->index = index;
        return r < 0 ? r : 0;
}

typedef struct Walk {
        Query *q;
        bool down;
        int64_t directory, lo, hi;
} Walk;

/* The first in the direction of (lo, hi] that the tile has. */
static int find_in(const Walk *w, unsigned level, int64_t index, int64_t *ret) {
        unsigned shift = level > 0 ? trail_shift(level - 1) : 0;
        int64_t base = begin_of(level, index) >> shift;         /* the number of its first part */
        int64_t last = (end_of(level, index) >> shift) - base;
        int64_t from = MAX_OF(((w->lo + 1) >> shift) - base, (int64_t) 0);
        int64_t to = MIN_OF((w->hi >> shift) - base, last);
        const TrailSet *set;
        int at = 0, r = 0;

        for (*ret = 0; r == 0 && *ret == 0 && from <= to; w->down ? (to = at - 1) : (from = at + 1)) {
                r = look(w->q, level, index, w->directory, &set);
                at = r == 0 ? trail_first(set, w->down, (unsigned) from, (unsigned) to) : -1;
                if (at < 0)
                        break;
                if (level == 0)
                        *ret = base + at;
                else
                        r = find_in(w, level - 1, base + at, ret);
        }
        return r;
}

int beneath_next(Query *q, bool down, int64_t directory, int64_t newest, int64_t lo, int64_t hi,
                 int64_t *ret) {
        Walk w = { q, down, directory, lo, MIN_OF(hi, newest) };
        int r = 0;

        for (*ret = 0; r == 0 && *ret == 0 && w.lo < w.hi;) {
                int64_t index = (down ? w.hi : w.lo + 1) / TRAIL_WIDTH;
                unsigned level = 0;

                while (level + 1 < TRAIL_LEVELS && end_of(level + 1, index / TRAIL_FAN) <= newest) {
                        index /= TRAIL_FAN;
                        level++;
                }
                r = find_in(&w, level, index, ret);
                if (down)
                        w.hi = begin_of(level, index) - 1;
                else
                        w.lo = end_of(level, index);
        }
        return r;
}
