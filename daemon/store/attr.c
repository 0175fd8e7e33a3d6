/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

static uint32_t attr_hash(const StoreAttr *a) {
        uint32_t h = 2166136261u;

        for (int i = 0; i < 4; i++) {
                h ^= i == 0 ? (uint32_t) a->type : i == 1 ? a->mode : i == 2 ? a->uid : a->gid;
                h *= 16777619u;
                h ^= h >> 15;
        }
        return h;
}

static bool attr_equal(const StoreAttr *a, const StoreAttr *b) {
        return a->type == b->type && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

/* The slot that holds the attr, or the free one where it belongs. */
static uint32_t *attrs_slot(const StoreAttrs *a, const StoreAttr *attr) {
        uint32_t mask = (uint32_t) (2 * a->max - 1);
        uint32_t i = attr_hash(attr) & mask;

        while (a->slots[i] != 0 && !attr_equal(&a->rows[a->slots[i] - 1], attr))
                i = (i + 1) & mask;
        return &a->slots[i];
}

static int attrs_grow(StoreAttrs *a) {
        size_t max = a->max == 0 ? 64 : a->max * 2;     /* a power of two */
        StoreAttr *rows;
        uint32_t *slots;

        rows = realloc(a->rows, max * sizeof(*rows));
        if (!rows)
                return -ENOMEM;
        a->rows = rows;
        slots = calloc(2 * max, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        free(a->slots);
        a->slots = slots;
        a->max = max;
        for (size_t i = 0; i < a->n; i++)
                *attrs_slot(a, &rows[i]) = (uint32_t) (i + 1);
        return 0;
}

static int attrs_push(StoreAttrs *a, const StoreAttr *attr) {
        int r;

        if (a->n == a->max) {
                r = attrs_grow(a);
                if (r < 0)
                        return r;
        }
        a->rows[a->n++] = *attr;
        *attrs_slot(a, attr) = (uint32_t) a->n;
        return 0;
}

void attrs_done(StoreAttrs *a) {
        free(a->rows);
        free(a->slots);
        *a = (StoreAttrs) { 0 };
}

int attrs_load(Store *s) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        attrs_done(&s->attrs);
        r = attrs_grow(&s->attrs);
        if (r == 0)
                r = store_stmt(s, SQL_ATTR_ALL, &stmt);
        if (r < 0)
                return r;
        while ((r = sql_step(&s->sql, stmt)) > 0) {
                if (sql_column(stmt, 0) != (int64_t) s->attrs.n + 1)
                        return -EBADMSG;        /* ids are dense: nothing removes a row */
                r = attrs_push(&s->attrs, &(StoreAttr) { .type = (Type) sql_column(stmt, 1),
                                                         .mode = (uint32_t) sql_column(stmt, 2),
                                                         .uid = (uint32_t) sql_column(stmt, 3),
                                                         .gid = (uint32_t) sql_column(stmt, 4) });
                if (r < 0)
                        return r;
        }
        return r;
}

int attrs_id(Store *s, const StoreAttr *attr, int64_t *ret) {
        uint32_t *slot = attrs_slot(&s->attrs, attr);
        sqlite3_stmt *stmt;
        int r;

        if (*slot == 0) {
                r = store_stmt(s, SQL_ATTR_ADD, &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, (int64_t) s->attrs.n + 1);
                sql_bind(stmt, 2, attr->type);
                sql_bind(stmt, 3, attr->mode);
                sql_bind(stmt, 4, attr->uid);
                sql_bind(stmt, 5, attr->gid);
                r = store_run(s, stmt);
                if (r == 0)
                        r = attrs_push(&s->attrs, attr);
                if (r < 0)
                        return r;
                *ret = (int64_t) s->attrs.n;
                return 0;
        }
        *ret = *slot;
        return 0;
}

const StoreAttr *attrs_get(const Store *s, int64_t id) {
        static const StoreAttr none = { .type = TYPE_NONE };

        return id >= 1 && (uint64_t) id <= s->attrs.n ? &s->attrs.rows[id - 1] : &none;
}
