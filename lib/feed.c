/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>

#include "lib/feed.h"

enum {
        HEADER = 4,                     /* type and body length */
        ABSENT = 0xFFFF,                /* the length of a run of bytes that is not there */
};

static_assert(HEADER + FEED_BODY_MAX <= FEED_FRAME_MAX, "each message fits into an empty frame");
static_assert((int) FEED_BODY_MAX < (int) ABSENT, "the length of a run in a body never reads as absent");

/* Numbers of each width: put_U8(out, value) returns what is behind it; get_U8(in, &value) takes it from the
 * front of what is left, if that is enough. */
#define NUMBER(kind, type, to_wire, from_wire)                                         \
        static inline size_t size_##kind(type value) {                                 \
                return sizeof(value);                                                  \
        }                                                                              \
        static inline uint8_t *put_##kind(uint8_t *out, type value) {                  \
                value = (type) to_wire(value);                                         \
                memcpy(out, &value, sizeof(value));                                    \
                return out + sizeof(value);                                            \
        }                                                                              \
        static inline bool get_##kind(Bytes *in, type *ret) {                          \
                type value;                                                            \
                                                                                       \
                if (in->size < sizeof(value))                                          \
                        return false;                                                  \
                memcpy(&value, in->data, sizeof(value));                               \
                *ret = (type) from_wire(value);                                        \
                *in = BYTES(in->data + sizeof(value), in->size - sizeof(value));       \
                return true;                                                           \
        }
NUMBER(U8, uint8_t, , )
NUMBER(U16, uint16_t, htole16, le16toh)
NUMBER(U32, uint32_t, htole32, le32toh)
NUMBER(U64, uint64_t, htole64, le64toh)
NUMBER(I64, int64_t, htole64, le64toh)
#undef NUMBER

/* One that fits in no body makes the sum too large, whatever it is. */
static inline size_t size_BYTES(Bytes run) {
        return 2 + (run.data ? MIN_OF(run.size, (size_t) FEED_BODY_MAX + 1) : 0);
}

static inline uint8_t *put_BYTES(uint8_t *out, Bytes run) {
        out = put_U16(out, (uint16_t) (run.data ? run.size : ABSENT));
        if (run.data && run.size > 0) {
                memcpy(out, run.data, run.size);
                out += run.size;
        }
        return out;
}

static inline bool get_BYTES(Bytes *in, Bytes *ret) {
        uint16_t size;

        if (!get_U16(in, &size))
                return false;
        if (size == ABSENT) {
                *ret = BYTES_NONE;
                return true;
        }
        if (size > in->size)
                return false;
        *ret = BYTES(in->data, size);
        *in = BYTES(in->data + size, in->size - size);
        return true;
}

/* Written by the table: a case for each message, and in it a line for each field. */

/* Of a body; SIZE_MAX: there is no such message. */
static size_t body_size(const FeedMessage *m) {
        switch (m->type) {
#define F(kind, field) +size_##kind(body->field)
#define M(name, number, direction, ...)              \
        case number: {                               \
                const Feed_##name *body = &m->name;  \
                return 0 __VA_ARGS__;                \
        }
                FEED_TABLE(M)
#undef M
#undef F
        default:
                return SIZE_MAX;
        }
}

static void body_put(uint8_t *out, const FeedMessage *m) {
        switch (m->type) {
#define F(kind, field) out = put_##kind(out, body->field);
#define M(name, number, direction, ...)              \
        case number: {                               \
                const Feed_##name *body = &m->name;  \
                __VA_ARGS__                          \
                break;                               \
        }
                FEED_TABLE(M)
#undef M
#undef F
        }
}

/* Whether it is one, and all of it. */
static bool body_get(Bytes in, FeedMessage *m) {
        switch (m->type) {
#define F(kind, field) &&get_##kind(&in, &body->field)
#define M(name, number, direction, ...)              \
        case number: {                               \
                Feed_##name *body = &m->name;        \
                return true __VA_ARGS__ && in.size == 0; \
        }
                FEED_TABLE(M)
#undef M
#undef F
        default:
                return false;
        }
}

int feed_add(uint8_t *frame, size_t *size, const FeedMessage *message) {
        uint8_t *out;
        size_t body;

        assert(frame && size && message && *size <= FEED_FRAME_MAX);
        body = body_size(message);
        if (body == SIZE_MAX)
                return -EINVAL;
        if (body > FEED_BODY_MAX)
                return -EMSGSIZE;
        if (FEED_FRAME_MAX - *size < HEADER + body)
                return FEED_E_FULL;
        out = put_U16(frame + *size, (uint16_t) message->type);
        body_put(put_U16(out, (uint16_t) body), message);
        *size += HEADER + body;
        return 0;
}

int feed_next(Bytes frame, size_t *offset, FeedMessage *ret) {
        FeedMessage message = { 0 };
        uint16_t type, size;
        Bytes in;

        assert((frame.data || frame.size == 0) && offset && ret && *offset <= frame.size);
        if (*offset == frame.size)
                return 0;
        in = BYTES(frame.data + *offset, frame.size - *offset);
        if (!get_U16(&in, &type) || !get_U16(&in, &size) || size > FEED_BODY_MAX || size > in.size)
                return -EBADMSG;
        message.type = (FeedType) type;
        if (!body_get(BYTES(in.data, size), &message))
                return -EBADMSG;
        *offset += HEADER + size;
        *ret = message;
        return 1;
}
