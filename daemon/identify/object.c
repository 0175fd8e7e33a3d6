/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <sys/stat.h>

#include "daemon/identify/identify.h"
#include "lib/annex.h"

/* With annex.thin an object is also the unlocked file that people write to, so one that could be written to
 * is read like any other. */
bool identify_object(const char *dir_path, const char *name, const IdentifyState *state,
                     uint8_t ret_digest[32]) {
        CLEANUP(freep) char *path = NULL;
        uint8_t digest[ANNEX_DIGEST_SIZE];
        int64_t size;

        assert(dir_path && name && state && ret_digest);
        if (!S_ISREG(state->mode) || state->mode & 0222 || state->nlink != 1 ||
            !annex_key_digest(BYTES_STR(name), &size, digest) || size != state->size)
                return false;
        if (asprintf(&path, "%s/%s", dir_path, name) < 0 || !annex_key_of_object(BYTES_STR(path)).data)
                return false;
        memcpy(ret_digest, digest, sizeof(digest));
        return true;
}
