/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <string.h>

#include "ctl/nearest.h"
#include "lib/util.h"

enum { WORD_MAX = 64 };         /* longer words are never misspelt ones of ours */

size_t nearest_distance(const char *a, const char *b, size_t limit) {
        size_t rows[3][WORD_MAX + 1], n = strlen(a), m = strlen(b);

        assert(a && b);
        if (n > WORD_MAX || m > WORD_MAX || MAX_OF(n, m) - MIN_OF(n, m) > limit)
                return limit + 1;
        for (size_t j = 0; j <= m; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];

                now[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        size_t changed = before[j - 1] + (a[i - 1] != b[j - 1]);

                        now[j] = MIN_OF(changed, MIN_OF(before[j], now[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                now[j] = MIN_OF(now[j], earlier[j - 2] + 1);
                }
        }
        return MIN_OF(rows[n % 3][m], limit + 1);
}

void nearest_init(Nearest *n, const char *word) {
        assert(n && word);
        *n = (Nearest) { .meant = word, .distance = NEAREST_MAX + 1 };
}

void nearest_offer(Nearest *n, const char *word) {
        size_t typed = strlen(n->meant);
        size_t distance = nearest_distance(n->meant, word, NEAREST_MAX);

        /* Of a word of two letters, two slips leave nothing. */
        if (distance > 0 && distance >= typed)
                distance = NEAREST_MAX + 1;
        if (typed > 0 && distance > 1 && strncmp(n->meant, word, typed) == 0)
                distance = 1;
        if (distance > NEAREST_MAX || distance > n->distance)
                return;
        if (distance == n->distance) {
                n->ties++;
                return;
        }
        snprintf(n->best, sizeof(n->best), "%s", word);
        n->distance = distance;
        n->ties = 0;
}

const char *nearest_word(const Nearest *n) {
        return n->ties || n->distance > NEAREST_MAX ? NULL : n->best;
}
