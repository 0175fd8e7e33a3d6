/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_VARLINK_H
#define SCITRACE_LIB_VARLINK_H

/* varlink: what goes over a Varlink connection (varlink.org): JSON objects, each ended by one NUL byte.
 * The pure half: bytes to messages, messages to envelopes and back; no descriptor. The client that uses it
 * is lib/varlink-client.h.
 * May use: lib, jansson.  May not use: daemon/, ctl/. */

#include <jansson.h>
#include <stdbool.h>

#include "lib/util.h"

enum {
        VARLINK_REQUEST_MAX = 16 * 1024,      /* bytes of one request, its NUL included */
        VARLINK_REPLY_MAX = 16 * 1024 * 1024, /* bytes of one reply that a client takes, its NUL included */
        VARLINK_DEPTH_MAX = 16,               /* levels of objects and arrays in a message */
};

/* Bytes to messages. */

/** VarlinkInput: bytes that have arrived. An all-zero struct with max set is ready. It holds at most max and
 *  4 KiB (64 KiB when max is above VARLINK_REQUEST_MAX), and grows only as far as a message needs. */
typedef struct VarlinkInput {
        size_t max;                     /* of one message, its NUL included */
        char *data;
        size_t start, end;              /* what is not yet taken */
        size_t scanned;                 /* no NUL before this */
        size_t allocated;
} VarlinkInput;

/** varlink_input_room() - makes room for more bytes: *ret and its size > 0. Moves what is there, so messages
 *  taken before end here. 0, -ENOMEM, or -EMSGSIZE: max bytes or more are held already. */
int varlink_input_room(VarlinkInput *in, char **ret, size_t *ret_size);
/** varlink_input_filled() - n bytes were put there. */
void varlink_input_filled(VarlinkInput *in, size_t n);
/** varlink_input_next() - the next whole message, without its NUL, borrowed until _room or _done: 1 and
 *  *ret; 0 when there is none yet; -EMSGSIZE when it is larger than max. */
int varlink_input_next(VarlinkInput *in, Bytes *ret);
/** varlink_input_partial() - a message has begun and has not ended. Only right after _next returned 0. */
bool varlink_input_partial(const VarlinkInput *in);
void varlink_input_done(VarlinkInput *in);

/** varlink_load() - JSON text to an object: at most VARLINK_DEPTH_MAX deep (counted on the bytes, before
 *  anything is made of them), no key twice, no NUL in a string. 0, or -EBADMSG: not such an object. */
int varlink_load(Bytes text, json_t **ret);
/** varlink_dump() - one message: compact, ASCII only, and its NUL, which *ret_size counts. *ret:
 * malloc'd. */
int varlink_dump(const json_t *json, char **ret, size_t *ret_size);

/* Envelopes. */

enum {                                  /* flags of a call */
        VARLINK_MORE = 1 << 0,
        VARLINK_ONEWAY = 1 << 1,
};

typedef struct VarlinkCall {
        json_t *json;                   /* owns what follows */
        const char *method;             /* INTERFACE.Method, as it came */
        json_t *parameters;             /* object; NULL: none were given */
        bool more, oneway;
} VarlinkCall;

/** varlink_call_parse() - 0, or -EBADMSG: not a call (unknown member, wrong type, or `upgrade`, which we
 * lack). */
int varlink_call_parse(Bytes text, VarlinkCall *ret);
void varlink_call_done(VarlinkCall *call);
/** varlink_call_format() - parameters: object or NULL; stays the caller's. *ret: malloc'd, NUL counted. */
int varlink_call_format(const char *method, json_t *parameters, unsigned flags, char **ret,
                        size_t *ret_size);

typedef struct VarlinkReply {
        json_t *json;                   /* owns what follows */
        json_t *parameters;             /* object, never NULL: empty when none were given */
        const char *error;              /* NULL: none; else INTERFACE.Error, and parameters belong to it */
        bool continues;
} VarlinkReply;

/** varlink_reply_parse() - 0, or -EBADMSG: not a reply. parameters is an object even if there was none. */
int varlink_reply_parse(Bytes text, VarlinkReply *ret);
void varlink_reply_done(VarlinkReply *reply);
/** varlink_reply_format() - error: NULL or its full name. parameters: object or NULL; stays the caller's. */
int varlink_reply_format(const char *error, json_t *parameters, bool continues, char **ret,
                         size_t *ret_size);

/* File names in objects: member `key` when they are UTF-8 without NUL, else member `keyBase64`. */

/** varlink_set_bytes() - absent bytes (data NULL) set nothing. 0 or -ENOMEM. */
int varlink_set_bytes(json_t *object, const char *key, Bytes value);
/** varlink_get_bytes() - *ret: malloc'd, a NUL behind the bytes; NULL when neither member is there (or is
 *  null). 0, -ENOMEM, or -EBADMSG: both are there, or one is not a string, or not base64. */
int varlink_get_bytes(const json_t *object, const char *key, uint8_t **ret, size_t *ret_size);

#endif
