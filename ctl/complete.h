/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_COMPLETE_H
#define SCITRACE_CTL_COMPLETE_H

/* complete: what could stand where the cursor is, for the shell. May use: ctl/, lib. */

#include "ctl/ctl.h"

/** complete() - words: those behind `scitracectl` up to the cursor, the last of them begun or empty. Prints
 *  each candidate on a line; none: it is a file name, or something that nobody but the person knows. */
Status complete(Ctl *c, int n_words, char **words);

#endif
