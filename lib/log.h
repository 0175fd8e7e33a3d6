/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_LOG_H
#define SCITRACE_LIB_LOG_H

/* log: a sentence and its fields to the journal, or the sentence alone to stderr when that is not the
 * journal. A sentence says what happened, to what, and what we did about it. Any thread.
 * May use: lib.  May not use: anything else. */

#include <stdint.h>
#include <syslog.h>

#include "lib/log-ids.h"

enum {
        LOG_FIELDS_MAX = 16,            /* of one message, our own included; more are left out */
        LOG_SENTENCE_MAX = 2048,        /* bytes, once escaped; a longer one is cut */
        LOG_REPEATS_MAX = 10,           /* of one id a minute; the rest are counted and summed up */
};

/** log_event() - priority: LOG_ERR ... LOG_DEBUG; id: MSG_*, or MSG_NONE; error: 0 or a negative errno,
 *  which is added to the sentence in words; then the sentence and any number of fields ("SCITRACE_PATH=%s"),
 *  each a printf(3) format that is followed by its own arguments. Both are literals: double a percent sign.
 *  Returns error, so that `return log_event(...)` logs and returns. */
#define log_event(priority, id, error, ...)                                                             \
        log_event_at("CODE_FILE=" __FILE__, "CODE_LINE=" LOG_STRING(__LINE__), __func__, priority, id, \
                     error, "" __VA_ARGS__, NULL)

#define LOG_STRING(x) LOG_STRING_(x)
#define LOG_STRING_(x) #x

int log_event_at(const char *file, const char *line, const char *func, int priority, LogId id, int error,
                 const char *sentence, ...) __attribute__((sentinel));

/** log_set_level() - the least important priority that is still logged, as a word ("warning", "info", ...)
 *  or its number. 0 or -EINVAL. Before the first call: SCITRACE_LOG_LEVEL of the environment, else info. */
int log_set_level(const char *word);

/** log_flush() - sums up the repeats that have been counted so far; for the end of a program. */
void log_flush(void);

/** LogLimit: how often one id was logged in the running minute. The pure core of rate limiting.
 *  log_limit_take() - 1: log it, 0: counted only. *ret_missed: what was counted in a minute that is over,
 *  else 0. now: µs, CLOCK_MONOTONIC. */
typedef struct LogLimit {
        int64_t since;
        unsigned logged, missed;
} LogLimit;
int log_limit_take(LogLimit *limit, int64_t now, unsigned *ret_missed);

/** log_escape() - writes text to buffer as one line of valid UTF-8: control characters and stray bytes as
 *  \xNN. At most size - 1 bytes and a NUL. Returns buffer. */
char *log_escape(const char *text, char *buffer, size_t size);

#endif
