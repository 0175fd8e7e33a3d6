/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "daemon/metrics/chunk.h"
#include "daemon/metrics/metrics.h"
#include "tests/fuzz/fuzz.h"

typedef struct Again {
        Chunk chunk;
        ChunkForm form;
        double values[4096];
        int n, seen;
} Again;

static int encode(void *userdata, int64_t time, double value) {
        Again *a = userdata;

        if (a->n == ELEMENTS(a->values) || chunk_add(&a->chunk, a->form, time, value) != 0)
                return 1;
        a->values[a->n++] = value;
        return 0;
}

static int compare(void *userdata, int64_t time, double value) {
        Again *a = userdata;

        if (a->seen >= a->n || (a->values[a->seen] != value && value == value))
                abort();
        a->seen++;
        return 0;
}

/* Any chunk: what is decoded, encoded and decoded again is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static Again a;

        a = (Again) { 0 };
        if (size > 2)
                a.form = (ChunkForm) { data[1] % (CHUNK_EXPONENT_MAX + 1), data[2] % (CHUNK_SHIFT_MAX + 1),
                                      data[1] >> 7 };
        if (metrics_decode(BYTES(data, size), encode, &a) == 0 && a.n > 0) {
                if (metrics_decode(BYTES(a.chunk.data, a.chunk.size), compare, &a) != 0 || a.seen != a.n)
                        abort();
        }
        chunk_done(&a.chunk);
        return 0;
}
