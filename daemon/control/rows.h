/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_ROWS_H
#define SCITRACE_DAEMON_CONTROL_ROWS_H

/* rows: what the queries give, as members of the objects that lib/interfaces describes. Pure; any thread.
 * May use: lib daemon/query.  May not use: anything else in daemon/. */

#include "daemon/control/emit.h"
#include "daemon/query/query.h"

/** rows_event(), rows_file(), rows_stretch() - the members of an Event, a File, a Stretch of the interfaces,
 *  into an open object. */
void rows_event(Emit *e, const QueryEvent *row);
void rows_file(Emit *e, const QueryFile *row);
void rows_stretch(Emit *e, const QueryStretch *row);

/** rows_point() - labels: "k=v,k=v". */
void rows_point(Emit *e, const char *name, const char *labels, const char *unit, int64_t time, double value);

#endif
