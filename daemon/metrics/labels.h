/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_METRICS_LABELS_H
#define SCITRACE_DAEMON_METRICS_LABELS_H

/* labels: the text "k=v,k=v" that tells the series of a metric apart. Pure.
 * May use: lib.  May not use: anything else in daemon/. */

#include "lib/util.h"

enum { LABELS_MAX = 4096 };             /* bytes with the NUL; a series that would need more is not kept */

/** labels_add() - appends key=value to text, which holds LABELS_MAX bytes. In a value, commas, backslashes,
 *  control characters and bytes that are not UTF-8 are written \xNN: a comma always ends a label, and the
 *  first = of a label its key. 0 or -ENAMETOOLONG, which leaves text alone. */
int labels_add(char *text, const char *key, Bytes value);

#endif
