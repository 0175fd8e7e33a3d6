/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_INTAKE_INTAKE_H
#define SCITRACE_DAEMON_INTAKE_INTAKE_H

/* intake: which observations are news. The store thread: compares observations with the record, makes events
 * of what differs, opens and closes gaps, and commits in groups: while a commit runs, work gathers; all that
 * gathered is the next transaction. Functions here are called on the main thread and only queue; results
 * come back through callbacks that intake_dispatch() runs on the main thread,
 * after the COMMIT that they depend on.
 * May use: lib policy daemon/store.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/store/store.h"
#include "lib/util.h"

typedef struct Intake Intake;

/** intake_new() - takes over the store and starts the thread. intake_fd() becomes readable when
 *  intake_dispatch() has something to run. intake_free() commits what is queued, ends the thread and closes
 *  the store; clean: note a clean end in the store. */
int intake_new(Store *store, Intake **ret);
Intake *intake_free(Intake *i, bool clean);
int intake_fd(const Intake *i);
void intake_dispatch(Intake *i);

/** intake_on_commit() - fn runs on the main thread after commits (several may be merged);
 *  seq: the newest event. */
typedef void (*IntakeCommitFn)(void *userdata, int64_t seq);
void intake_on_commit(Intake *i, IntakeCommitFn fn, void *userdata);

/** intake_backup() - store_backup() into fd (stays the caller's; keep it open until fn has run). */
typedef void (*IntakeBackupFn)(void *userdata, int result, int64_t bytes, int64_t seq);
int intake_backup(Intake *i, int fd, IntakeBackupFn fn, void *userdata);

/** intake_step() - store_step(). result: 0 or negative errno. */
typedef void (*IntakeStepFn)(void *userdata, int result, int64_t done, int64_t left);
int intake_step(Intake *i, StoreStep step, int64_t argument, IntakeStepFn fn, void *userdata);
/** intake_care() - store_care(). fn, which may be NULL, is told when it is done, or why it is not. */
int intake_care(Intake *i, const char *what, const char *result, IntakeStepFn fn, void *userdata);

/** intake_chunks() - metrics chunks for the store; all is copied. */
typedef struct IntakeChunk {
        const char *name, *labels, *unit;
        int64_t from, until;
        int points;
        Bytes data;
} IntakeChunk;
int intake_chunks(Intake *i, const IntakeChunk *chunks, size_t n);

/** intake_forget() - callbacks with this userdata are not run any more. */
void intake_forget(Intake *i, void *userdata);

/** intake_waiting() - whether a callback is still to come. */
bool intake_waiting(const Intake *i);

/** intake_time() - what time it surely is (µs since the epoch), for whoever removes what is old: see
 *  trust.h. Any thread. */
typedef struct IntakeTime {
        int64_t time;
        int64_t off;                    /* the clock is so far ahead, and doubted; 0: it is believed */
        int64_t left;                   /* so long it must still stand */
} IntakeTime;
void intake_time(Intake *i, IntakeTime *ret);

/** intake_degraded() - NULL while all is well, else the sentence that says what is wrong with the store. */
const char *intake_degraded(const Intake *i);
/** intake_unsealed() - the same of the seals: events are recorded all the same. */
const char *intake_unsealed(const Intake *i);

/* What daemon/watchers uses is in daemon/intake/observe.h. */

#endif
