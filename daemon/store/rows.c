/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

void store_node_done(StoreNode *n) {
        assert(n);
        free(n->target);
        *n = (StoreNode) { 0 };
}

static int node_row(const Store *s, sqlite3_stmt *stmt, StoreNode *ret) {
        const StoreAttr *attr = attrs_get(s, sql_column(stmt, 4));
        Bytes digest = sql_column_bytes(stmt, 8), target = sql_column_bytes(stmt, 10);
        StoreNode n = {
                .id = sql_column(stmt, 0),
                .filesystem = sql_column(stmt, 1),
                .inode = (uint64_t) sql_column(stmt, 2),
                .btime = sql_column(stmt, 3),
                .type = attr->type,
                .mode = attr->mode,
                .uid = attr->uid,
                .gid = attr->gid,
                .size = sql_column(stmt, 5),
                .mtime = sql_column(stmt, 6),
                .ctime = sql_column(stmt, 7),
                .digest_source = (DigestSource) sql_column(stmt, 9),
                .seq = sql_column(stmt, 11),
                .links = sql_column(stmt, 12),
                .wanted = sql_column(stmt, 13) != 0,
        };

        if (digest.size == EVENT_DIGEST_SIZE) {
                n.has_digest = true;
                memcpy(n.digest, digest.data, EVENT_DIGEST_SIZE);
        }
        if (target.data) {
                n.target = malloc(target.size + 1);
                if (!n.target)
                        return -ENOMEM;
                memcpy(n.target, target.data, target.size);
                n.target[target.size] = 0;
                n.target_size = target.size;
        }
        *ret = n;
        return 0;
}

static int one_node(Store *s, sqlite3_stmt *stmt, StoreNode *ret) {
        int r;

        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;
        r = node_row(s, stmt, ret);
        sqlite3_reset(stmt);
        return r;
}

int store_node_get(Store *s, int64_t node, StoreNode *ret) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(ret);

        r = store_stmt(s, SQL_NODE_GET, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        return one_node(s, stmt, ret);
}

int store_node_find(Store *s, int64_t filesystem, uint64_t inode, int64_t btime, StoreNode *ret) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(ret);

        r = store_stmt(s, SQL_NODE_FIND, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, filesystem);
        sql_bind(stmt, 2, (int64_t) inode);
        sql_bind(stmt, 3, btime);
        return one_node(s, stmt, ret);
}

int store_node_of_inode(Store *s, int64_t filesystem, uint64_t inode, StoreNode *ret) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(ret);

        r = store_stmt(s, SQL_NODE_OF_INODE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, filesystem);
        sql_bind(stmt, 2, (int64_t) inode);
        return one_node(s, stmt, ret);
}

/* A write of one number to a row; one that fails breaks the transaction, as that of an event does. */
static int set_number(Store *s, StoreStatement which, int64_t id, int64_t n) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(s->in_transaction);

        r = store_stmt(s, which, &stmt);
        if (r == 0) {
                sql_bind(stmt, 1, id);
                sql_bind(stmt, 2, n);
                r = store_run(s, stmt);
        }
        if (r < 0 && s->broken == 0)
                s->broken = r;
        return r;
}

int store_node_seen(Store *s, int64_t node, int64_t ctime) {
        known_forget(s, node);
        return set_number(s, SQL_NODE_SEEN, node, ctime);
}

int node_add_links(Store *s, int64_t node, int sign) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        bool wanted;
        int64_t links;
        int r;

        known_forget(s, node);
        r = store_stmt(s, SQL_NODE_LINKS, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        sql_bind(stmt, 2, sign);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r;
        wanted = sql_column(stmt, 0) != 0;
        links = sql_column(stmt, 1);
        return wanted_changed(s, node, wanted && links - sign > 0, wanted && links > 0);
}

static int want(Store *s, int64_t node, bool wanted) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int64_t links;
        int r = store_stmt(s, SQL_NODE_WANT, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        sql_bind(stmt, 2, wanted);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r;               /* it was so already */
        known_forget(s, node);
        links = sql_column(stmt, 0);
        return wanted_changed(s, node, links > 0 && !wanted, links > 0 && wanted);
}

int store_node_want(Store *s, int64_t node, bool wanted) {
        int r;

        assert(s);
        assert(s->in_transaction);

        r = want(s, node, wanted);
        if (r < 0 && s->broken == 0)
                s->broken = r;
        return r;
}

int store_dataset_covered(Store *s, int64_t dataset, int64_t usec) {
        return set_number(s, SQL_DATASET_COVERED, dataset, usec);
}

int store_dataset_kind(Store *s, int64_t dataset, DatasetKind kind) {
        return set_number(s, SQL_DATASET_KIND, dataset, kind);
}

int store_dataset_filesystem(Store *s, int64_t dataset, int64_t filesystem) {
        for (size_t i = 0; i < s->n_sums; i++)
                if (s->sums[i].id == dataset)
                        s->sums[i].filesystem = filesystem;
        return set_number(s, SQL_DATASET_FILESYSTEM, dataset, filesystem);
}

static int retire_identity(Store *s, int64_t except, int64_t filesystem, uint64_t inode, int64_t btime) {
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(s, SQL_NODE_RETIRE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, filesystem);
        sql_bind(stmt, 2, (int64_t) inode);
        sql_bind(stmt, 3, btime);
        sql_bind(stmt, 4, except);
        return store_run(s, stmt);
}

int store_node_identity(Store *s, int64_t node, int64_t filesystem, uint64_t inode, int64_t btime,
                        int64_t ctime) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(s->in_transaction);

        known_clear(s);
        r = retire_identity(s, node, filesystem, inode, btime);
        if (r == 0)
                r = store_stmt(s, SQL_NODE_IDENTITY, &stmt);
        if (r == 0) {
                sql_bind(stmt, 1, node);
                sql_bind(stmt, 2, filesystem);
                sql_bind(stmt, 3, (int64_t) inode);
                sql_bind(stmt, 4, btime);
                sql_bind(stmt, 5, ctime);
                r = store_run(s, stmt);
                identities_add(s, filesystem, inode, btime);
        }
        if (r < 0 && s->broken == 0)
                s->broken = r;
        return r;
}

void link_row(const Store *s, sqlite3_stmt *stmt, StoreLink *ret) {
        Bytes name = sql_column_bytes(stmt, 2);

        ret->dataset = sql_column(stmt, 0);
        ret->parent = sql_column(stmt, 1);
        ret->name_size = MIN_OF(name.size, sizeof(ret->name) - 1);
        memcpy(ret->name, name.data, ret->name_size);
        ret->name[ret->name_size] = 0;
        ret->node = sql_column(stmt, 3);
        ret->since = sql_column(stmt, 4);
        ret->until = sql_column(stmt, 5);
        ret->type = attrs_get(s, sql_column(stmt, 6))->type;
}

static int one_link(Store *s, StoreStatement which, int64_t parent, Bytes name, StoreLink *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = store_stmt(s, which, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, parent);
        sql_bind_bytes(stmt, 2, name);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;
        link_row(s, stmt, ret);
        return 0;
}

int store_link_find(Store *s, int64_t parent, Bytes name, StoreLink *ret) {
        assert(s);
        assert(name.data);
        assert(ret);
        return one_link(s, SQL_LINK_FIND, parent, name, ret);
}

int store_link_closed(Store *s, int64_t parent, Bytes name, StoreLink *ret) {
        assert(s);
        assert(name.data);
        assert(ret);
        return one_link(s, SQL_LINK_LAST, parent, name, ret);
}

int store_link_last(Store *s, int64_t parent, Bytes name, StoreLink *ret) {
        int r;

        assert(s);
        assert(name.data);
        assert(ret);
        r = store_link_find(s, parent, name, ret);
        return r == STORE_E_NONE ? store_link_closed(s, parent, name, ret) : r;
}

/* Rows of a bound statement into an array. */
static int fill_links(Store *s, sqlite3_stmt *stmt, StoreLink *ret, int max) {
        int n = 0, r = 0;

        while (n < max && (r = sql_step(&s->sql, stmt)) > 0)
                link_row(s, stmt, &ret[n++]);
        sqlite3_reset(stmt);
        return r < 0 ? r : n;
}

int store_links(Store *s, int64_t parent, Bytes after, StoreLink *ret, int max) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(ret);

        r = store_stmt(s, SQL_LINK_LIST, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, parent);
        sql_bind_bytes(stmt, 2, after.data ? after : BYTES("", 0));
        sql_bind(stmt, 3, max);
        return fill_links(s, stmt, ret, max);
}

int store_links_of_node(Store *s, int64_t node, StoreLink *ret, int max) {
        sqlite3_stmt *stmt;
        int r;

        assert(s);
        assert(ret);

        r = store_stmt(s, SQL_LINK_OF_NODE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        sql_bind(stmt, 2, max);
        return fill_links(s, stmt, ret, max);
}
