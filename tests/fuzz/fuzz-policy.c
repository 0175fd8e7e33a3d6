/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

static void ignore_warning(void *userdata, const char *file, int line, const char *message) {
        if (line < 1 || !*message)
                abort();
}

/* Any file: what is in force afterwards is within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        CLEANUP(freep) char *text = strndup((const char *) data, size);
        CLEANUP(policy_freep) Policy *p = NULL;
        size_t bytes = 0;

        if (!text || policy_new(&p) < 0)
                return 0;
        if (policy_parse(p, "f", text, ignore_warning, NULL) < 0 || p->settle_usec < 10000 ||
            p->sample_usec < 1000000)
                abort();
        for (size_t i = 0; i < p->n_ignore; i++)
                bytes += strlen(p->ignore[i]) + 1;
        if (bytes > POLICY_IGNORE_MAX)
                abort();
        return 0;
}
