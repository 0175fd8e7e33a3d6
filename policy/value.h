/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_POLICY_VALUE_H
#define SCITRACE_POLICY_VALUE_H

/* value: the values of a configuration file: text in, number out. Pure.
 * May use: lib.  May not use: anything else. */

#include <stdint.h>

/** value_parse_time() - "250ms", "5s", "2min 30s", "1h"; a number alone is seconds. Units: us ms s min h d.
 *  value_parse_size() - "4096", "64M"; K M G T P of 1024. One number, no fraction.
 *  0 and *ret (microseconds, bytes), or -EINVAL: not such a value, negative, or past int64_t. */
int value_parse_time(const char *text, int64_t *ret);
int value_parse_size(const char *text, int64_t *ret);
/** value_parse_keep() - a time, or "infinity": INT64_MAX. */
int value_parse_keep(const char *text, int64_t *ret);
/** value_parse_percent() - "20%", "20": one number, no fraction. */
int value_parse_percent(const char *text, int64_t *ret);

#endif
