/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_NEAREST_H
#define SCITRACE_CTL_NEAREST_H

/* nearest: the word that was meant by a misspelt one. Pure. May use: libc.  May not use: anything of
 * ours. */

#include <stddef.h>

enum { NEAREST_MAX = 2 };       /* letters added, dropped, changed, or swapped with their neighbour */

typedef struct Nearest {
        const char *meant;      /* what was typed */
        char best[128];         /* the nearest so far */
        size_t distance;        /* of it; above NEAREST_MAX: none is near enough */
        int ties;               /* others just as near: then nothing is suggested */
} Nearest;

/** nearest_init() - word: what was typed. */
void nearest_init(Nearest *n, const char *word);
/** nearest_offer() - one of the right words. A word that begins with what was typed is near, whatever its
 *  length. */
void nearest_offer(Nearest *n, const char *word);
/** nearest_word() - the one nearest word, or NULL. */
const char *nearest_word(const Nearest *n);

/** nearest_distance() - how many such slips lie between a and b, at most limit + 1. */
size_t nearest_distance(const char *a, const char *b, size_t limit);

#endif
