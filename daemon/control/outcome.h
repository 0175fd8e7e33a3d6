/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_OUTCOME_H
#define SCITRACE_DAEMON_CONTROL_OUTCOME_H

/* outcome: the named outcomes of daemon/watchers and daemon/query as the named errors of lib/interfaces,
 * each with a sentence that says what failed, why, and what to do.
 * May use: lib daemon/watchers daemon/query, daemon/control/call.h.  May not use: anything else in
 * daemon/. */

#include "daemon/control/call.h"

/** outcome_error() - answers with the error of an outcome that is not INTAKE_DONE. path: what was to be
 *  watched; name: what the caller named a dataset (or NULL). */
void outcome_error(Call *c, const IntakeResult *result, Bytes path, const char *name);

/** outcome_no_dataset() - NoSuchDataset. outcome_path() - query thread: NotWatched for QUERY_E_NO_DATASET,
 *  NoSuchFile for QUERY_E_NO_FILE. */
void outcome_no_dataset(Call *c, const char *name);
void outcome_path(Call *c, Query *q, int outcome, Bytes path);
/** outcome_too_early() - query thread: TooEarly; name: the dataset's, or NULL and a path in it. */
void outcome_too_early(Call *c, Query *q, const char *name, Bytes path);

/** outcome_holder() - query thread: the name of the dataset, removed ones too, whose root holds the path;
 *  malloc'd, or NULL. */
char *outcome_holder(Query *q, Bytes path);

#endif
