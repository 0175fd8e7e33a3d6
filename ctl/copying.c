/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>

#include "ctl/copying.h"
#include "ctl/say.h"

static Status cannot_open(const char *shown, const char *instead, Status damaged, int r) {
        switch (r) {
        case STORE_E_LOCKED:
                return complain(STATUS_FAILED, "%s is in use: scitraced is running, %s", shown, instead);
        case STORE_E_NEWER:
                return complain(STATUS_FAILED,
                                "%s was made by a newer scitrace than this (its form is above %d)", shown,
                                STORE_FORM);
        case STORE_E_OLDER:
        case STORE_E_FOREIGN:
                return complain(STATUS_FAILED, "%s is not a store of scitrace", shown);
        case -EBADMSG:
                (void) complain(STATUS_FAILED, "%s is so damaged that it cannot be opened", shown);
                return damaged;
        default:
                return complain_errno(r, "cannot copy %s", shown);
        }
}

static StoreCopy copy;          /* where the handler of signals finds it */

static void on_signal(int number) {
        copy_remove(&copy);
        raise(number);          /* by what is in force again: the end, once we are out of here */
}

/* Whoever gives up waiting leaves no copy behind. */
static void remove_copy_when_ended(void) {
        static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int) SA_RESETHAND }, before;

        sigfillset(&action.sa_mask);
        for (size_t i = 0; i < ELEMENTS(signals); i++)
                if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
                        (void) sigaction(signals[i], &action, NULL);
}

Status copying_open(const char *source, const char *shown, const char *instead, Status damaged,
                    StoreCopy **ret) {
        const char *within = getenv("TMPDIR");
        int r;

        remove_copy_when_ended();
        r = copy_open(source, within && *within ? within : "/var/tmp", &copy);
        if (r != 0)
                return cannot_open(shown, instead, damaged, r);
        *ret = &copy;
        return STATUS_OK;
}

void copying_close(void) {
        copy_close(&copy);
}
