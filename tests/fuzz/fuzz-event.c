/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "daemon/store/event.h"
#include "tests/fuzz/fuzz.h"

/* Any bytes: an event that is read has these bytes and no others. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t *again = NULL;
        size_t again_size;
        Event e;

        if (event_parse(BYTES(data, size), &e) != 0)
                return 0;
        if (event_format(&e, &again, &again_size) != 0 || again_size != size || memcmp(again, data, size) != 0)
                abort();
        free(again);
        return 0;
}
