/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* care: what keeps the database in shape, beside the record. */

void care_note(Intake *i, const char *what, const char *result) {
        int r = store_care(i->store, what, result);

        if (r < 0)
                intake_fail(i, r);
}

static void run_note(Intake *i, Work *w) {
        care_note(i, w->name, (const char *) w->data);
}

int intake_care(Intake *i, const char *what, const char *result) {
        Work *w = calloc(1, sizeof(*w));

        if (w) {
                w->run = run_note;
                w->name = strdup(what);
                w->data = (uint8_t *) strdup(result);
        }
        if (!w || !w->name || !w->data) {
                free(w ? w->name : NULL);
                free(w ? w->data : NULL);
                free(w);
                return -ENOMEM;
        }
        return intake_queue(i, w);
}
