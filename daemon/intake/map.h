/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_INTAKE_MAP_H
#define SCITRACE_DAEMON_INTAKE_MAP_H

/* map: from a number to a number; 16 bytes a slot, at most three quarters full. Pure.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Map {
        struct MapSlot {
                uint64_t key, value;    /* key 0: free */
        } *slots;
        size_t allocated, count;
} Map;                                  /* all zero: empty */

/** map_done() - frees; it is empty then. map_clear() - empties, and keeps the memory. */
void map_done(Map *m);
void map_clear(Map *m);
/** map_put() - key > 0; replaces. 0 or -ENOMEM. */
int map_put(Map *m, uint64_t key, uint64_t value);
/** map_get() - whether there is one; *ret untouched if not (may be NULL). */
bool map_get(const Map *m, uint64_t key, uint64_t *ret);
/** map_remove() - whether there was one. */
bool map_remove(Map *m, uint64_t key);
/** map_next() - iterates: start with *at = 0; whether there was one more. */
bool map_next(const Map *m, size_t *at, uint64_t *ret_key, uint64_t *ret_value);

#endif
