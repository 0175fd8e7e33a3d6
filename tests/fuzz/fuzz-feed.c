/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "lib/feed.h"
#include "tests/fuzz/fuzz.h"

/* Any frame: what is taken encodes to the bytes that were read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t again[FEED_FRAME_MAX];
        size_t offset = 0, before = 0, written;
        FeedMessage m;

        while (feed_next(BYTES(data, size), &offset, &m) == 1) {
                written = 0;
                if (feed_add(again, &written, &m) != 0 || written != offset - before ||
                    memcmp(again, data + before, written) != 0)
                        abort();
                before = offset;
        }
        return 0;
}
