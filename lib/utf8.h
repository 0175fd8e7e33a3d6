/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_UTF8_H
#define SCITRACE_LIB_UTF8_H

/* utf8: is a run of bytes text, and which code points has it (RFC 3629: no surrogates, nothing overlong).
 * May use: lib/util.h.  May not use: anything else of ours. */

#include <stdbool.h>

#include "lib/util.h"

/** utf8_next() - the length (1 to 4) of the code point at the start of s and the code point in *ret, or 0
 *  when the bytes there are not UTF-8 (or s is empty). */
int utf8_next(Bytes s, uint32_t *ret);

/** utf8_valid() - all of s is UTF-8 without NUL: what a JSON string of ours may hold. */
bool utf8_valid(Bytes s);

#endif
