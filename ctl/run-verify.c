/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "ctl/say.h"

/* Commands that work on a copy of a store, as scitracectl has them: scitrace-verify takes this process over,
 * with the same command line. */
static Status run_verify(Ctl *c) {
        CLEANUP(freep) char *program = place_program("scitrace-verify");

        if (!program)
                return complain_memory();
        execv(program, c->argv);
        return complain_errno(errno, "cannot start %s, which does this", program);
}

Status cmd_verify(Ctl *c, char **arguments) {
        (void) arguments;
        return run_verify(c);
}

Status cmd_store_rebuild(Ctl *c, char **arguments) {
        (void) arguments;
        return run_verify(c);
}
