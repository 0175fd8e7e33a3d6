/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "lib/feed.h"

enum {
        HEADER = 4,                     /* type and body length */
        ABSENT = 0xFFFF,                /* the length of a run of bytes that is not there */
};

static_assert(HEADER + FEED_BODY_MAX <= FEED_FRAME_MAX, "each message fits into an empty frame");
static_assert((int) FEED_BODY_MAX < (int) ABSENT, "the length of a run in a body never reads as absent");

typedef enum Kind { KIND_U8, KIND_U16, KIND_U32, KIND_U64, KIND_I64, KIND_BYTES } Kind;

/* Bytes of a field in a body; of a run, those of its length. */
static const uint8_t widths[] = { [KIND_U8] = 1,  [KIND_U16] = 2, [KIND_U32] = 4,
                                  [KIND_U64] = 8, [KIND_I64] = 8, [KIND_BYTES] = 2 };

typedef struct Field {
        uint16_t offset;                /* in the message's struct */
        uint8_t kind;
} Field;

typedef struct Shape {
        const Field *fields;
        size_t count;
} Shape;

static const Shape *shape_of(unsigned type) {
        switch (type) {
#define F(kind, field) { offsetof(This, field), KIND_##kind },
#define M(name, number, direction, ...)                                                \
        case number: {                                                                 \
                typedef Feed_##name This;                                              \
                static const Field fields[] = { __VA_ARGS__ };                         \
                static const Shape shape = { fields, ELEMENTS(fields) };               \
                return &shape;                                                         \
        }
                FEED_TABLE(M)
#undef M
#undef F
        default:
                return NULL;
        }
}

/* The members of the union all begin where the union does. */
static void *struct_of(FeedMessage *m) {
        return &m->HELLO;
}

static uint16_t u16_get(const uint8_t *in) {
        return (uint16_t) (in[0] | in[1] << 8);
}

static void u16_put(uint8_t *out, size_t value) {
        out[0] = (uint8_t) value;
        out[1] = (uint8_t) (value >> 8);
}

/* Between the wire, which is little-endian, and a member of that width, either way. */
static void number_copy(uint8_t *to, const uint8_t *from, size_t width) {
        for (size_t i = 0; i < width; i++)
                to[i] = from[__BYTE_ORDER == __LITTLE_ENDIAN ? i : width - 1 - i];
}

static size_t body_size(const Shape *shape, const uint8_t *members) {
        size_t size = 0;

        for (size_t i = 0; i < shape->count; i++) {
                const Field *f = &shape->fields[i];

                size += widths[f->kind];
                if (f->kind == KIND_BYTES) {
                        const Bytes *run = (const void *) (members + f->offset);

                        if (run->data && run->size > FEED_BODY_MAX)
                                return SIZE_MAX;
                        size += run->data ? run->size : 0;
                }
        }
        return size;
}

static uint8_t *run_put(uint8_t *out, const Bytes *run) {
        u16_put(out, run->data ? run->size : ABSENT);
        out += 2;
        if (run->data && run->size > 0) {
                memcpy(out, run->data, run->size);
                out += run->size;
        }
        return out;
}

int feed_add(uint8_t *frame, size_t *size, const FeedMessage *message) {
        const Shape *shape;
        const uint8_t *members;
        uint8_t *out;
        size_t body;

        assert(frame && size && message && *size <= FEED_FRAME_MAX);
        shape = shape_of(message->type);
        if (!shape)
                return -EINVAL;
        members = struct_of((FeedMessage *) message);
        body = body_size(shape, members);
        if (body > FEED_BODY_MAX)
                return -EMSGSIZE;
        if (FEED_FRAME_MAX - *size < HEADER + body)
                return FEED_E_FULL;

        out = frame + *size;
        u16_put(out, message->type);
        u16_put(out + 2, body);
        out += HEADER;
        for (size_t i = 0; i < shape->count; i++) {
                const Field *f = &shape->fields[i];
                size_t width = widths[f->kind];

                if (f->kind == KIND_BYTES) {
                        out = run_put(out, (const void *) (members + f->offset));
                } else {
                        number_copy(out, members + f->offset, width);
                        out += width;
                }
        }
        *size = (size_t) (out - frame);
        return 0;
}

/* Takes a run from the front of what is left of the body. */
static int run_get(Bytes *left, Bytes *ret) {
        size_t size = u16_get(left->data);

        *left = BYTES(left->data + 2, left->size - 2);
        if (size == ABSENT) {
                *ret = BYTES_NONE;
                return 0;
        }
        if (size > left->size)
                return -EBADMSG;
        *ret = BYTES(left->data, size);
        *left = BYTES(left->data + size, left->size - size);
        return 0;
}

static int body_get(const Shape *shape, Bytes body, uint8_t *members) {
        for (size_t i = 0; i < shape->count; i++) {
                const Field *f = &shape->fields[i];
                size_t width = widths[f->kind];

                if (body.size < width)
                        return -EBADMSG;
                if (f->kind == KIND_BYTES) {
                        if (run_get(&body, (void *) (members + f->offset)) < 0)
                                return -EBADMSG;
                } else {
                        number_copy(members + f->offset, body.data, width);
                        body = BYTES(body.data + width, body.size - width);
                }
        }
        return body.size == 0 ? 0 : -EBADMSG;
}

int feed_next(Bytes frame, size_t *offset, FeedMessage *ret) {
        FeedMessage message = { 0 };
        const Shape *shape;
        const uint8_t *in;
        size_t body;

        assert((frame.data || frame.size == 0) && offset && ret && *offset <= frame.size);
        if (*offset == frame.size)
                return 0;
        if (frame.size - *offset < HEADER)
                return -EBADMSG;

        in = frame.data + *offset;
        message.type = (FeedType) u16_get(in);
        body = u16_get(in + 2);
        shape = shape_of(message.type);
        if (!shape || body > FEED_BODY_MAX || body > frame.size - *offset - HEADER)
                return -EBADMSG;
        if (body_get(shape, BYTES(in + HEADER, body), struct_of(&message)) < 0)
                return -EBADMSG;

        *offset += HEADER + body;
        *ret = message;
        return 1;
}
