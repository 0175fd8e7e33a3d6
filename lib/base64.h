/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_BASE64_H
#define SCITRACE_LIB_BASE64_H

/* base64: RFC 4648 with padding, no line breaks, one text for each run of bytes.
 * May use: lib/util.h.  May not use: anything else of ours. */

#include "lib/util.h"

/** base64_size() - characters that n bytes become. */
static inline size_t base64_size(size_t n) {
        return (n + 2) / 3 * 4;
}

/** base64_format() - writes base64_size(in.size) characters, without a NUL. */
void base64_format(Bytes in, char *ret);

/** base64_parse() - *ret: malloc'd, a NUL behind the bytes, which *ret_size does not count.
 *  0, -EBADMSG (another alphabet, wrong padding, bits left over), -ENOMEM. */
int base64_parse(const char *text, size_t size, uint8_t **ret, size_t *ret_size);

#endif
