/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* lost: the store is not what it was: it was taken away while it was open, and was saved, or it was taken
 * back, and events are gone. That is said at once, is an event, and a gap of every dataset. */

void lost_look(Intake *i, bool saved) {
        long long had = store_lost(i->store), has = store_last_seq(i->store);

        i->lost = (Lost) { .is_to_be_told = saved || had > 0, .had = had };
        if (saved && had == 0)
                log_event(LOG_CRIT, MSG_STORE_LOST, 0,
                          "The database %s was removed or replaced while it was in use; all %lld events "
                          "were saved from the open file into a new one, with which recording goes on",
                          store_path(i->store), has, "SCITRACE_STORE=%s", store_path(i->store));
        else if (had > has)
                log_event(LOG_CRIT, MSG_STORE_LOST, 0,
                          "Events %lld to %lld are gone from the store: %s is an older copy, or lost what "
                          "was written; recording goes on after event %lld, and 'scitracectl verify' will "
                          "say so",
                          has + 1, had, store_path(i->store), has, "SCITRACE_STORE=%s",
                          store_path(i->store), "SCITRACE_EVENTS=%lld", had);
        else if (had > 0)
                log_event(LOG_CRIT, MSG_STORE_LOST, 0,
                          "The database %s is not the one that was here: that one had %lld other events; "
                          "recording goes on in it, and 'scitracectl verify' will say so",
                          store_path(i->store), had, "SCITRACE_STORE=%s", store_path(i->store),
                          "SCITRACE_EVENTS=%lld", had);
}

int lost_record(Intake *i) {
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_STORE_LOST, .origin = ORIGIN_LIVE, .first = now, .last = now };
        char had[24];

        if (!i->lost.is_to_be_told)
                return 0;
        snprintf(had, sizeof(had), "%lld", (long long) i->lost.had);
        if (i->lost.had > 0)
                e.detail = BYTES_STR(had);
        return intake_append(i, &e);
}

Cause lost_cause(const Intake *i, Cause otherwise) {
        return i->lost.is_to_be_told ? CAUSE_STORE_LOST : otherwise;
}
