/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* describe: the database as such. How large its tables are is known to nobody: their pages are walked, by
 * SQLite's table dbstat. These statements are needed seldom and never kept. */

enum { PAGES_PER_CHECK = 64 };

typedef struct Counted {
        QueryTree row;
        char name[64], table[64];
        bool keeps_rows_in_leaves;      /* a table with rowids: cells of other pages are no rows */
} Counted;

static int number(Query *q, const char *text, int64_t *ret) {
        return sql_number(q->sql.db, text, ret);
}

int query_store(Query *q, QueryStore *ret) {
        int64_t size = 0, n = 0, vacuum = 0;
        int r = call_begin(q);

        assert(ret);
        if (r == 0)
                r = number(q, "PRAGMA page_size", &size);
        if (r == 0)
                r = number(q, "PRAGMA freelist_count", &n);
        if (r == 0)
                r = number(q, "PRAGMA auto_vacuum", &vacuum);
        if (r == 0)
                *ret = (QueryStore) { .page_size = size, .free_bytes = n * size, .shrinks = vacuum == 2 };
        return call_end(q, r);
}

static int prepare(Query *q, const char *text, sqlite3_stmt **ret) {
        return sql_errno(q->sql.db, sqlite3_prepare_v2(q->sql.db, text, -1, ret, NULL));
}

static void finalizep(sqlite3_stmt **stmt) {
        sqlite3_finalize(*stmt);
}

static int cares(Query *q, QueryCareFn fn, void *userdata) {
        CLEANUP(finalizep) sqlite3_stmt *stmt = NULL;
        int rc, r = prepare(q, "SELECT what, result, time, seq FROM care ORDER BY what", &stmt);

        if (r < 0)
                return r;
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
                QueryCare row = {
                        .what = (const char *) sqlite3_column_text(stmt, 0),
                        .result = (const char *) sqlite3_column_text(stmt, 1),
                        .time = sql_column(stmt, 2),
                        .seq = sql_column(stmt, 3),
                };

                if (!row.what || !row.result)
                        return -ENOMEM;
                if (fn(userdata, &row) != 0)
                        return QUERY_STOPPED;
        }
        return sql_errno(q->sql.db, rc);
}

int query_cares(Query *q, QueryCareFn fn, void *userdata) {
        int r = call_begin(q);

        assert(fn);
        return call_end(q, r == 0 ? cares(q, fn, userdata) : r);
}

/* Small ones first: when time runs out, it is the largest that are not counted to their end. */
static int list_trees(Query *q, Counted **ret, size_t *ret_n) {
        static const char text[] =
                "SELECT 'sqlite_schema', 'sqlite_schema', 0, 1 UNION ALL SELECT * FROM (SELECT s.name,"
                " s.tbl_name, s.type = 'index', s.type = 'table' AND NOT t.wr FROM sqlite_schema AS s CROSS"
                " JOIN pragma_table_list AS t ON t.name = s.tbl_name AND t.schema = 'main' WHERE s.rootpage"
                " > 0 ORDER BY s.tbl_name IN ('event', 'node', 'link', 'content', 'tile_head', 'batch'),"
                " s.tbl_name = 'event', s.tbl_name, s.type = 'index', s.name)";
        CLEANUP(finalizep) sqlite3_stmt *stmt = NULL;
        size_t max = 0;
        int rc, r = prepare(q, text, &stmt);

        if (r < 0)
                return r;
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
                Counted *trees = array_room(*ret, *ret_n, &max, 32, sizeof(*trees)), *t;

                if (!trees)
                        return -ENOMEM;
                *ret = trees;
                t = &trees[(*ret_n)++];
                *t = (Counted) { .row.index = sql_column(stmt, 2) != 0,
                              .keeps_rows_in_leaves = sql_column(stmt, 3) != 0 };
                snprintf(t->name, sizeof(t->name), "%s", (const char *) sqlite3_column_text(stmt, 0));
                snprintf(t->table, sizeof(t->table), "%s", (const char *) sqlite3_column_text(stmt, 1));
        }
        return sql_errno(q->sql.db, rc);
}

static void count_page(Counted *t, sqlite3_stmt *stmt) {
        const char *type = (const char *) sqlite3_column_text(stmt, 0);
        bool leaf = type && strcmp(type, "leaf") == 0, overflow = type && strcmp(type, "overflow") == 0;

        t->row.bytes += sql_column(stmt, 1);
        t->row.unused += sql_column(stmt, 3);
        if (leaf || (!overflow && !t->keeps_rows_in_leaves))
                t->row.rows += sql_column(stmt, 2);
}

static int count_tree(Query *q, Counted *t, int64_t until) {
        CLEANUP(finalizep) sqlite3_stmt *stmt = NULL;
        int rc = SQLITE_ROW, r = 0;

        if (now_usec(CLOCK_MONOTONIC) >= until)
                return 0;
        r = prepare(q, "SELECT pagetype, pgsize, ncell, unused FROM dbstat WHERE name = ?1", &stmt);
        if (r == -EINVAL)
                return 0;               /* this SQLite has no dbstat */
        if (r == 0)
                sql_bind_text(stmt, 1, t->name);
        for (int n = 1; r == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW; n++) {
                count_page(t, stmt);
                if (n % PAGES_PER_CHECK != 0)
                        continue;
                r = call_check(q);
                if (now_usec(CLOCK_MONOTONIC) >= until)
                        return r;
        }
        if (r == 0)
                r = sql_errno(q->sql.db, rc);
        t->row.whole = r == 0;
        return r;
}

int query_trees(Query *q, int64_t usec, QueryTreeFn fn, void *userdata) {
        int64_t until = now_usec(CLOCK_MONOTONIC) + usec;
        CLEANUP(freep) Counted *trees = NULL;
        size_t n = 0;
        int r = call_begin(q);

        assert(fn);
        if (r == 0)
                r = list_trees(q, &trees, &n);
        for (size_t i = 0; r == 0 && i < n; i++) {
                Counted *t = &trees[i];

                r = count_tree(q, t, until);
                t->row.name = t->name;
                t->row.table = t->table;
                if (r == 0 && fn(userdata, &t->row) != 0)
                        r = QUERY_STOPPED;
        }
        return call_end(q, r);
}
