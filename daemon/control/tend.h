/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_TEND_H
#define SCITRACE_DAEMON_CONTROL_TEND_H

/* tend: long care of the store, in steps of some milliseconds on the store thread, with pauses between them
 * in which what happens is recorded. One such job at a time; it goes on when nobody waits for it any more.
 * Main thread.
 * May use: lib daemon/intake.  May not use: anything else in daemon/. */

#include <systemd/sd-event.h>

#include "daemon/intake/intake.h"

typedef struct Tend Tend;

enum { TEND_PHASES_MAX = 7 };

typedef struct TendPhase {
        const char *name;               /* NULL ends the phases */
        StoreStep step;
} TendPhase;

typedef struct TendJob {
        const char *what;               /* a STORE_CARE_: noted at the end */
        TendPhase phases[TEND_PHASES_MAX + 1];
} TendJob;

/** TendNews - after each step: of the phase, so much is done and so much left. At the end phase NULL, and
 *  result: 0 or negative errno. */
typedef void (*TendNews)(void *userdata, const char *phase, int64_t done, int64_t left, int result);

int tend_new(sd_event *event, Intake *intake, Tend **ret);
Tend *tend_free(Tend *t);

/** tend_start() - job: static. argument: of its steps. 0; -EBUSY: another is under way; other negative
 *  errno. */
int tend_start(Tend *t, const TendJob *job, int64_t argument, TendNews news, void *userdata);
/** tend_current() - what the job under way is (its `what`); NULL: there is none. */
const char *tend_current(const Tend *t);
/** tend_forget() - userdata is gone; its job goes on. */
void tend_forget(Tend *t, const void *userdata);

#endif
