/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_SETTLE_H
#define SCITRACE_DAEMON_WATCH_SETTLE_H

/* settle: has it come to rest? Gathers the notices of a name (directory id, name) into one change, which is
 * due once the name was quiet for the settle time, or is that old; moves it with its name; forgets it when
 * the name goes. A change that was handed out (settle_next) is in flight until settle_done(): what is
 * noticed meanwhile gathers anew, and a name that went or moved meanwhile makes the flight stale, so that
 * its result is not reported. Knows no clock, no descriptor,
 * no lock: the caller passes the time in and serialises.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

typedef struct Settle Settle;

enum {                                  /* what is known of a change */
        SETTLE_NEW = 1,                 /* its node is not in the record under this name */
        SETTLE_OVER = 2,                /* it may have taken the name from a recorded node */
        SETTLE_ARRIVED = 4,             /* by a rename */
        SETTLE_CONTENT = 8,             /* content may have changed */
        SETTLE_FOUND = 16,              /* by listing: a creation noticed later is the same operation */
        SETTLE_DIRECTORY = 32,          /* a directory to be watched and listed: due at once */
        SETTLE_EARLY = 128,             /* a directory to be taken for what it is, whatever is on its way */
        SETTLE_READ = 64,               /* asked for: read whatever its size */
};

enum { SETTLE_GLANCE_USEC = 2000 };

enum {                                  /* named outcomes */
        SETTLE_E_FULL = 1,              /* max_changes reached; the notice was not taken */
        SETTLE_E_FOLDED,                /* settle_move: nothing to report, the change moved with its name */
};

typedef struct SettleChange {
        int64_t first, last;            /* µs of CLOCK_REALTIME: first and last notice */
        int64_t since, touched;         /* µs of a clock that is never set: the same */
        uint32_t count;                 /* name operations */
        uint32_t request;               /* a request that its result answers, or 0 */
        uint32_t epoch;                 /* see settle_flush(); 0: none, as it is only asked for */
        uint16_t flags;
        uint8_t origin;                 /* Origin; LIVE wins over the others */
        uint8_t tries;                  /* times it was put back */
} SettleChange;

/** Moment: one instant on both clocks. */
typedef struct Moment {
        int64_t real, steady;
} Moment;

typedef struct SettleJob {
        uint32_t dir;
        SettleChange change;
        bool old;                       /* due for its age, not its quiet */
        bool flushed;                   /* due for settle_flush() */
        uint8_t name_size;
        char name[256];                 /* NUL behind it */
} SettleJob;

/** settle_new() - quiet, oldest: µs, > 0; max_changes: changes kept at once (about 220 bytes each). */
int settle_new(int64_t quiet, int64_t oldest, size_t max_changes, Settle **ret);
Settle *settle_free(Settle *s);
/** settle_times() - other times from now on, for what waits already too. */
void settle_times(Settle *s, int64_t quiet, int64_t oldest);

/** settle_touch() - one notice. count: name operations it stands for. epoch: 0: the present one; else one
 *  that was inherited (the change belongs to what was noticed then). What is asked for is taken even when it
 *  is full: who asks bounds that. 0, SETTLE_E_FULL, -ENOMEM. */
typedef struct SettleNotice {
        uint32_t dir;
        Bytes name;
        uint16_t flags;
        uint8_t origin;
        uint32_t count, request, epoch;
        bool anew;                      /* by whom a job was given: what it was about, all of it once more */
} SettleNotice;
int settle_touch(Settle *s, const SettleNotice *n, Moment now);

/** settle_displaced() - a change carries one request; where two of them join, the other one must be answered
 *  by the caller: after each call that changes something, until this returns 0. */
uint32_t settle_displaced(Settle *s);

/** settle_gone() - the name went. *ret: what was pending for it, all zero when nothing was. */
void settle_gone(Settle *s, uint32_t dir, Bytes name, SettleChange *ret);

/** settle_leave() - the same for all names in the directories for which `leaves` is true: fn gets what was
 *  pending. Goes through everything that is pending. */
void settle_leave(Settle *s, bool (*leaves)(void *userdata, uint32_t dir),
                  void (*fn)(void *userdata, uint32_t dir, Bytes name, const SettleChange *change),
                  void *userdata);

/** settle_move() - (old_dir, old_name) became (dir, name). A change that was not recorded yet moves along:
 *  SETTLE_E_FOLDED; report the move all the same, as no operation: a look that was faster than the notice
 *  may have recorded it. *ret_over: what is recorded of the old name may be another node, which is gone:
 *  report that instead. Else the move is to be reported, *ret has its count and times; 0: what was pending
 *  moves along too; SETTLE_E_FULL: nothing was pending, and the look at the new name that
 *  is due now could not be taken. */
int settle_move(Settle *s, uint32_t old_dir, Bytes old_name, uint32_t dir, Bytes name, bool directory,
                Moment now, SettleChange *ret, bool *ret_over);

/** settle_swap() - two names exchanged what they hold. 0: report the exchange; SETTLE_E_FOLDED: one of them
 *  was not recorded; *ret_moved says which recorded one to report as moved: 0 neither, 1 the first, 2 the
 *  second. SETTLE_E_FULL: report the exchange; the looks at both could not be taken. */
int settle_swap(Settle *s, uint32_t dir1, Bytes name1, uint32_t dir2, Bytes name2, Moment now,
                SettleChange *ret, int *ret_moved);

/** settle_next() - hands out a change that is due. directories: only such; else only others. 1 and *ret,
 *  or 0.
 *  settle_next_of() - the same, but only of directory `dir`, whatever of others came due before. */
int settle_next(Settle *s, int64_t now, bool directories, SettleJob *ret);
int settle_next_of(Settle *s, int64_t now, uint32_t dir, SettleJob *ret);
/** settle_glance() - a name that was made SETTLE_GLANCE_USEC ago and of which nothing was noticed since: a
 *  new file would have been written or closed by now, so it may be one more name of a file that is recorded.
 *  1 and *ret once for each, or 0. settle_hasten() - it is: the change of that name is due now, so that its
 *  name is recorded before it can go. */
typedef struct SettleGlance {
        uint32_t dir;
        uint8_t name_size;
        char name[256];                 /* NUL behind it */
} SettleGlance;
int settle_glance(Settle *s, int64_t now, SettleGlance *ret);
void settle_hasten(Settle *s, uint32_t dir, Bytes name);

/** settle_due() - when the next change is due: µs of the steady clock, INT64_MAX: none. */
int64_t settle_due(const Settle *s, bool directories);

/** settle_fresh() - whether a job's result may be reported: its name did not go or move meanwhile. */
bool settle_fresh(const Settle *s, const SettleJob *job);
/** settle_reported() - a directory's job has been reported, but goes on with the listing of its names: from
 *  now on a move or the end of its name is news of its own. */
void settle_reported(Settle *s, const SettleJob *job);
/** settle_done() - ends a flight. again: the change goes back and is tried once more after the settle time;
 *  a stale one does not. */
void settle_done(Settle *s, const SettleJob *job, bool again, int64_t now);

/** settle_flush() - makes all that was noticed so far due at once, and returns its epoch; later notices
 *  belong to the next one. settle_flushed() - whether all of that epoch (and earlier)
 *  has been reported or dropped. */
uint32_t settle_flush(Settle *s);
bool settle_flushed(const Settle *s, uint32_t epoch);

/** settle_count() - names with a change, pending or in flight. */
size_t settle_count(const Settle *s);
/** settle_oldest() - first (real time) of the oldest change, pending or in flight; 0: none.
 *  Looks at all of them. */
int64_t settle_oldest(const Settle *s);

#endif
