/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "ctl/say.h"

/* `verify` as scitracectl has it: scitrace-verify takes this process over, with the same command line. */
Status cmd_verify(Ctl *c, char **arguments) {
        CLEANUP(freep) char *program = place_program("scitrace-verify");

        (void) arguments;
        if (!program)
                return complain_memory();
        execv(program, c->argv);
        return complain_errno(errno, "cannot start %s, which does this", program);
}
