/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_VERIFY_H
#define SCITRACE_DAEMON_STORE_VERIFY_H

/* verify: whether a store still is what was recorded: each event is hashed again, and what follows from the
 * hashes is compared with the tiles, the signed checkpoints and what others remember of them. Reads only, on
 * any connection; in slices, each with a snapshot of its own, so it can run beside the writer.
 * May use: lib, daemon/store/{note,reader,rebuild,sql,tile}.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>

#include "daemon/store/note.h"

/** VerifyOutcome: also how `scitracectl verify` exits. */
typedef enum VerifyOutcome {
        VERIFY_SOUND = 0,
        VERIFY_DAMAGED = 2,             /* not readable, or what follows from the events does not fit */
        VERIFY_ALTERED = 3,             /* events are not those that were signed */
        VERIFY_TRUNCATED = 4,           /* the newest are missing, or were not sealed for too long */
        VERIFY_UNSEALED = 5,            /* there is no checkpoint */
        VERIFY_UNKNOWN_KEY = 6,         /* signed by a key for which nobody vouches */
} VerifyOutcome;

enum {
        VERIFY_KEYS_MAX = 4096,         /* in a log: 78 years of weeks */
        VERIFY_FINDINGS_MAX = 1000,     /* that are told one by one; the rest is counted */
        VERIFY_SLICE = 16384,           /* events a snapshot */
};

/** VerifyFinding: a sentence, and the events that it is about (0: none). */
typedef struct VerifyFinding {
        VerifyOutcome outcome;
        int64_t from, to;
        const char *what;
} VerifyFinding;

/** VerifyPoint: what somebody else remembers: the root over so many events. */
typedef struct VerifyPoint {
        int64_t size;
        Hash root;
} VerifyPoint;

typedef struct Verify {
        const VerifyPoint *against;     /* in any order */
        size_t n_against;
        const NoteKey *keys;            /* that are trusted; none: the first that the log names */
        size_t n_keys;
        int64_t now;                    /* µs: the newest checkpoint must not be much older; 0: it may be */
        const char *scratch;            /* a folder of the caller's; NULL: somebody writes this database.
                                         * Else its own structure is checked too, and what follows from the
                                         * events is made anew there and compared; the caller removes it */
        void (*found)(void *userdata, const VerifyFinding *f);
        /** Now and then. Non-zero ends it with -ECANCELED. */
        int (*progress)(void *userdata, int64_t done, int64_t total);
        void *userdata;
} Verify;

typedef struct VerifyResult {
        VerifyOutcome outcome;          /* the gravest */
        int64_t events;                 /* looked at */
        int64_t pruned;                 /* of them, known by their hashes alone: their rows went by policy */
        int64_t sealed;                 /* of them, covered by a checkpoint that fits */
        int64_t checkpoints;
        int64_t time;                   /* of the newest checkpoint, µs */
        int64_t keys;                   /* that sealed it, one after the other */
        int64_t findings, untold;       /* how many there are; how many of them were not told */
        size_t against;                 /* points that were compared */
        bool projections;               /* what follows from the events was made anew and compared */
        NoteKey first_key;              /* keys > 0 */
} VerifyResult;

/** verify_run() - 0 and *ret, whatever was found; negative errno when it could not be checked: nothing is
 *  said about the store then. */
int verify_run(sqlite3 *db, const Verify *v, VerifyResult *ret);

#endif
