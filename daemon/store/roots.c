/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/store/private.h"

void roots_forget(Store *s) {
        s->roots.n = 0;
        s->roots.known = false;
        trails_moved(s, 0);
}

void roots_done(StoreRoots *r) {
        free(r->rows);
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
                StoreRoot *rows = array_room(roots->rows, roots->n, &roots->max, 16, sizeof(*rows));

                if (!rows)
                        return -ENOMEM;
                roots->rows = rows;
                roots->rows[roots->n++] = (StoreRoot) { sql_column(stmt, 0), sql_column(stmt, 1) != 0 };
        }
        roots->known = r == 0;
        return r;
}

static int roots_get(Store *s, const StoreRoots **ret) {
        int r = s->roots.known ? 0 : load_roots(s);

        if (r < 0) {
                roots_forget(s);
                return r;
        }
        *ret = &s->roots;
        return 0;
}

int roots_have(Store *s, int64_t node, bool *ret) {
        const StoreRoots *roots;
        int r = roots_get(s, &roots);

        if (r < 0)
                return r;
        *ret = false;
        for (size_t i = 0; i < roots->n && !*ret; i++)
                *ret = roots->rows[i].watched && roots->rows[i].node == node;
        return 0;
}

static int parent_of(Store *s, int64_t node, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = store_stmt(s, SQL_LINK_UP, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        r = sql_step(&s->sql, stmt);
        if (r > 0)
                *ret = sql_column(stmt, 0);
        return r;
}

/* 1; 0: another root is in between, or the node itself is one, or it does not lie there. */
static int is_before_roots(Store *s, int64_t node, int64_t dir) {
        bool root;
        int r;

        do {
                r = roots_have(s, node, &root);
                if (r < 0 || root)
                        return r;
                r = parent_of(s, node, &node);
        } while (r > 0 && node != dir);
        return r;
}

int roots_left_beneath(Store *s, int64_t dir, size_t *at, int64_t *ret) {
        const StoreRoots *roots;
        int r = roots_get(s, &roots);

        while (r == 0 && *at < roots->n) {
                const StoreRoot root = roots->rows[(*at)++];

                if (!root.watched)
                        r = is_before_roots(s, root.node, dir);
                if (r > 0)
                        *ret = root.node;
        }
        return r;
}
