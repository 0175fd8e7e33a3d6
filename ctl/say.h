/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_SAY_H
#define SCITRACE_CTL_SAY_H

/* say: sentences to the person, on stderr. May use: ctl/ctl.h, lib. */

#include "ctl/ctl.h"

/** complain() - "scitracectl: ..." and a newline; returns status. Control characters are escaped; names from
 *  disk must have been, as text_escape() does it. */
Status complain(Status status, const char *format, ...) PRINTF_LIKE(2, 3);
/** complain_errno() - the same, with what the error means. error: negative or positive errno. */
Status complain_errno(int error, const char *format, ...) PRINTF_LIKE(2, 3);
/** complain_memory() - there is none left. STATUS_FAILED. */
Status complain_memory(void);
/** note() - a line of news, unless --quiet. */
void note(const Ctl *c, const char *format, ...) PRINTF_LIKE(2, 3);

/** say_error() - the daemon's answer is an error: one sentence that says what to do. */
Status say_error(Ctl *c, const VarlinkReply *reply);
/** say_no_series() - no series is called so, or begins so; the nearest that there is. */
Status say_no_series(Ctl *c, const char *name);
/** say_unreachable() - nobody could be asked at socket. error: what connecting said. */
Status say_unreachable(const Ctl *c, const char *socket, int error);

#endif
