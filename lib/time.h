/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_TIME_H
#define SCITRACE_LIB_TIME_H

/* time: moments as people write and read them. Microseconds since the epoch (CLOCK_REALTIME) inside; local
 * time, by TZ, outside. Knows no clock: now is an argument.
 * May use: libc, lib/util.  May not use: anything else of ours. */

#include <stdint.h>

#include "lib/util.h"

enum {
        TIME_E_UNKNOWN = 1,             /* not a moment that anybody could mean */
        TIME_TEXT_MAX = 64,
};

/** TIME_FORMS - what time_parse() takes, for messages. */
#define TIME_FORMS "yesterday, \"2 hours ago\", -2h, 10:00, 2026-11-24, \"2026-11-24 10:00\" or @EPOCH"

/** time_parse() - text: `now`; `today`, `yesterday` or `tomorrow`, alone (midnight) or with a clock time;
 *  `[YYYY-MM-DD][ or T][HH:MM[:SS[.fraction]]]`, with `Z` or ` UTC` behind it when it is not local;
 *  `@SECONDS[.fraction]` since the epoch; `2 hours ago`, `1h 30min ago`, `-2h`, `2h` (all in the past),
 *  `+5min`. Units: s, min, h, d, w, months of 30.44 and years of 365.25 days, in the spellings of
 *  systemd.time(7).
 *  Returns 0 and sets *ret, or TIME_E_UNKNOWN. */
int time_parse(const char *text, int64_t now, int64_t *ret);

/** time_format() - "2026-11-24 10:00:05", local; returns buf. */
const char *time_format(int64_t usec, char buf[static TIME_TEXT_MAX]);

/** time_format_span() - a length of time in its two largest units: "3d 4h", "5min 12s", "250ms"; returns
 *  buf. */
const char *time_format_span(int64_t usec, char buf[static TIME_TEXT_MAX]);

#endif
