/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_ANNEX_H
#define SCITRACE_LIB_ANNEX_H

/* annex: the keys of git-annex, as they stand in names: KEY =
 * BACKEND[-sSIZE][-mMTIME][-SCHUNK-CNUMBER]--NAME, in a file name with '/' as '%', and '%', '&', ':' as
 * "&s", "&a", "&c". Pure: text in, a decision out.
 * May use: lib/util.h.  May not use: anything else of ours. */

#include <stdbool.h>

#include "lib/util.h"

enum {
        ANNEX_KEY_MAX = 255,            /* bytes: it is a file's name */
        ANNEX_POINTER_MAX = 32768,      /* bytes: git-annex takes no larger file for a pointer */
        ANNEX_DIGEST_SIZE = 32,
};

/** annex_key_valid() - whether a file name is a key. */
bool annex_key_valid(Bytes name);
/** annex_key_digest() - the SHA-256 and the size that a key of the backends SHA256 and SHA256E names (the
 *  whole content, not a chunk of it). False: it names none. */
bool annex_key_digest(Bytes name, int64_t *ret_size, uint8_t ret_digest[ANNEX_DIGEST_SIZE]);
/** annex_key_plain() - the key as git-annex prints it, without the file name's escapes: never longer.
 *  Returns its length. */
size_t annex_key_plain(Bytes name, uint8_t ret[ANNEX_KEY_MAX]);

/* Where a key is found; each returns a part of its argument, or BYTES_NONE. */

/** annex_key_of_target() - of a symbolic link (a locked file): .../annex/objects/XX/YY/KEY/KEY. */
Bytes annex_key_of_target(Bytes target);
/** annex_key_of_object() - of the path of an object, relative or absolute: the same, within a .git. */
Bytes annex_key_of_object(Bytes path);
/** annex_key_of_pointer() - of what an unlocked file holds while its content is not there:
 *  /annex/objects/KEY and the end of the line. */
Bytes annex_key_of_pointer(Bytes content);

#endif
