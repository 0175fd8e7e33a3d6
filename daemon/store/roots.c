/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/store/private.h"

void roots_forget(Store *s) {
        s->roots.n = 0;
        s->roots.known = false;
}

void roots_done(StoreRoots *r) {
        free(r->nodes);
        *r = (StoreRoots) { 0 };
}

static int load_roots(Store *s) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        StoreRoots *roots = &s->roots;
        int r;

        r = store_stmt(s, SQL_DATASET_ROOTS, &stmt);
        if (r < 0)
                return r;
        while ((r = sql_step(&s->sql, stmt)) > 0) {
                int64_t *nodes = array_room(roots->nodes, roots->n, &roots->max, 16, sizeof(*nodes));

                if (!nodes)
                        return -ENOMEM;
                roots->nodes = nodes;
                roots->nodes[roots->n++] = sql_column(stmt, 0);
        }
        roots->known = r == 0;
        return r;
}

int roots_have(Store *s, int64_t node, bool *ret) {
        int r = s->roots.known ? 0 : load_roots(s);

        if (r < 0) {
                roots_forget(s);
                return r;
        }
        *ret = false;
        for (size_t i = 0; i < s->roots.n && !*ret; i++)
                *ret = s->roots.nodes[i] == node;
        return 0;
}
