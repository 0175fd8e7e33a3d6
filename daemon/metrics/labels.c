/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/metrics/labels.h"
#include "lib/utf8.h"

/* The length of what may stand in a value as it is, else 0. */
static size_t plain_length(Bytes value) {
        uint32_t c = 0;
        int n = utf8_next(value, &c);

        if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c == ',' || c == '\\')
                return 0;
        return (size_t) n;
}

int labels_add(char *text, const char *key, Bytes value) {
        size_t start = strlen(text), used;

        assert(key && value.data);
        used = start + (size_t) snprintf(text + start, LABELS_MAX - start, "%s%s=", start ? "," : "", key);
        while (value.size > 0) {
                size_t n = plain_length(value), need = n ? n : strlen("\\xNN");

                if (used + need >= LABELS_MAX)
                        break;
                if (n)
                        memcpy(text + used, value.data, n);
                else
                        (void) snprintf(text + used, LABELS_MAX - used, "\\x%02x", value.data[0]);
                used += need;
                value = BYTES(value.data + (n ? n : 1), value.size - (n ? n : 1));
        }
        if (value.size > 0 || used >= LABELS_MAX) {
                text[start] = '\0';
                return -ENAMETOOLONG;
        }
        text[used] = '\0';
        return 0;
}
