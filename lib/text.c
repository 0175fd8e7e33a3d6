/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "lib/text.h"
#include "lib/utf8.h"

static const char hex_digits[] = "0123456789abcdef";

/* What a terminal would obey, or what would make a name look like another one. */
static bool is_harmful(uint32_t rune) {
        static const struct {
                uint32_t first, last;
        } ranges[] = {
                { 0x00, 0x1f },     { 0x7f, 0x9f },     { 0x061c, 0x061c },
                { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 },
        };

        for (size_t i = 0; i < ELEMENTS(ranges); i++)
                if (rune >= ranges[i].first && rune <= ranges[i].last)
                        return true;
        return false;
}

int text_escape(Bytes b, char **ret) {
        char *out, *p;

        assert(ret);
        out = p = malloc(4 * b.size + 1);
        if (!out)
                return -ENOMEM;
        for (size_t at = 0; at < b.size;) {
                uint32_t rune = 0;
                int n = utf8_next(BYTES(b.data + at, b.size - at), &rune);
                bool raw = n > 0 && !is_harmful(rune);

                for (n = n ? n : 1; n > 0; n--, at++) {
                        if (!raw) {
                                p = mempcpy(p, "\\x", 2);
                                *p++ = hex_digits[b.data[at] >> 4];
                                *p++ = hex_digits[b.data[at] & 15];
                                continue;
                        }
                        if (b.data[at] == '\\')
                                *p++ = '\\';
                        *p++ = (char) b.data[at];
                }
        }
        *p = '\0';
        *ret = out;
        return 0;
}
