/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "lib/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_format(Bytes in, char *ret) {
        for (size_t i = 0; i < in.size; i += 3) {
                size_t left = in.size - i;
                uint32_t v = (uint32_t) in.data[i] << 16;

                if (left > 1)
                        v |= (uint32_t) in.data[i + 1] << 8;
                if (left > 2)
                        v |= in.data[i + 2];
                *ret++ = alphabet[v >> 18];
                *ret++ = alphabet[v >> 12 & 63];
                *ret++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
                *ret++ = left > 2 ? alphabet[v & 63] : '=';
        }
}

static int digit(char c) {
        const char *p = c ? strchr(alphabet, c) : NULL;

        return p ? (int) (p - alphabet) : -1;
}

int base64_parse(const char *text, size_t size, uint8_t **ret, size_t *ret_size) {
        CLEANUP(freep) uint8_t *out = NULL;
        size_t padding = 0, n = 0;

        if (size % 4 != 0)
                return -EBADMSG;
        while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
                padding++;
        out = malloc(size / 4 * 3 + 1);
        if (!out)
                return -ENOMEM;

        for (size_t i = 0; i < size; i += 4) {
                size_t digits = i + 4 == size ? 4 - padding : 4;
                uint32_t v = 0;

                for (size_t k = 0; k < 4; k++) {
                        int d = k < digits ? digit(text[i + k]) : 0;

                        if (d < 0)
                                return -EBADMSG;
                        v = v << 6 | (uint32_t) d;
                }
                if ((digits == 3 && (v & 0xff)) || (digits == 2 && (v & 0xffff)))
                        return -EBADMSG;
                for (size_t k = 0; k + 1 < digits; k++)
                        out[n++] = (uint8_t) (v >> (16 - 8 * k));
        }
        out[n] = 0;
        *ret = STEAL(out);
        *ret_size = n;
        return 0;
}
