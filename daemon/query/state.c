/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/query/private.h"

static int give_dataset(Query *q, const Dataset *d, QueryDatasetFn fn, void *userdata) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        QueryDataset row = {
                .id = d->id,
                .name = d->name,
                .root = BYTES(d->root, d->root_size),
                .kind = d->kind,
                .removed = d->removed != 0,
                .commit = d->head,
        };
        int r;

        memcpy(row.uuid, d->uuid, sizeof(row.uuid));
        r = query_row(q, QUERY_SQL_COUNTERS, d->id, &stmt);
        if (r < 0)
                return r;
        row.files = sql_column(stmt, 0);
        row.bytes = sql_column(stmt, 1);
        row.gaps_open = sql_column(stmt, 2);
        sqlite3_reset(stmt);
        return fn(userdata, &row) != 0 ? QUERY_STOPPED : 0;
}

int query_datasets(Query *q, const char *name, bool all, QueryDatasetFn fn, void *userdata) {
        const Dataset *one = NULL;
        int r;

        assert(q);
        assert(fn);

        r = call_begin(q);
        if (r == 0 && name) {
                one = query_dataset_find(q, name);
                r = one ? give_dataset(q, one, fn, userdata) : QUERY_E_NO_DATASET;
                return call_end(q, r);
        }
        for (size_t i = 0; r == 0 && i < q->n_datasets; i++)
                if (all || q->datasets[i]->removed == 0)
                        r = give_dataset(q, q->datasets[i], fn, userdata);
        return call_end(q, r);
}

/* Stretches of one dataset, gathered and then sorted: gaps are opened later than they begin. */
typedef struct Stretch {
        int64_t from, until;
        bool gap, whole;
        Cause cause;
        int64_t node, seq, closed_by;
} Stretch;

typedef struct Stretches {
        Stretch *rows;
        size_t n, max;
} Stretches;

static void stretches_done(Stretches *s) {
        free(s->rows);
}

static int add_stretch(Stretches *s, Stretch row) {
        Stretch *rows = array_room(s->rows, s->n, &s->max, 16, sizeof(*rows));

        if (!rows)
                return -ENOMEM;
        s->rows = rows;
        s->rows[s->n++] = row;
        return 0;
}

static int compare(const void *a, const void *b) {
        const Stretch *x = a, *y = b;

        if (x->from != y->from)
                return x->from < y->from ? -1 : 1;
        return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int read_gaps(Query *q, const Dataset *d, Stretches *s) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_stmt(q, QUERY_SQL_GAPS, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, d->id);
        while ((r = query_step(q, stmt)) > 0) {
                int64_t node = sql_column(stmt, 1);

                r = add_stretch(s, (Stretch) {
                        .gap = true,
                        .whole = node == 0 || node == d->root_node,
                        .seq = sql_column(stmt, 0),
                        .node = node,
                        .cause = (Cause) sql_column(stmt, 2),
                        .from = sql_column(stmt, 3),
                        .until = sql_column(stmt, 4),
                        .closed_by = sql_column(stmt, 5),
                });
                if (r < 0)
                        return r;
        }
        return r;
}

static int time_of(Query *q, int64_t seq, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Event e;
        int r;

        r = query_row(q, QUERY_SQL_EVENT, seq, &stmt);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        r = row_event(q, stmt, &e);
        if (r == 0)
                *ret = e.last;
        return r;
}

/* What lies between the gaps of the whole dataset (sorted), from its add until its removal. */
static int add_covered(Query *q, const Dataset *d, Stretches *s) {
        int64_t at, end = 0;
        size_t n = s->n;
        int r;

        r = time_of(q, d->added, &at);
        if (r == 0 && d->removed != 0)
                r = time_of(q, d->removed, &end);
        for (size_t i = 0; r == 0 && i < n; i++) {
                Stretch g = s->rows[i];

                if (!g.whole)
                        continue;
                if (g.from > at)
                        r = add_stretch(s, (Stretch) { .from = at, .until = g.from });
                if (g.until == 0)
                        return r;
                at = MAX_OF(at, g.until);
        }
        if (r == 0 && (end == 0 || at < end))
                r = add_stretch(s, (Stretch) { .from = at, .until = end });
        return r;
}

static int give_stretch(Query *q, const Dataset *d, const Stretch *s, QueryStretchFn fn, void *userdata) {
        QueryStretch row = {
                .from = s->from,
                .until = s->until,
                .gap = s->gap,
                .cause = s->cause,
                .closed_by = s->closed_by,
        };
        int r = 0;

        if (s->gap) {
                q->row_path.size = 0;
                if (!s->whole)
                        r = path_at(q, d->id, s->node, s->seq, &q->row_path);
                if (r == 0 && q->row_path.size == 0)
                        r = buffer_add(&q->row_path, ".", 1);
                if (r < 0)
                        return r;
                row.path = BYTES(q->row_path.data, q->row_path.size);
        }
        return fn(userdata, &row) != 0 ? QUERY_STOPPED : 0;
}

static int coverage(Query *q, const char *dataset, QueryStretchFn fn, void *userdata) {
        CLEANUP(stretches_done) Stretches s = { 0 };
        const Dataset *d;
        int r;

        r = call_begin(q);
        if (r < 0)
                return r;
        d = query_dataset_find(q, dataset);
        if (!d)
                return QUERY_E_NO_DATASET;
        r = read_gaps(q, d, &s);
        if (r == 0 && s.n > 0)
                qsort(s.rows, s.n, sizeof(*s.rows), compare);
        if (r == 0 && d->added != 0)
                r = add_covered(q, d, &s);
        if (r == 0 && s.n > 0)
                qsort(s.rows, s.n, sizeof(*s.rows), compare);
        for (size_t i = 0; r == 0 && i < s.n; i++)
                r = give_stretch(q, d, &s.rows[i], fn, userdata);
        return r;
}

int query_coverage(Query *q, const char *dataset, QueryStretchFn fn, void *userdata) {
        assert(q);
        assert(dataset);
        assert(fn);
        return call_end(q, coverage(q, dataset, fn, userdata));
}

static int number(Query *q, QueryStatement which, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        r = query_stmt(q, which, &stmt);
        return r < 0 ? r : query_one(q, stmt, ret);
}

static int read_totals(Query *q, QueryTotals *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_stmt(q, QUERY_SQL_TOTALS, &stmt);
        if (r < 0)
                return r;
        r = query_step(q, stmt);
        if (r < 0)
                return r;
        ret->datasets = sql_column(stmt, 0);
        ret->events = sql_column(stmt, 1);
        ret->gaps_open = sql_column(stmt, 2);
        return 0;
}

int query_totals(Query *q, QueryTotals *ret) {
        CLEANUP(freep) char *wal = NULL;
        QueryTotals t = { 0 };
        int64_t form = 0;
        struct stat st;
        int r;

        assert(q);
        assert(ret);

        if (asprintf(&wal, "%s-wal", q->path) < 0) {
                wal = NULL;
                return call_end(q, -ENOMEM);
        }
        r = call_begin(q);
        if (r == 0)
                r = read_totals(q, &t);
        if (r == 0)
                r = number(q, QUERY_SQL_PAGES, &t.store_bytes);
        if (r == 0)
                r = number(q, QUERY_SQL_FORM, &form);
        t.schema = (int) form;
        if (stat(wal, &st) == 0)        /* looks, and does not open */
                t.wal_bytes = st.st_size;
        if (r == 0)
                *ret = t;
        return call_end(q, r);
}

/* Series in the order of their labels, each in pages of its chunks. */
typedef struct Chunks {
        Query *q;
        const char *name;
        int64_t since, until;
        QueryChunkFn fn;
        void *userdata;
        char *labels, *unit;            /* of the series at hand */
        int64_t series;
} Chunks;

static int next_series(Chunks *c) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        CLEANUP(freep) char *after = STEAL(c->labels);
        int r;

        r = query_stmt(c->q, QUERY_SQL_SERIES, &stmt);
        if (r < 0)
                return r;
        sql_bind_text(stmt, 1, c->name);
        sql_bind_text(stmt, 2, after ? after : "");
        sql_bind(stmt, 3, c->series);
        r = query_step(c->q, stmt);
        if (r <= 0)
                return r;
        free(c->unit);
        c->series = sql_column(stmt, 0);
        c->labels = strdup((const char *) sqlite3_column_text(stmt, 1));
        c->unit = strdup((const char *) sqlite3_column_text(stmt, 2));
        return c->labels && c->unit ? 1 : -ENOMEM;
}

static int chunk_page(Chunks *c, int64_t *after) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int n = 0, r;

        r = query_stmt(c->q, QUERY_SQL_CHUNKS, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, c->series);
        sql_bind(stmt, 2, *after);
        sql_bind(stmt, 3, c->until ? c->until : INT64_MAX);
        sql_bind(stmt, 4, c->since);
        sql_bind(stmt, 5, QUERY_PAGE);
        while ((r = query_step(c->q, stmt)) > 0) {
                QueryChunk row = {
                        .name = c->name,
                        .labels = c->labels,
                        .unit = c->unit,
                        .from = sql_column(stmt, 0),
                        .until = sql_column(stmt, 1),
                        .points = (int) sql_column(stmt, 2),
                        .data = sql_column_bytes(stmt, 3),
                };

                *after = row.from;
                c->q->released = false;
                if (c->fn(c->userdata, &row) != 0)
                        return QUERY_STOPPED;
                if (++n == QUERY_PAGE || c->q->released)
                        return 1;
        }
        return r;
}

static int chunks(Chunks *c) {
        bool any = false;
        int r;

        while ((r = next_series(c)) > 0) {
                int64_t after = INT64_MIN;

                any = true;
                do {
                        r = call_check(c->q);
                        if (r == 0)
                                r = chunk_page(c, &after);
                } while (r == 1);
                if (r != 0)
                        return r;
        }
        return r < 0 ? r : any ? 0 : QUERY_E_NO_SERIES;
}

int query_chunks(Query *q, const char *name, int64_t since, int64_t until, QueryChunkFn fn, void *userdata) {
        Chunks c = { .q = q, .name = name, .since = since, .until = until, .fn = fn, .userdata = userdata };
        int r;

        assert(q);
        assert(name);
        assert(fn);

        r = call_begin(q);
        if (r == 0)
                r = chunks(&c);
        free(c.labels);
        free(c.unit);
        return call_end(q, r);
}
