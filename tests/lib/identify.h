/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_LIB_IDENTIFY_H
#define SCITRACE_TESTS_LIB_IDENTIFY_H

/* identify: a name held, and read. */

#include <errno.h>

#include "daemon/identify/identify.h"

/** identify_name() - identify_hold() and identify_file(); a symbolic link is IDENTIFY_E_NOT_FILE. */
static inline int identify_name(int dir_fd, const char *name, const IdentifyLimits *limits,
                                IdentifyReading *reading, IdentifyState *ret_state, IdentifyContent *ret) {
        IdentifyState state;
        CLEANUP(closep) int held = identify_hold(dir_fd, name, &state);

        if (held < 0)
                return held == -ELOOP ? IDENTIFY_E_NOT_FILE : held;
        return identify_file(held, &state, limits, reading, ret_state, ret);
}

#endif
