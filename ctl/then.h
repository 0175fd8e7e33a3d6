/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_THEN_H
#define SCITRACE_CTL_THEN_H

/* then: what commands with --as-of share: paths as they were, and the word that an answer lies in a gap.
 * May use: ctl/, lib. */

#include "ctl/ctl.h"
#include "ctl/path.h"

/** then_parameter() - path_parameter(); with --as-of, a path within a dataset is taken as it stands: what is
 *  a symbolic link in it today may have been none. */
int then_parameter(Ctl *c, json_t *object, const char *argument, PathEnd end);

/** Unseen: gaps that rows told of in their member `gap`. An all-zero struct is none. */
typedef struct Unseen {
        char causes[128];               /* words, with commas between */
        int64_t rows;
} Unseen;
void unseen_add(Unseen *u, const json_t *row);
/** unseen_note() - what they mean for the answer; nothing when there was none. */
void unseen_note(const Ctl *c, const Unseen *u);
/** unseen_dataset() - asks for the gaps of the dataset that lie at the time the options ask about, and notes
 *  the same. */
void unseen_dataset(Ctl *c, const char *dataset);

#endif
