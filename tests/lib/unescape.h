/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_LIB_UNESCAPE_H
#define SCITRACE_TESTS_LIB_UNESCAPE_H

/* unescape: the way back from what text_escape() wrote: there is one, so nothing is lost on the way. */

#include <stdio.h>
#include <string.h>

#include "lib/util.h"

/** unescape() - bytes over the text that stands there; their number, or -1: text_escape() writes no such thing. */
static inline long unescape(char *text) {
        char *out = text;

        for (const char *p = text; *p; p++) {
                unsigned byte = (unsigned char) *p;
                int n = 0;

                if (*p == '\\' && p[1] == '\\')
                        p++;
                else if (*p == '\\' && (sscanf(p, "\\x%2x%n", &byte, &n) != 1 || n != 4))
                        return -1;
                else if (*p == '\\')
                        p += 3;
                *out++ = (char) byte;
        }
        return out - text;
}

#endif
