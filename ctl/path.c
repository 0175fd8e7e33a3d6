/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "ctl/path.h"
#include "lib/util.h"
#include "lib/varlink.h"

void path_clean(char *s) {
        char *out = s;

        assert(s[0] == '/');
        for (const char *p = s; *p;) {
                size_t n;

                p += strspn(p, "/");
                n = strcspn(p, "/");
                if (n == 0 || (n == 1 && p[0] == '.')) {
                        p += n;
                        continue;
                }
                if (n == 2 && p[0] == '.' && p[1] == '.') {
                        while (out > s && *--out != '/')
                                ;
                        p += n;
                        continue;
                }
                *out++ = '/';
                memmove(out, p, n);
                out += n;
                p += n;
        }
        if (out == s)
                *out++ = '/';
        *out = '\0';
}

/* The last component is one that names itself, not "", "." or "..". */
static bool has_name(const char *path) {
        const char *last = strrchr(path, '/') + 1;

        return *last && strcmp(last, ".") != 0 && strcmp(last, "..") != 0;
}

/* head is made real; what has to be cut off for that is put in front of tail. */
static int resolve(char *head, const char *tail, char **ret) {
        CLEANUP(freep) char *real = realpath(*head ? head : "/", NULL);
        char *slash = strrchr(head, '/');
        char *joined = NULL;

        if (!real && slash && errno != ENOMEM) {
                CLEANUP(freep) char *longer = NULL;

                if (asprintf(&longer, "%s%s", slash, tail) < 0)
                        return -ENOMEM;
                *slash = '\0';
                return resolve(head, longer, ret);
        }
        if (!real)
                return -errno;
        if (asprintf(&joined, "%s%s", real, tail) < 0)
                return -ENOMEM;
        path_clean(joined);
        *ret = joined;
        return 0;
}

int path_absolute(const char *argument, PathEnd end, char **ret) {
        CLEANUP(freep) char *here = NULL, *whole = NULL, *last = NULL;
        char *slash;

        assert(argument && ret);
        if (*argument == '\0')
                return -ENOENT;
        if (*argument != '/') {
                here = getcwd(NULL, 0);
                if (!here)
                        return -errno;
        }
        if (asprintf(&whole, "%s/%s", here ? here : "", argument) < 0)
                return -ENOMEM;
        if (end == PATH_FOLLOWED || !has_name(whole))
                return resolve(whole, "", ret);
        slash = strrchr(whole, '/');
        last = strdup(slash);
        if (!last)
                return -ENOMEM;
        *slash = '\0';
        return resolve(whole, last, ret);
}

int path_parameter(json_t *object, const char *argument, PathEnd end) {
        CLEANUP(freep) char *path = NULL;
        int r;

        r = path_absolute(argument, end, &path);
        if (r < 0)
                return r;
        return varlink_set_bytes(object, "path", BYTES_STR(path));
}
