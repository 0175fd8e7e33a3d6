/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_IDENTIFY_SHA256_H
#define SCITRACE_DAEMON_IDENTIFY_SHA256_H

/* sha256: libcrypto's SHA-256 by its older interface, whose state can be kept and taken up again, as that of
 * EVP cannot; the same code of the same speed is behind both. Private to this folder.
 * May use: lib.  May not use: anything else in daemon/. */

#define OPENSSL_API_COMPAT 10100        /* it is deprecated since 3.0, for want of providers */
#include <openssl/sha.h>
#include <stdint.h>

/** sha256_resume() - as if `done` bytes, a multiple of 64, had been taken, after which the state is hash. */
void sha256_resume(SHA256_CTX *ret, const uint32_t hash[8], int64_t done);

#endif
