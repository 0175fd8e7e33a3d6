/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_COPYING_H
#define SCITRACE_CTL_COPYING_H

/* copying: the private copy of a store on which the commands of scitrace-verify work, in TMPDIR.
 * May use: ctl/, lib, daemon/store/copy.h. */

#include "ctl/ctl.h"
#include "daemon/store/copy.h"

/** copying_open() - the copy of source (shown: escaped); one at a time, and removed by a signal that ends
 *  this, too. instead: what to do when a scitraced has it. *ret: valid until copying_close(). A store that
 *  is too damaged to be opened ends with the status `damaged`. */
Status copying_open(const char *source, const char *shown, const char *instead, Status damaged,
                    StoreCopy **ret);
void copying_close(void);

#endif
