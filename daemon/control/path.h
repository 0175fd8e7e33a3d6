/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_PATH_H
#define SCITRACE_DAEMON_CONTROL_PATH_H

/* path: a client's path as the record has it. Pure; no file is looked at.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>

#include "lib/util.h"

/** path_normal() - in place: without "//" and a final "/". false: not absolute, or with a NUL, "." or
 * ".." in it. */
bool path_normal(uint8_t *path, size_t *size);

#endif
