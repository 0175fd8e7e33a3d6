/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/intake/map.h"

static size_t home(const Map *m, uint64_t key) {
        key ^= key >> 33;
        key *= UINT64_C(0xff51afd7ed558ccd);
        key ^= key >> 33;
        return key & (m->allocated - 1);
}

void map_done(Map *m) {
        free(m->slots);
        *m = (Map) { 0 };
}

void map_clear(Map *m) {
        if (m->allocated > 1024) {
                map_done(m);
                return;
        }
        if (m->slots)
                memset(m->slots, 0, m->allocated * sizeof(*m->slots));
        m->count = 0;
}

static int grow(Map *m) {
        Map larger = { .allocated = m->allocated ? m->allocated * 2 : 64 };

        larger.slots = calloc(larger.allocated, sizeof(*larger.slots));
        if (!larger.slots)
                return -ENOMEM;
        for (size_t i = 0; i < m->allocated; i++)
                if (m->slots[i].key != 0)
                        (void) map_put(&larger, m->slots[i].key, m->slots[i].value);    /* has room */
        free(m->slots);
        *m = larger;
        return 0;
}

int map_put(Map *m, uint64_t key, uint64_t value) {
        size_t i;

        assert(m && key != 0);
        if (m->count * 4 >= m->allocated * 3) {
                int r = grow(m);

                if (r < 0)
                        return r;
        }
        for (i = home(m, key); m->slots[i].key != 0 && m->slots[i].key != key;)
                i = (i + 1) & (m->allocated - 1);
        m->count += m->slots[i].key == 0;
        m->slots[i] = (struct MapSlot) { key, value };
        return 0;
}

bool map_get(const Map *m, uint64_t key, uint64_t *ret) {
        if (m->count == 0 || key == 0)
                return false;
        for (size_t i = home(m, key); m->slots[i].key != 0; i = (i + 1) & (m->allocated - 1))
                if (m->slots[i].key == key) {
                        if (ret)
                                *ret = m->slots[i].value;
                        return true;
                }
        return false;
}

/* Backward-shift deletion: no tombstones. */
bool map_remove(Map *m, uint64_t key) {
        size_t i, hole;

        if (!map_get(m, key, NULL))
                return false;
        for (hole = home(m, key); m->slots[hole].key != key;)
                hole = (hole + 1) & (m->allocated - 1);
        for (i = (hole + 1) & (m->allocated - 1); m->slots[i].key != 0; i = (i + 1) & (m->allocated - 1)) {
                size_t h = home(m, m->slots[i].key);

                if (((i - h) & (m->allocated - 1)) >= ((i - hole) & (m->allocated - 1))) {
                        m->slots[hole] = m->slots[i];
                        hole = i;
                }
        }
        m->slots[hole].key = 0;
        m->count--;
        return true;
}

bool map_next(const Map *m, size_t *at, uint64_t *ret_key, uint64_t *ret_value) {
        for (; *at < m->allocated; (*at)++)
                if (m->slots[*at].key != 0) {
                        *ret_key = m->slots[*at].key;
                        *ret_value = m->slots[*at].value;
                        (*at)++;
                        return true;
                }
        return false;
}
