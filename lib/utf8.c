/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/utf8.h"

int utf8_next(Bytes s, uint32_t *ret) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;
        int size;

        if (s.size == 0)
                return 0;
        c = s.data[0];
        if (c < 0x80) {
                *ret = c;
                return 1;
        }
        size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        if (c < 0xc0 || c > 0xf7 || s.size < (size_t) size)
                return 0;

        c &= 0x7f >> size;
        for (int i = 1; i < size; i++) {
                if ((s.data[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s.data[i] & 0x3f);
        }
        if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return size;
}

bool utf8_valid(Bytes s) {
        while (s.size > 0) {
                uint32_t c = 0;
                int size = utf8_next(s, &c);

                if (size == 0 || c == 0)
                        return false;
                s = BYTES(s.data + size, s.size - (size_t) size);
        }
        return true;
}
