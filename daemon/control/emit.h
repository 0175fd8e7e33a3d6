/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_EMIT_H
#define SCITRACE_DAEMON_CONTROL_EMIT_H

/* emit: JSON text, appended to a buffer: for replies of which there may be millions. ASCII only. Pure.
 * The caller writes the braces; members put their own commas (one stands before a member unless "{" does).
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>

#include "lib/util.h"

/** Emit: an all-zero struct is ready. failed: memory ran out, and what is there is not complete. */
typedef struct Emit {
        char *data;
        size_t size, allocated;
        bool failed;
} Emit;

void emit_done(Emit *e);
/** emit_raw() - these bytes as they are. */
void emit_raw(Emit *e, const char *text, size_t size);
#define EMIT(e, literal) emit_raw((e), "" literal, sizeof(literal) - 1)

/* Members of an object. key is written as it is: a literal of letters. */
void emit_key(Emit *e, const char *key);
/** emit_int(), emit_bool() - a member with that value. */
void emit_int(Emit *e, const char *key, int64_t value);
void emit_bool(Emit *e, const char *key, bool value);
/** emit_float() - the shortest digits that read back as the same number; one that is not finite: null. */
void emit_float(Emit *e, const char *key, double value);
/** emit_word() - text that is known to be UTF-8; NULL: no member. */
void emit_word(Emit *e, const char *key, const char *value);
/** emit_bytes() - as `key` when it is UTF-8 without NUL, else as `keyBase64`; absent: no member. */
void emit_bytes(Emit *e, const char *key, Bytes value);
/** emit_string() - a string, with its quotes; bytes that are not UTF-8 become U+FFFD. */
void emit_string(Emit *e, Bytes value);

#endif
