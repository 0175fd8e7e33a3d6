/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open-store DIR: opens the store in DIR, which brings one of an older form to ours, seals it, and closes it. */
#include <stdio.h>

#include "daemon/store/store.h"

int main(int argc, char **argv) {
        static const uint8_t boot[EVENT_ID_SIZE] = { 1 };
        Store *s = NULL;
        StoreSeal seal;
        int r = argc == 2 ? store_open(argv[1], &s) : -1;

        if (r == 0)
                r = store_begin(s, 1800000000 * (int64_t) USEC_PER_SEC, 1, boot);
        if (r == 0)
                r = store_seal(s, &seal);
        if (r == 0)
                r = store_commit(s);
        if (r != 0) {
                fprintf(stderr, "open-store: %d\n", r);
                return 1;
        }
        printf("%d %d\n", (int) store_migrated_from(s), (int) seal.size);
        store_seal_done(&seal);
        store_close(s);
        return 0;
}
