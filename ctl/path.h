/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_PATH_H
#define SCITRACE_CTL_PATH_H

/* path: what a person means by a file name on the command line. May use: lib. */

#include <jansson.h>

typedef enum PathEnd {
        PATH_ITSELF,                    /* a last component that is a link is meant as the link */
        PATH_FOLLOWED,
} PathEnd;

/** path_absolute() - byte for byte; the parent is a real path as far as it exists, since roots are recorded
 *  so; what exists no more is cleaned of "//", "/./" and "/../" by the letters. malloc'ed. 0 or negative
 *  errno. */
int path_absolute(const char *argument, PathEnd end, char **ret);

/** path_clean() - by the letters only: "/a//b/./c/../d/" becomes "/a/b/d". In place; s begins with "/". */
void path_clean(char *s);

/** path_parameter() - puts an argument into an object as member `path`, or `pathBase64`. 0 or negative
 *  errno. */
int path_parameter(json_t *object, const char *argument, PathEnd end);

#endif
