/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "lib/text.h"
#include "lib/time.h"
#include "lib/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/unescape.h"

/* Any bytes: escaped they are harmless, and find their way back. Any text: a moment, or none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        CLEANUP(freep) char *escaped = NULL, *text = NULL;
        int64_t moment = 0;

        if (text_escape(BYTES(data, size), &escaped) < 0 || !utf8_valid(BYTES_STR(escaped)))
                abort();
        for (const char *p = escaped; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        abort();
        if (unescape(escaped) != (long) size || (size > 0 && memcmp(escaped, data, size) != 0))
                abort();
        text = strndup((const char *) data, size);
        if (text)
                (void) time_parse(text, INT64_C(1795529045000000), &moment);
        return 0;
}
