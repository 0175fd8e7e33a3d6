/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_EVENT_H
#define SCITRACE_CTL_EVENT_H

/* event: how an event looks in a table, and the folding of .git. May use: ctl/, lib. */

#include "ctl/ctl.h"

/** event_path() - "old → new" of a rename, "dir/", "path: cause" of a gap, and in brackets what is not
 *  plain: the origin unless it is live, and the count above 1. malloc'ed. */
char *event_path(const Ctl *c, const json_t *event);
/** event_style() - the escape sequence of an event's kind, "" when there are no colours. */
const char *event_style(const Ctl *c, const json_t *event);

/** Fold: a run of rows beneath one .git directory, shown as one. */
typedef struct Fold {
        char *dataset, *git;            /* NULL: no run is open */
        int64_t rows, bytes, seq, time; /* seq and time: of the newest */
} Fold;

/** fold_same() - the row goes on with the open run. fold_begin() - it opens one; false: it is not beneath a
 *  .git. path: escaped. */
bool fold_same(const Fold *f, const char *dataset, const char *path);
bool fold_begin(Fold *f, const char *dataset, const char *path);
/** fold_add() - the row is part of the run. fold_done() - closes the run and frees what it holds. */
void fold_add(Fold *f, const json_t *row);
void fold_done(Fold *f);

#endif
