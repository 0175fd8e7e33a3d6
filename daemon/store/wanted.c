/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* wanted: nodes with an open link whose digest is still to be read. The node says so itself; table `wanted`
 * has the blocks of ids in which there may be such nodes, one row for BLOCK of them, so that neither a first
 * look nor the digests after it write an index entry for each file. A block in which none is found goes; how
 * many there are is counted as they come and go. */

enum { BLOCK = 256 };                   /* in the statements, too */

int wanted_load(Store *s) {
        s->wanted_block = -1;
        s->wanted_blocks = true;        /* those that were left behind go with the first commit */
        return sql_number(s->sql.db, STORE_WANTED_COUNT, &s->n_wanted);
}

/* Not by store_stmt(): what is gathered need not be written for it. */
static int set_block(Store *s, StoreStatement which, int64_t block) {
        sqlite3_stmt *stmt;
        int r = sql_get(&s->sql, which, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, block);
        return store_run(s, stmt);
}

int wanted_changed(Store *s, int64_t node, bool was, bool is) {
        int64_t block = node / BLOCK;
        int r = 0;

        s->n_wanted += is - was;
        if (is && !was && block != s->wanted_block) {
                r = set_block(s, SQL_WANTED_ADD, block);
                s->wanted_block = r == 0 ? block : -1;
                s->wanted_blocks = true;
        }
        return r;
}

int wanted_flush(Store *s) {
        sqlite3_stmt *stmt;
        int r;

        if (s->n_wanted != 0 || !s->wanted_blocks)
                return 0;
        s->wanted_blocks = false;
        s->wanted_block = -1;
        r = sql_get(&s->sql, SQL_WANTED_CLEAR, &stmt);
        return r < 0 ? r : store_run(s, stmt);
}

static void wanted_row(Store *s, sqlite3_stmt *stmt, StoreWanted *ret) {
        StoreKnown k = {
                .parent = sql_column(stmt, 1),
                .name = known_name(sql_column_bytes(stmt, 2)),
                .node = sql_column(stmt, 3),
                .attr = sql_column(stmt, 6),
                .filesystem = sql_column(stmt, 7),
                .inode = (uint64_t) sql_column(stmt, 8),
                .btime = sql_column(stmt, 9),
                .size = sql_column(stmt, 10),
                .mtime = sql_column(stmt, 11),
        };

        link_row(s, stmt, &ret->link);
        ret->inode = k.inode;
        ret->btime = k.btime;
        ret->size = k.size;
        if (sql_column(stmt, 12) != 0)
                known_add(s, &k);
}

static int next_block(Store *s, int64_t from, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = store_stmt(s, SQL_WANTED_NEXT, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, from);
        r = sql_step(&s->sql, stmt);
        if (r > 0)
                *ret = sql_column(stmt, 0);
        return r;
}

/* Those of one block, after `after`; one of its links each. */
static int read_block(Store *s, int64_t block, int64_t after, StoreWanted *ret, int max) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int n = 0, r = store_stmt(s, SQL_WANTED, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, MAX_OF(after, block * BLOCK - 1));
        sql_bind(stmt, 2, (block + 1) * BLOCK);
        while (n < max && (r = sql_step(&s->sql, stmt)) > 0)
                if (n == 0 || ret[n - 1].link.node != sql_column(stmt, 3))
                        wanted_row(s, stmt, &ret[n++]);
        return r < 0 ? r : n;
}

/* There is none in it any more. */
static int drop_block(Store *s, int64_t block) {
        if (block == s->wanted_block)
                s->wanted_block = -1;
        return set_block(s, SQL_WANTED_REMOVE, block);
}

int store_wanted(Store *s, int64_t after, StoreWanted *ret, int max) {
        int64_t block = (after + 1) / BLOCK;
        int n = 0, r = 0, more;

        assert(s);
        assert(s->in_transaction);
        assert(ret);

        for (; n < max && (more = next_block(s, block, &block)) > 0; block++) {
                r = read_block(s, block, after, ret + n, max - n);
                n += MAX_OF(r, 0);
                if (r == 0 && after < block * BLOCK)
                        r = drop_block(s, block);
                if (r < 0)
                        break;
        }
        if (r >= 0 && n < max && more < 0)
                r = more;
        if (r < 0 && s->broken == 0)
                s->broken = r;
        return r < 0 ? r : n;
}

int64_t store_wanted_count(const Store *s) {
        assert(s);
        return s->n_wanted;
}
