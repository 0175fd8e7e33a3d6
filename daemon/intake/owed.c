/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* owed: where a look was faster than the notice of what it saw, the operation that the notice tells of is
 * news to no link; it is counted with the next event of its name. */

uint64_t hash_name(Bytes name) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (size_t n = 0; n < name.size; n++)
                h = (h ^ name.data[n]) * UINT64_C(0x100000001b3);
        return h ? h : 1;
}

uint64_t hash_in_directory(int64_t parent, Bytes name) {
        uint64_t h = hash_name(name) ^ ((uint64_t) parent * UINT64_C(0x9e3779b97f4a7c15));

        return h ? h : 1;
}

int owed_add(Intake *i, int64_t parent, Bytes name, int64_t count) {
        uint64_t before = 0, key = hash_in_directory(parent, name);

        if (i->from->owed.count >= OWED_MAX)
                return OWED_E_FULL;
        map_get(&i->from->owed, key, &before);
        if (map_put(&i->from->owed, key, before + (uint64_t) count) < 0)
                intake_fail(i, -ENOMEM);
        return 0;
}

int64_t owed_take(Intake *i, int64_t parent, Bytes name) {
        uint64_t count = 0, key;

        if (i->from->owed.count == 0)   /* nearly always: then the name is not hashed */
                return 0;
        key = hash_in_directory(parent, name);
        if (map_get(&i->from->owed, key, &count))
                map_remove(&i->from->owed, key);
        return (int64_t) count;
}
