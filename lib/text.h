/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_TEXT_H
#define SCITRACE_LIB_TEXT_H

/* text: bytes that are shown to people. Names from disk are bytes; a terminal must never see them raw.
 * May use: lib/utf8, lib/util.  May not use: anything else of ours. Pure. */

#include <stdint.h>

#include "lib/util.h"

/** text_escape() - b as one line of harmless UTF-8, malloc'ed. Written as \xNN, byte by byte: C0, DEL, C1,
 *  line and paragraph separators, the bidirectional controls (U+061C, U+200E-F, U+202A-E, U+2066-9), and
 *  whatever is not valid UTF-8. A backslash is written \\, always, so that the way back is never in
 *  doubt. 0 or -ENOMEM. */
int text_escape(Bytes b, char **ret);

#endif
