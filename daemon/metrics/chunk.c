/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <math.h>

#include "daemon/metrics/chunk.h"
#include "daemon/metrics/metrics.h"

#define VERSION 1
#define COUNTER_BIT 0x80
#define POINT_MAX 18                    /* bytes: 4 + 64 bits of time, 6 + 64 of value, rounded up */

/* A prefix of n ones (and a zero, but for the last class) says how many bits follow. */
typedef struct Classes {
        unsigned n;
        uint8_t bits[7];
} Classes;

static const Classes time_classes = { 5, { 0, 4, 9, 20, 64 } };
static const Classes value_classes = { 7, { 0, 6, 12, 20, 32, 64, 64 } };
#define CLASS_DOUBLE 6

static const double powers[CHUNK_EXPONENT_MAX + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };

static double value_of(int64_t whole, ChunkForm form) {
        return ldexp((double) whole, form.shift) / powers[form.exponent];
}

/* 1 and *ret, or 0: the value is not whole in this form. */
static int whole_of(double value, ChunkForm form, uint64_t *ret) {
        double x = ldexp(value * powers[form.exponent], -form.shift);
        int64_t whole;

        if (!(fabs(x) < 9e15))          /* above, not each whole number is a double; and not a number */
                return 0;
        whole = llrint(x);
        if (value_of(whole, form) != value)
                return 0;
        *ret = (uint64_t) whole;
        return 1;
}

static uint64_t zigzag(uint64_t x) {
        return x << 1 ^ (x >> 63 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t x) {
        return x >> 1 ^ (x & 1 ? UINT64_MAX : 0);
}

/* The room is there (reserve()). */
static void put_bits(Chunk *c, uint64_t value, unsigned n) {
        while (n > 0) {
                unsigned now;

                if (c->free_bits == 0) {
                        c->data[c->size++] = 0;
                        c->free_bits = 8;
                }
                now = MIN_OF(n, c->free_bits);
                c->data[c->size - 1] |=
                        (uint8_t) ((value >> (n - now) & ((1u << now) - 1)) << (c->free_bits - now));
                c->free_bits -= now;
                n -= now;
        }
}

static void put_class(Chunk *c, const Classes *classes, unsigned class, uint64_t value) {
        unsigned last = class == classes->n - 1;

        put_bits(c, last ? (1u << class) - 1 : ((1u << class) - 1) << 1, last ? class : class + 1);
        put_bits(c, value, classes->bits[class]);
}

static void put_change(Chunk *c, const Classes *classes, uint64_t change) {
        uint64_t value = zigzag(change);
        unsigned class = 0;

        while (classes->bits[class] < 64 && value >> classes->bits[class])
                class++;
        put_class(c, classes, class, value);
}

static int reserve(Chunk *c) {
        size_t capacity = c->capacity ? 2 * c->capacity : 256;
        uint8_t *grown;

        if (c->size + POINT_MAX <= c->capacity)
                return 0;
        if (capacity > CHUNK_SIZE_MAX)
                return CHUNK_E_FULL;
        grown = realloc(c->data, capacity);
        if (!grown)
                return -ENOMEM;
        c->data = grown;
        c->capacity = capacity;
        return 0;
}

static void begin(Chunk *c, ChunkForm form, int64_t time) {
        int64_t first = (int64_t) htole64((uint64_t) time);

        memset(c->data, 0, CHUNK_HEADER_SIZE);
        c->data[0] = VERSION;
        c->data[1] = (uint8_t) (form.exponent | (form.counter ? COUNTER_BIT : 0));
        c->data[2] = form.shift;
        memcpy(c->data + 8, &first, sizeof(first));
        c->size = CHUNK_HEADER_SIZE;
        c->form = form;
        c->from = c->last_time = time;
}

static void put_value(Chunk *c, double value) {
        uint64_t whole = 0, change, bits;

        if (!whole_of(value, c->form, &whole)) {
                memcpy(&bits, &value, sizeof(bits));
                put_class(c, &value_classes, CLASS_DOUBLE, bits);
                return;
        }
        change = whole - c->whole;
        put_change(c, &value_classes, c->form.counter ? change - c->change : change);
        c->change = c->points > 0 ? change : 0;         /* the first change is a whole value, and no pace */
        c->whole = whole;
}

int chunk_add(Chunk *c, ChunkForm form, int64_t time, double value) {
        uint32_t points;
        uint64_t step;
        int r;

        assert(c && form.exponent <= CHUNK_EXPONENT_MAX && form.shift <= CHUNK_SHIFT_MAX);
        r = reserve(c);
        if (r != 0)
                return r;

        time /= (int64_t) USEC_PER_MSEC;
        if (c->points == 0) {
                begin(c, form, time);
        } else {
                step = (uint64_t) time - (uint64_t) c->last_time;
                put_change(c, &time_classes, step - c->step);
                c->step = step;
                c->last_time = time;
        }
        put_value(c, value);
        points = htole32(++c->points);
        memcpy(c->data + 4, &points, sizeof(points));
        return 0;
}

void chunk_reset(Chunk *c) {
        *c = (Chunk) { .data = c->data, .capacity = c->capacity };
}

void chunk_done(Chunk *c) {
        free(c->data);
        *c = (Chunk) { 0 };
}

typedef struct Reader {
        Bytes data;
        size_t at;                      /* bits */
} Reader;

/* n bits, or -EBADMSG when they are not there. */
static int get_bits(Reader *r, unsigned n, uint64_t *ret) {
        uint64_t value = 0;

        if (n > r->data.size * 8 - r->at)
                return -EBADMSG;
        while (n > 0) {
                unsigned rest = 8 - (unsigned) (r->at % 8), now = MIN_OF(n, rest);

                value = value << now | (r->data.data[r->at / 8] >> (rest - now) & ((1u << now) - 1));
                r->at += now;
                n -= now;
        }
        *ret = value;
        return 0;
}

static int get_class(Reader *r, const Classes *classes, unsigned *ret_class, uint64_t *ret) {
        unsigned class = 0;
        uint64_t bit = 0;

        while (class < classes->n - 1) {
                int e = get_bits(r, 1, &bit);

                if (e < 0)
                        return e;
                if (bit == 0)
                        break;
                class++;
        }
        *ret_class = class;
        return get_bits(r, classes->bits[class], ret);
}

typedef struct Decode {
        Reader reader;
        ChunkForm form;
        uint32_t points, done;
        uint64_t time, step, whole, change;
} Decode;

static int decode_header(Decode *d, Bytes data) {
        uint32_t points;
        uint64_t first;

        if (data.size < CHUNK_HEADER_SIZE || data.data[0] != VERSION || data.data[3] != 0)
                return -EBADMSG;
        d->form = (ChunkForm) { data.data[1] & 0x0f, data.data[2], data.data[1] & COUNTER_BIT };
        if ((data.data[1] & 0x70) || d->form.exponent > CHUNK_EXPONENT_MAX ||
            d->form.shift > CHUNK_SHIFT_MAX)
                return -EBADMSG;
        memcpy(&points, data.data + 4, sizeof(points));
        memcpy(&first, data.data + 8, sizeof(first));
        d->points = le32toh(points);
        d->time = le64toh(first);
        d->reader.data = BYTES(data.data + CHUNK_HEADER_SIZE, data.size - CHUNK_HEADER_SIZE);
        return 0;
}

static int decode_point(Decode *d, double *ret) {
        unsigned class = 0;
        uint64_t bits = 0;
        int r;

        if (d->done > 0) {
                r = get_class(&d->reader, &time_classes, &class, &bits);
                if (r < 0)
                        return r;
                d->step += unzigzag(bits);
                d->time += d->step;
        }
        r = get_class(&d->reader, &value_classes, &class, &bits);
        if (r < 0)
                return r;
        if (class == CLASS_DOUBLE) {
                memcpy(ret, &bits, sizeof(*ret));
                return 0;
        }
        bits = unzigzag(bits);
        if (d->form.counter)
                bits += d->change;
        d->whole += bits;
        d->change = d->done > 0 ? bits : 0;
        *ret = value_of((int64_t) d->whole, d->form);
        return 0;
}

int metrics_decode(Bytes data, MetricsDecodeFn fn, void *userdata) {
        Decode d = { 0 };
        int r;

        assert(fn);
        r = decode_header(&d, data);
        if (r < 0)
                return r;
        for (; d.done < d.points; d.done++) {
                double value = 0;
                int64_t time;

                r = decode_point(&d, &value);
                if (r < 0)
                        return r;
                if (__builtin_mul_overflow((int64_t) d.time, (int64_t) USEC_PER_MSEC, &time))
                        return -EBADMSG;
                r = fn(userdata, time, value);
                if (r != 0)
                        return r;
        }
        /* Nothing may stand behind the last point but the zeros that fill its byte. */
        if (d.reader.data.size * 8 - d.reader.at >= 8)
                return -EBADMSG;
        return 0;
}
