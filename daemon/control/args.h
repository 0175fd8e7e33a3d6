/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_ARGS_H
#define SCITRACE_DAEMON_CONTROL_ARGS_H

/* args: parameters of a call as C values. Their names and types have been checked against the interface
 * before. Absent and null are the same.
 * May use: lib, daemon/control/call.h.  May not use: anything else in daemon/. */

#include "daemon/control/call.h"

const char *args_string(const json_t *object, const char *key);         /* NULL: absent */
bool args_bool(const json_t *object, const char *key);                  /* false: absent */

/** args_number() - an integer of at least `least` into *ret; absent: 0. false: too small, and the call is
 *  answered with InvalidParameter. */
bool args_number(Call *c, const char *key, int64_t least, int64_t *ret);

/** args_path() - members `path` or `pathBase64` of an object as an absolute path without "//" and a final
 *  "/"; malloc'd, with a NUL behind. parameter: to blame. false: absent, both, relative, or with a "." or
 *  ".." in it; the call is answered. */
bool args_path(Call *c, const json_t *object, const char *parameter, uint8_t **ret, size_t *ret_size);

/** args_words() - an array of words as bits 1 << number; absent: 0. from_word: 0 for an unknown word, which
 *  answers the call. */
bool args_words(Call *c, const char *key, int (*from_word)(const char *word), uint32_t *ret);

#endif
