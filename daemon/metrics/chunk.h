/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_METRICS_CHUNK_H
#define SCITRACE_DAEMON_METRICS_CHUNK_H

/* chunk: an hour of one series in about two bytes a point. Pure.
 * May use: lib.  May not use: anything else in daemon/.
 *
 * A chunk is a header of 16 bytes (little-endian) and a run of bits, most significant first, padded with
 * zeros:
 *   u8 version (1), u8 form (bits 0-3: exponent, bit 7: counter), u8 shift, u8 zero, u32 points,
 *   i64 first time (ms)
 * A value is whole * 2^shift / 10^exponent. A point is its time and its value; the first point has no time
 * here. Of the time stands the change of the step since the last point; of the value the change since the
 * last one, or, in a counter, the change of that change. Both are zigzag coded (0 -1 1 -2 2 ...) in the
 * shortest form that holds them:
 *   time:  0 none | 10 4 bits | 110 9 bits | 1110 20 bits | 1111 64 bits
 *   value: 0 none | 10 6 bits | 110 12 bits | 1110 20 bits | 11110 32 bits | 111110 64 bits
 *          | 111111 64 bits of an IEEE double as it is, for a value that is not whole in this form */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

enum {
        CHUNK_HEADER_SIZE = 16,
        CHUNK_SIZE_MAX = 128 * 1024,    /* an hour of a point a second, all as long as can be, is 65 KiB */
        CHUNK_EXPONENT_MAX = 9,
        CHUNK_SHIFT_MAX = 40,
        CHUNK_E_FULL = 1,               /* the point was not taken */
};

typedef struct ChunkForm {
        uint8_t exponent, shift;
        bool counter;
} ChunkForm;

/** Chunk: being written; all zero is an empty one. data[0..size) is valid after each chunk_add(). */
typedef struct Chunk {
        uint8_t *data;
        size_t size, capacity;
        unsigned free_bits;             /* of the last byte */
        uint32_t points;
        int64_t from, last_time;        /* ms */
        uint64_t step, whole, change;   /* signed; unsigned so that they may wrap */
        ChunkForm form;                 /* of the first point */
} Chunk;

/** chunk_add() - time: µs, cut to ms. form: the same for each point of a chunk.
 *  0, -ENOMEM, or CHUNK_E_FULL; the chunk stays valid. */
int chunk_add(Chunk *c, ChunkForm form, int64_t time, double value);
/** chunk_reset() - empty again; keeps its memory. */
void chunk_reset(Chunk *c);
void chunk_done(Chunk *c);

#endif
