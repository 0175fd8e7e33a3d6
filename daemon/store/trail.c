/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/trail.h"

enum { LIST_MAX = TRAIL_WIDTH / 8 - 1 };        /* members that take less as a list than as bits */

static bool has(const TrailSet *set, unsigned i) {
        return set->bits[i / 64] >> (i % 64) & 1;
}

int trail_first(const TrailSet *set, bool down, unsigned from, unsigned to) {
        assert(to < TRAIL_WIDTH);
        for (unsigned n = from; n <= to; n++) {
                unsigned i = down ? to - (n - from) : n;

                if (has(set, i))
                        return (int) i;
                if (!down && i % 64 == 0 && set->bits[i / 64] == 0)
                        n += 63;
                if (down && i % 64 == 63 && set->bits[i / 64] == 0)
                        n += 63;
        }
        return -1;
}

static bool take_number(Bytes *rest, uint64_t *ret) {
        *ret = 0;
        for (unsigned shift = 0; rest->size > 0 && shift < 64; shift += 7) {
                uint8_t byte = rest->data[0];

                *rest = BYTES(rest->data + 1, rest->size - 1);
                *ret |= (uint64_t) (byte & 0x7f) << shift;
                if (byte < 0x80)
                        return true;
        }
        return false;
}

static bool take_set(Bytes *rest, TrailSet *ret) {
        size_t n = rest->size > 0 ? rest->data[0] : 0, size = n > 0 ? n : TRAIL_WIDTH / 8;

        if (rest->size < 1 + size || n > LIST_MAX)
                return false;
        *ret = (TrailSet) { 0 };
        for (size_t i = 0; i < size; i++) {
                uint8_t byte = rest->data[1 + i];

                if (n > 0)
                        ret->bits[byte / 64] |= UINT64_C(1) << (byte % 64);
                else
                        ret->bits[i / 8] |= (uint64_t) byte << (i % 8 * 8);
        }
        *rest = BYTES(rest->data + 1 + size, rest->size - 1 - size);
        return true;
}

int trail_next(TrailIn *in) {
        uint64_t step;

        if (in->rest.size == 0)
                return 0;
        if (!take_number(&in->rest, &step) || step > (uint64_t) (INT64_MAX - in->directory) ||
            !take_set(&in->rest, &in->set))
                return -EBADMSG;
        in->directory += (int64_t) step;
        return 1;
}

void trail_put(TrailOut *out, int64_t directory, const TrailSet *set) {
        uint8_t list[LIST_MAX], *p = out->data + out->size;
        uint64_t step;
        size_t n = 0;

        if (out->size == 0)
                out->first = out->last = directory;
        assert(out->size < TRAIL_ROW && directory >= out->last);
        for (step = (uint64_t) (directory - out->last); step > 0x7f; step >>= 7)
                *p++ = (uint8_t) (step | 0x80);
        *p++ = (uint8_t) step;
        for (unsigned i = 0; i < TRAIL_WIDTH && n <= LIST_MAX; i++) {
                if (i % 64 == 0 && set->bits[i / 64] == 0) {
                        i += 63;
                        continue;
                }
                if (has(set, i) && n++ < LIST_MAX)
                        list[n - 1] = (uint8_t) i;
        }
        *p++ = n <= LIST_MAX ? (uint8_t) n : 0;
        for (size_t i = 0; i < (n <= LIST_MAX ? n : TRAIL_WIDTH / 8); i++)
                *p++ = n <= LIST_MAX ? list[i] : (uint8_t) (set->bits[i / 8] >> (i % 8 * 8));
        out->size = (size_t) (p - out->data);
        out->last = directory;
}
