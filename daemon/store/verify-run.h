/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_VERIFY_RUN_H
#define SCITRACE_DAEMON_STORE_VERIFY_RUN_H

/* verify-run: what the files of verify share. verify.c: the rows, and what follows from them;
 * verify-seals.c: keys, checkpoints, and what others remember. */

#include "daemon/store/reader.h"
#include "daemon/store/sql.h"
#include "daemon/store/verify.h"

enum { VERIFY_SQL_TILE, VERIFY_SQL_CHECKPOINT, VERIFY_SQL_KEYS, VERIFY_SQL_PRUNED, VERIFY_SQL_COUNT };

typedef struct Key {
        int64_t seq;
        NoteKey key;
} Key;

typedef struct Range {
        int64_t from, to;
} Range;

/* Rows up to a number may be gone, says a table, and says the log in an event. */
typedef struct Pruned {
        int64_t upto, said;             /* as the table has it; said: the event's seq */
        int64_t seen;                   /* what the log says, as far as it was read */
        int64_t missing;
} Pruned;

typedef struct Run {
        sqlite3 *db;
        const Verify *v;
        VerifyResult *result;
        Reader *reader;
        sqlite3_stmt *stmts[VERIFY_SQL_COUNT];
        uint8_t *leaf;
        size_t leaf_max;

        int64_t total;
        Event event; /* the next one that the reader gave; has_event */
        bool has_event;
        bool at_end; /* it gives no more */
        bool told;   /* a callback ran: what was borrowed from the database may be gone */

        Tree rows, tiles;
        bool forked;             /* they differ */
        Hash stored[TILE_WIDTH]; /* of the tile that is being filled */
        unsigned n_stored;

        Range differ; /* rows that differ from their tile, not yet judged; from 0: none */
        Range *differs;
        size_t n_differs, max_differs;
        Range gone, unreadable; /* the run of such rows that is going on */
        bool incomplete;                /* there were such, or pruned ones */
        Pruned events, checkpoints;     /* that may be gone */

        Key *keys;
        size_t n_keys, max_keys;
        Checkpoint checkpoint; /* the next one; has_checkpoint */
        uint8_t note[NOTE_MAX];
        size_t note_size;
        bool has_checkpoint;
        int64_t number, numbers; /* of the last one that was read; of the last that there is */
        size_t last_key;         /* index of the one that signed it */
        bool lost;               /* a root fitted nothing: those after it fit nothing either */
        VerifyPoint *against;    /* sorted */
        size_t next_against;
        int error; /* within a callback */
} Run;

/* verify.c */

/** verify_find() - a finding; its sentence. verify_find_range() - "event 7 is" or "events 7 to 9 are": one,
 * many are what follows the number. */
void verify_find(Run *r, VerifyOutcome outcome, int64_t from, int64_t to, const char *format, ...)
        PRINTF_LIKE(5, 6);
void verify_find_range(Run *r, VerifyOutcome outcome, const Range *g, const char *one, const char *many);
void verify_end_differ(Run *r, const Range *g);
int verify_prepare(Run *r, int which, sqlite3_stmt **ret);
/** verify_pruned() - whether n rows up to `number` may be missing. what: "prune" or "thin". */
bool verify_pruned(Run *r, Pruned *p, const char *what, int64_t number, int64_t n);

/* verify-seals.c */

/** seals_key() - an event "key". seals_next() - reads the next checkpoint. seals_signature() - checks its
 *  signature. seals_judge() - the checkpoints, and the points of others, of the events so far.
 *  seals_differ() - rows that differ from their tile: now it is known what that means. */
int seals_key(Run *r, const Event *e);
int seals_next(Run *r);
int seals_signature(Run *r);
int seals_judge(Run *r);
void seals_differ(Run *r, VerifyOutcome outcome, const char *one, const char *many);

#endif
