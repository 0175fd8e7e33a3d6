/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_POLICY_POLICY_H
#define SCITRACE_POLICY_POLICY_H

/* policy: the site's rules: text in, decisions out. Files are merged in the systemd manner: of files with
 * the same name the one in the first folder wins (a link to /dev/null there masks it); scitraced.conf is
 * read first, then the drop-ins scitraced.conf.d/NN.conf by name; a later value replaces an earlier one,
 * repeatable keys gather (an empty value empties the list).
 * May use: lib.  May not use: daemon/, ctl/. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/util.h"

enum {
        POLICY_FOLDERS_MAX = 8,
        POLICY_FILE_MAX = 1 << 20,      /* bytes; a larger file is refused */
        POLICY_LINE_MAX = 4096,         /* bytes; a longer line is refused */
        POLICY_IGNORE_MAX = 8000,       /* bytes of all patterns, each with its end: a feed's message */
};

/** Policy: immutable once loaded. Times in microseconds, sizes in bytes. */
typedef struct Policy {
        int64_t settle_usec;            /* [Dataset] SettleTime=, default 250ms, 10ms to 60s */
        int64_t write_max_usec;         /* [Dataset] OpenVersionInterval=, default 5s, 1s to 1h */
        int64_t poll_rate;              /* [Watcher] PollEntriesPerSecond=, default 1000, 1 to 1M */
        int64_t poll_usec;              /* [Dataset] PollInterval=, default 10min, 1s to 7d */
        int64_t check_usec;             /* [Watcher] CheckInterval=, default 30s, 1s to 1h */
        int64_t keep_usec;              /* [Retention] KeepEvents=, default infinity (INT64_MAX), from 1s */
        int64_t sample_usec;            /* [Metrics] SampleInterval=, default 10s, 1s to 1h */
        int64_t digest_max;             /* [Identify] DigestUpTo=, default 1G; larger: digest later */
        int64_t read_max;               /* [Identify] ReadUpTo=, default 16T; larger: no digest, and a gap */
        int64_t pressure_max;           /* [Identify] PressureLimit=, percent, default 20; 100: none */
        char **ignore;                  /* [Ignore] Pattern=, repeatable, gitignore(5); shipped empty */
        size_t n_ignore;
} Policy;

/** PolicyWarnFn - one bad value: file and line (from 1; 0: the file as a whole) where it stands, and the
 *  sentence. What was in force before stays. */
typedef void (*PolicyWarnFn)(void *userdata, const char *file, int line, const char *message);

/** policy_load() - dirs: NULL-terminated, most important first (/etc/scitrace, /run/scitrace,
 *  /usr/lib/scitrace), at most POLICY_FOLDERS_MAX. Missing folders are fine. A folder or file that belongs
 *  to neither root nor uid, or that others may write, is refused with a warning. 0 and *ret (free with
 *  policy_free()), -ENOMEM, or the errno of an unreadable file. */
int policy_load(const char *const *dirs, uid_t uid, PolicyWarnFn warn, void *userdata, Policy **ret);
/** policy_parse() - the pure core: merges one file's text into *p. 0 or -ENOMEM. */
int policy_parse(Policy *p, const char *file, const char *text, PolicyWarnFn warn, void *userdata);
int policy_new(Policy **ret);           /* defaults */
Policy *policy_free(Policy *p);
static inline void policy_freep(Policy **p) {
        policy_free(*p);
}

#endif
