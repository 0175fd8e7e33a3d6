/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_SCREEN_H
#define SCITRACE_CTL_SCREEN_H

/* screen: what stdout is, its colours, and the pager before it. May use: ctl/ctl.h, ctl/say.h. */

#include "ctl/ctl.h"

#define STYLE_BOLD "\x1b[1m"
#define STYLE_DIM "\x1b[2m"
#define STYLE_RED "\x1b[31m"
#define STYLE_GREEN "\x1b[32m"
#define STYLE_YELLOW "\x1b[33m"
#define STYLE_END "\x1b[0m"

/** screen_open() - what stdout is: COLUMNS, NO_COLOR and TERM=dumb count. */
void screen_open(Screen *ret);
/** style() - s when colours are on, else "". */
const char *style(const Ctl *c, const char *s);

/** pager_open() - stdout goes through a pager from here on, when it is a terminal and --no-pager is not
 *  there. */
Status pager_open(Ctl *c);
/** screen_close() - flushes stdout and waits for the pager. STATUS_FAILED when something could not be
 *  written; a reader that went away is no failure. */
Status screen_close(Ctl *c);
/** screen_broken() - stdout takes no more. */
bool screen_broken(void);

#endif
