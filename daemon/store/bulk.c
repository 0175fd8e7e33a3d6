/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/array.h"
#include "daemon/store/private.h"

/* bulk: what comes in thousands, gathered and written by a few statements for up to ROWS_MAX events: that
 * takes a third of the time of some statements for each. Creates of nodes at names that were never held (an
 * event, a node and a link each), and digests of nodes that are as they were told (an event, and the node's
 * state). The statements read the rows from virtual tables over the arrays. Before any other statement is
 * run the rows are written (store_stmt()), so nobody sees the database without them. */

enum { ROWS_MAX = 1024, TEXT_MAX = 65536, KEYS = 4 * ROWS_MAX };

#define COLUMNS(X)                                                                                          \
        X(seq) X(ago) X(span) X(dataset) X(what) X(node) X(parent) X(digest_source) X(ctime) X(made)        \
        X(inode) X(btime) X(lived) X(attr) X(size) X(age) X(filesystem) X(mtime) X(wanted)

enum {
#define COLUMN_ITEM(name) COLUMN_##name,
        COLUMNS(COLUMN_ITEM)
        NUMBERS,
        COLUMN_name = NUMBERS,
        COLUMN_target,
        COLUMN_content,
        COLUMN_MADE_FIRST = COLUMN_inode,       /* from here: of creates only */
};

/* A digest of the rows, once, with its row in table content. */
typedef struct Content {
        const uint8_t *digest;
        int64_t id, size;
        bool fresh;
} Content;

typedef struct Row {
        int64_t numbers[NUMBERS];
        Bytes name, target;             /* in the text */
        const Content *content;
        bool has_digest;
        uint8_t digest[EVENT_DIGEST_SIZE];
        int64_t digest_size;            /* of what it is the digest of */
} Row;

struct StoreBulk {
        size_t n, n_made, n_digests, n_contents, used;
        Row rows[ROWS_MAX];
        Row *by_digest[ROWS_MAX];       /* those with one */
        Content contents[ROWS_MAX];     /* in the order of their digests */
        uint8_t text[TEXT_MAX];
        uint32_t keys[KEYS];            /* of the names and the nodes of creates, by hash; 0: none */
};

static size_t count_rows(const void *bulk) {
        return ((const StoreBulk *) bulk)->n;
}

static bool is_null(const Row *r, int column) {
        if (column == COLUMN_digest_source)
                return !r->has_digest;
        return column >= COLUMN_MADE_FIRST &&
               (!r->numbers[COLUMN_made] || (column == COLUMN_age && r->numbers[COLUMN_mtime] == 0));
}

static void row_column(const void *bulk, size_t at, int column, sqlite3_context *ctx) {
        const Row *r = &((const StoreBulk *) bulk)->rows[at];

        if (column < NUMBERS && !is_null(r, column))
                sqlite3_result_int64(ctx, r->numbers[column]);
        else if (column == COLUMN_name)
                sqlite3_result_blob(ctx, r->name.data, (int) r->name.size, SQLITE_STATIC);
        else if (column == COLUMN_target && r->target.data)
                sqlite3_result_blob(ctx, r->target.data, (int) r->target.size, SQLITE_STATIC);
        else if (column == COLUMN_content && r->content)
                sqlite3_result_int64(ctx, r->content->id);
}

static size_t count_contents(const void *bulk) {
        return ((const StoreBulk *) bulk)->n_contents;
}

static void content_column(const void *bulk, size_t at, int column, sqlite3_context *ctx) {
        const Content *c = &((const StoreBulk *) bulk)->contents[at];
        const int64_t numbers[] = { c->id, c->size, c->fresh };

        if (column < (int) ELEMENTS(numbers))
                sqlite3_result_int64(ctx, numbers[column]);
        else
                sqlite3_result_blob(ctx, c->digest, EVENT_DIGEST_SIZE, SQLITE_STATIC);
}

#define COLUMN_NAME(name) #name " INTEGER, "
static const ArrayTable rows_table = {
        .columns = COLUMNS(COLUMN_NAME) "name BLOB, target BLOB, content INTEGER",
        .rows_max = ROWS_MAX,
        .count = count_rows,
        .column = row_column,
};

static const ArrayTable contents_table = {
        .columns = "id INTEGER, size INTEGER, fresh INTEGER, digest BLOB",
        .rows_max = ROWS_MAX,
        .count = count_contents,
        .column = content_column,
};

int bulk_init(Store *s, sqlite3 *db) {
        int r;

        s->bulk = calloc(1, sizeof(*s->bulk));
        if (!s->bulk)
                return -ENOMEM;
        r = array_add(db, "bulk", &rows_table, s->bulk);
        return r < 0 ? r : array_add(db, "bulk_content", &contents_table, s->bulk);
}

void bulk_done(Store *s) {
        free(s->bulk);
        s->bulk = NULL;
}

void bulk_forget(Store *s) {
        if (s->bulk->n_made > 0)
                memset(s->bulk->keys, 0, sizeof(s->bulk->keys));
        s->bulk->n = s->bulk->n_made = s->bulk->n_digests = s->bulk->used = 0;
}

static int compare_digests(const void *a, const void *b) {
        return memcmp((*(Row *const *) a)->digest, (*(Row *const *) b)->digest, EVENT_DIGEST_SIZE);
}

/* In the order of their digests: then each row of their table is read once for all. */
static void gather_contents(StoreBulk *f) {
        qsort(f->by_digest, f->n_digests, sizeof(f->by_digest[0]), compare_digests);
        f->n_contents = 0;
        for (size_t i = 0; i < f->n_digests; i++) {
                Row *row = f->by_digest[i];

                if (i == 0 || compare_digests(&f->by_digest[i - 1], &f->by_digest[i]) != 0)
                        f->contents[f->n_contents++] = (Content) { .digest = row->digest,
                                                                   .size = row->digest_size };
                row->content = &f->contents[f->n_contents - 1];
        }
}

/* Each row's content is known by its id then, and in the table once the statement BULK_CONTENTS has run. */
static int resolve_contents(Store *s) {
        StoreBulk *f = s->bulk;
        int r = 0;

        gather_contents(f);
        for (size_t i = 0; r >= 0 && i < f->n_contents; i++) {
                r = digests_get(s->digests, f->contents[i].digest, &f->contents[i].id);
                f->contents[i].fresh = r == 0;
        }
        return r < 0 ? r : 0;
}

static int write_rows(Store *s, const StoreStatement *statements, size_t n) {
        sqlite3_stmt *stmt;
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++) {
                r = sql_get(&s->sql, statements[i], &stmt);
                if (r == 0)
                        r = store_run(s, stmt);
        }
        return r;
}

static int compare_links(const void *a, const void *b) {
        const Row *one = a, *other = b;
        int64_t p = one->numbers[COLUMN_parent], q = other->numbers[COLUMN_parent];
        size_t n = MIN_OF(one->name.size, other->name.size);
        int r = p < q ? -1 : p > q;

        if (r == 0)
                r = memcmp(one->name.data, other->name.data, n);
        return r != 0 ? r : (one->name.size > n) - (other->name.size > n);
}

/* A directory lists its names in no order; inserted in their own they fill the pages. Nothing else of the
 * rows is read after this. */
static int write_links(Store *s) {
        static const StoreStatement links[] = { SQL_BULK_LINKS };
        StoreBulk *f = s->bulk;

        qsort(f->rows, f->n, sizeof(f->rows[0]), compare_links);
        return write_rows(s, links, ELEMENTS(links));
}

int bulk_flush(Store *s) {
        static const StoreStatement made[] = { SQL_BULK_NODES },
                                    events[] = { SQL_BULK_EVENTS }, contents[] = { SQL_BULK_CONTENTS },
                                    states[] = { SQL_BULK_STATES };
        StoreBulk *f = s->bulk;
        int r = 0;

        if (f->n == 0)
                return 0;
        if (f->n_digests > 0) {
                r = resolve_contents(s);
                if (r == 0)
                        r = write_rows(s, contents, ELEMENTS(contents));
        }
        if (r == 0)
                r = write_rows(s, events, ELEMENTS(events));
        if (r == 0 && f->n_made > 0)
                r = write_rows(s, made, ELEMENTS(made));
        if (r == 0 && f->n_made < f->n)
                r = write_rows(s, states, ELEMENTS(states));
        if (r == 0 && f->n_made > 0)
                r = write_links(s);
        if (r < 0 && s->broken == 0)
                s->broken = r;          /* some of them are in the transaction */
        bulk_forget(s);
        return r;
}

static Bytes keep(StoreBulk *f, Bytes b) {
        uint8_t *at = f->text + f->used;

        if (!b.data)
                return b;
        memcpy(at, b.data, b.size);
        f->used += b.size;
        return BYTES(at, b.size);
}

static bool has_room(const StoreBulk *f, const Event *e) {
        return f->n < ROWS_MAX && e->name.size + e->target.size <= TEXT_MAX - f->used;
}

/* What events of both sorts have. */
static int add(Store *s, const Event *e, int64_t ctime, int64_t size, Row **ret) {
        StoreBulk *f = s->bulk;
        Row *row;

        if (e->target.size > TEXT_MAX / 2)
                return -EMSGSIZE;
        if (!has_room(f, e)) {
                int r = bulk_flush(s);

                if (r < 0)
                        return r;
        }
        row = &f->rows[f->n++];
        *row = (Row) {
                .numbers = {
                        [COLUMN_seq] = e->seq,
                        [COLUMN_ago] = s->realtime - e->last,
                        [COLUMN_span] = e->last - e->first,
                        [COLUMN_dataset] = e->dataset,
                        [COLUMN_what] = event_what(e),
                        [COLUMN_node] = e->node,
                        [COLUMN_parent] = e->parent,
                        [COLUMN_digest_source] = e->digest_source,
                        [COLUMN_ctime] = ctime,
                },
                .name = keep(f, e->name),
                .target = keep(f, e->target),
        };
        if (e->digest.data) {
                row->has_digest = true;
                row->digest_size = size;
                memcpy(row->digest, e->digest.data, EVENT_DIGEST_SIZE);
                f->by_digest[f->n_digests++] = row;
        }
        *ret = row;
        return 0;
}

static uint64_t key_of_name(int64_t parent, Bytes name) {
        return (known_name(name) ^ (uint64_t) parent) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t key_of_node(int64_t filesystem, uint64_t inode, int64_t btime) {
        return ((inode * UINT64_C(0x9e3779b97f4a7c15)) ^ (uint64_t) btime ^ (uint64_t) filesystem << 48) *
               UINT64_C(0xff51afd7ed558ccd);
}

/* Where a key is, or would be. Two with the same hash are one: that costs asking the tables. */
static uint32_t *find_key(StoreBulk *f, uint64_t key, uint32_t *ret_hash) {
        size_t at = key >> 32 & (KEYS - 1);

        *ret_hash = (uint32_t) (key >> 16) | 1;
        while (f->keys[at] != 0 && f->keys[at] != *ret_hash)
                at = (at + 1) & (KEYS - 1);
        return &f->keys[at];
}

static bool has_key(StoreBulk *f, uint64_t key) {
        uint32_t hash;

        return *find_key(f, key, &hash) != 0;
}

static void add_key(StoreBulk *f, uint64_t key) {
        uint32_t hash, *place = find_key(f, key, &hash);

        *place = hash;
}

int bulk_add(Store *s, const Event *e, int64_t attr, int64_t filesystem, int64_t ctime) {
        Row *row;
        int r = add(s, e, ctime, e->size, &row);

        if (r < 0)
                return r;
        s->bulk->n_made++;
        add_key(s->bulk, key_of_name(e->parent, e->name));
        add_key(s->bulk, key_of_node(filesystem, e->inode, e->btime));
        row->numbers[COLUMN_made] = 1;
        row->numbers[COLUMN_inode] = (int64_t) e->inode;
        row->numbers[COLUMN_btime] = e->btime;
        row->numbers[COLUMN_lived] = event_lived(e->btime, e->mtime);
        row->numbers[COLUMN_attr] = attr;
        row->numbers[COLUMN_size] = e->size;
        row->numbers[COLUMN_age] = event_age(e);
        row->numbers[COLUMN_filesystem] = filesystem;
        row->numbers[COLUMN_mtime] = e->mtime;
        row->numbers[COLUMN_wanted] = e->type == TYPE_FILE && !e->digest.data;
        return 0;
}

int bulk_add_digest(Store *s, const Event *e, int64_t size, int64_t ctime) {
        Row *row;

        return add(s, e, ctime, size, &row);
}

/* What is gathered is not in the tables yet, and need not be for this. */
bool store_is_new(Store *s, int64_t filesystem, uint64_t inode, int64_t btime, int64_t parent, Bytes name) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;

        assert(s);
        if (has_key(s->bulk, key_of_name(parent, name)) ||
            has_key(s->bulk, key_of_node(filesystem, inode, btime)) ||
            sql_get(&s->sql, SQL_IS_KNOWN, &stmt) < 0)
                return false;
        sql_bind(stmt, 1, parent);
        sql_bind_bytes(stmt, 2, name);
        sql_bind(stmt, 3, filesystem);
        sql_bind(stmt, 4, (int64_t) inode);
        sql_bind(stmt, 5, btime);
        return sql_step(&s->sql, stmt) > 0 && sql_column(stmt, 0) == 0;
}
