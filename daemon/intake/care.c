/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* care: what keeps the database safe and in shape, beside the record. */

void care_note(Intake *i, const char *what, const char *result) {
        int r = store_care(i->store, what, result);

        if (r < 0)
                intake_fail(i, r);
}

void work_note(Intake *i, Work *w) {
        care_note(i, w->name, (const char *) w->data);
        if (w->ticket != 0)
                intake_counted(i, w->ticket, 0, 0, 0);
}

/* A snapshot is not made within a transaction: what came before is committed first, and sealed: a backup
 * can be verified to its end. */
void work_backup(Intake *i, Work *w) {
        int64_t bytes = 0, seq = 0;
        int r;

        sealing_seal(i);
        r = store_commit(i->store);
        intake_committed(i, r == 0);
        if (r != 0)
                intake_fail(i, r);
        else
                r = store_backup(i->store, w->fd, &bytes, &seq);
        if (i->error == 0 && intake_begin(i) != 0)
                intake_fail(i, STORE_E_FAILED);
        if (i->error == 0 && r == 0)
                care_note(i, STORE_CARE_BACKUP, "done");
        intake_counted(i, w->ticket, r > 0 ? -EIO : r, bytes, seq);
}

/* In a transaction of its own: when it fails, nothing that was recorded falls with it. */
static int step_alone(Intake *i, Work *w, int64_t *ret_done, int64_t *ret_left) {
        StoreStep step = (StoreStep) w->number;
        int r;

        if (step == STORE_STEP_CHECKPOINT)
                return store_step(i->store, step, w->argument, ret_done, ret_left);
        r = intake_begin(i);
        if (r == 0)
                r = store_step(i->store, step, w->argument, ret_done, ret_left);
        if (r == 0 && step == STORE_STEP_PRUNE)
                sealing_seal(i);
        if (r == 0)
                r = store_commit(i->store);
        else
                store_rollback(i->store);
        intake_committed(i, r == 0);
        if (r == STORE_E_FAILED)
                intake_fail(i, r);
        return r == STORE_E_FULL ? -ENOSPC : r > 0 ? -EIO : r;
}

void work_step(Intake *i, Work *w) {
        int64_t done = 0, left = 0;
        int r;

        if (w->number == STORE_STEP_PRUNE)
                sealing_seal(i);
        r = store_commit(i->store);
        intake_committed(i, r == 0);
        if (r != 0)
                intake_fail(i, r);
        else
                r = step_alone(i, w, &done, &left);
        if (i->error == 0 && intake_begin(i) != 0)
                intake_fail(i, STORE_E_FAILED);
        intake_counted(i, w->ticket, r > 0 ? -EIO : r, done, left);
}

static int queue_counted(Intake *i, Work *w, void (*fn)(void), void *userdata) {
        if (!w)
                return -ENOMEM;
        w->ticket = fn ? intake_ticket(i, fn, userdata) : 0;
        if (fn && w->ticket == 0) {
                free(w->name);
                free(w->data);
                free(w);
                return -ENOMEM;
        }
        return intake_queue(i, w);
}

int intake_care(Intake *i, const char *what, const char *result, IntakeStepFn fn, void *userdata) {
        Work *w = calloc(1, sizeof(*w));

        if (w)
                *w = (Work) { .run = work_note, .name = strdup(what), .data = (uint8_t *) strdup(result) };
        if (w && (!w->name || !w->data)) {
                free(w->name);
                free(w->data);
                free(STEAL(w));
        }
        return queue_counted(i, w, (void (*)(void)) fn, userdata);
}

int intake_step(Intake *i, StoreStep step, int64_t argument, IntakeStepFn fn, void *userdata) {
        Work *w = calloc(1, sizeof(*w));

        if (w)
                *w = (Work) { .run = work_step, .number = step, .argument = argument };
        return queue_counted(i, w, (void (*)(void)) fn, userdata);
}

int intake_backup(Intake *i, int fd, IntakeBackupFn fn, void *userdata) {
        Work *w = calloc(1, sizeof(*w));

        if (w)
                *w = (Work) { .run = work_backup, .fd = fd };
        return queue_counted(i, w, (void (*)(void)) fn, userdata);
}
