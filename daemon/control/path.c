/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/control/path.h"

bool path_normal(uint8_t *path, size_t *size) {
        size_t in = 0, out = 0;

        if (*size == 0 || path[0] != '/' || memchr(path, 0, *size))
                return false;
        while (in < *size) {
                size_t part;

                while (in < *size && path[in] == '/')
                        in++;
                for (part = 0; in + part < *size && path[in + part] != '/'; part++)
                        ;
                if (part == 0)
                        break;
                if (path[in] == '.' && (part == 1 || (part == 2 && path[in + 1] == '.')))
                        return false;
                path[out++] = '/';
                memmove(path + out, path + in, part);
                out += part;
                in += part;
        }
        if (out == 0)
                out = 1;        /* the root; its slash is still there */
        *size = out;
        return true;
}
