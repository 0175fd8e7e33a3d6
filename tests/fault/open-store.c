/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open-store DIR [DAYS]: opens the store in DIR, which brings one of an older form to ours, seals it, and closes it.
 * DAYS: so many days later, after one more event. Prints the form that it had, what is sealed, and whether its key was
 * lost. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/store/store.h"

int main(int argc, char **argv) {
        static const uint8_t boot[EVENT_ID_SIZE] = { 1 };
        int64_t days = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
        int64_t passed = days * 24 * 3600 * (int64_t) USEC_PER_SEC;
        int64_t now = 1800000000 * (int64_t) USEC_PER_SEC + passed;
        Event e = { .kind = KIND_CLOCK_STEP, .origin = ORIGIN_LIVE, .first = now, .last = now };
        Store *s = NULL;
        StoreSeal seal = { 0 };
        int r = argc > 1 ? store_open(argv[1], &s) : -1;

        if (r == 0)
                r = store_begin(s, now, 1 + passed, boot);
        if (r == 0 && days > 0)
                r = store_append(s, &e, NULL);
        if (r == 0)
                r = store_seal(s, &seal);
        if (r == 0)
                r = store_commit(s);
        if (r != 0) {
                fprintf(stderr, "open-store: %d\n", r);
                return 1;
        }
        printf("%d %d %d\n", (int) store_migrated_from(s), (int) seal.size, seal.key_lost);
        store_seal_done(&seal);
        store_close(s);
        return 0;
}
