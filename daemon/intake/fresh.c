/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* fresh: what a first look finds is new, nearly all of it, and need not be looked up to know that. A
 * directory is fresh from the event that introduces it until its names are listed: nothing was ever recorded
 * in it but subdirectories, whose names are kept here by hash. Any event of a name in it that does not come
 * from the listing ends that: then each name is looked up, as always. */

enum { FRESH_MAX = 400 * 1000 };        /* keys, 24 to 48 bytes each: beyond, directories are not fresh */

static uint64_t name_key(int64_t parent, Bytes name) {
        return hash_in_directory(parent, name) | UINT64_C(1) << 63;
}

void fresh_directory(Intake *i, int64_t node) {
        if (i->fresh.count < FRESH_MAX)
                (void) map_put(&i->fresh, (uint64_t) node, 1);  /* out of memory: it is not fresh */
}

bool fresh_name(const Intake *i, int64_t parent, Bytes name) {
        return map_get(&i->fresh, (uint64_t) parent, NULL) &&
               !map_get(&i->fresh, name_key(parent, name), NULL);
}

bool fresh_has(const Intake *i, int64_t parent, Bytes name) {
        return map_get(&i->fresh, (uint64_t) parent, NULL) &&
               map_get(&i->fresh, name_key(parent, name), NULL);
}

void fresh_named(Intake *i, int64_t parent, Bytes name) {
        if (map_put(&i->fresh, name_key(parent, name), 1) < 0)
                map_remove(&i->fresh, (uint64_t) parent);
}

void fresh_ends(Intake *i, int64_t node) {
        if (node != 0)
                map_remove(&i->fresh, (uint64_t) node);
}

void fresh_appended(Intake *i, const Event *e) {
        if (i->fresh.count == 0 || e->kind == KIND_IDENTIFY || e->kind == KIND_ATTRIBUTE)
                return;
        fresh_ends(i, e->parent);
        fresh_ends(i, e->old_parent);
        if (store_silent(i->store) != i->silent) {
                i->silent = store_silent(i->store);
                map_clear(&i->fresh);
        }
}

/* Costs looking up, and nothing else. */
void fresh_drop(Intake *i) {
        map_clear(&i->fresh);
        i->made.parent = 0;
}

void fresh_forget(Intake *i) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].walk != 0)
                        return;
        map_clear(&i->fresh);
        if (i->store)
                store_identities_forget(i->store);
}
