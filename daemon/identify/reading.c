/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>

#include "daemon/identify/identify.h"
#include "daemon/identify/sha256.h"

/* A reading as bytes; the check is the beginning of the SHA-256 of what is before it. */

enum { FORM = 1, CHECK_SIZE = 15, CHECKED = IDENTIFY_READING_SIZE - CHECK_SIZE };

typedef struct __attribute__((packed)) Saved {
        uint8_t form, drop;
        uint64_t inode;
        int64_t btime, size, mtime, ctime, began, done;
        uint32_t hash[8];
        uint8_t check[CHECK_SIZE];
} Saved;
_Static_assert(sizeof(Saved) == IDENTIFY_READING_SIZE, "the form is fixed");

void sha256_resume(SHA256_CTX *ret, const uint32_t hash[8], int64_t done) {
        SHA256_Init(ret);
        for (int i = 0; i < 8; i++)
                ret->h[i] = hash[i];
        ret->Nl = (SHA_LONG) ((uint64_t) done << 3);    /* bits, in two words */
        ret->Nh = (SHA_LONG) ((uint64_t) done >> 29);
}

static void check_of(const Saved *s, uint8_t ret[SHA256_DIGEST_LENGTH]) {
        SHA256_CTX context;

        SHA256_Init(&context);
        SHA256_Update(&context, s, CHECKED);
        SHA256_Final(ret, &context);
}

void identify_reading_save(const IdentifyReading *r, uint8_t ret[IDENTIFY_READING_SIZE]) {
        uint8_t check[SHA256_DIGEST_LENGTH];
        Saved s = { .form = FORM, .drop = r->drop, .inode = r->before.inode, .btime = r->before.btime,
                    .size = r->before.size, .mtime = r->before.mtime, .ctime = r->before.ctime,
                    .began = r->began, .done = r->done };

        assert(r->begun && r->done % SHA256_CBLOCK == 0);
        memcpy(s.hash, r->hash, sizeof(s.hash));
        check_of(&s, check);
        memcpy(s.check, check, sizeof(s.check));
        memcpy(ret, &s, sizeof(s));
}

bool identify_reading_load(Bytes saved, IdentifyReading *ret) {
        uint8_t check[SHA256_DIGEST_LENGTH];
        Saved s;

        if (saved.size != sizeof(s))
                return false;
        memcpy(&s, saved.data, sizeof(s));
        check_of(&s, check);
        if (s.form != FORM || memcmp(s.check, check, sizeof(s.check)) != 0 || s.done < 0 ||
            s.done > s.size || s.done % SHA256_CBLOCK != 0)
                return false;
        *ret = (IdentifyReading) {
                .begun = true,
                .drop = s.drop,
                .before = { .inode = s.inode, .btime = s.btime, .size = s.size, .mtime = s.mtime,
                            .ctime = s.ctime },
                .began = s.began,
                .done = s.done,
        };
        memcpy(ret->hash, s.hash, sizeof(ret->hash));
        return true;
}
