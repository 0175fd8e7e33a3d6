/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

enum {
        WINDOW = 16 * QUERY_PAGE,       /* seqs that one statement looks at when it finds little */
};
/* An event may be stored this long after its last notice (a large file is read first), later than
 * STORE_LATE_USEC in few blocks; and the clock may have been a little ahead of that of its batch. */
static const int64_t late_max = 24 * 3600 * (int64_t) USEC_PER_SEC;
static const int64_t early_max = 60 * (int64_t) USEC_PER_SEC;

typedef struct Ask {
        Query *q;
        const QueryEvents *filter;
        QueryEventFn fn;
        void *userdata;
        Place *places;
        size_t n_places;
        int64_t dataset;                /* the one that all answers are of; 0: several */
        bool came_from;                 /* and what went from there into other datasets */
        int64_t kinds, origins;         /* as bound to the statements */
        int64_t lo, hi;                 /* answers are in (lo, hi], */
        int64_t near;                   /* behind this one only in blocks with late events; */
        bool crossing;                  /* in this part may be some that are filed under another dataset */
        int64_t newest;                 /* event, when the question began */
        int64_t given;
} Ask;

static bool beneath(Bytes path, const Buffer *above) {
        if (above->size == 0)
                return true;            /* the root: events of the dataset that have no path, too */
        return path.data && path.size >= above->size && memcmp(path.data, above->data, above->size) == 0 &&
               (path.size == above->size || path.data[above->size] == '/');
}

static bool in_places(const Ask *a, const QueryEvent *e) {
        for (size_t i = 0; i < a->n_places; i++) {
                const Place *p = &a->places[i];

                if (p->dataset->id == e->event.dataset && beneath(e->path, &p->path))
                        return true;
                if (e->event.old_parent != 0 && p->dataset->id == a->q->old_dataset &&
                    beneath(e->old_path, &p->path))
                        return true;
        }
        return a->n_places == 0;
}

/* Of the dataset that is asked for, or gone from there. */
static bool in_dataset(const Ask *a, const Event *e) {
        return a->dataset == 0 || e->dataset == a->dataset ||
               (e->old_parent != 0 && a->q->old_dataset == a->dataset);
}

/* One row of EVENT_ROW whose kind, origin and dataset fit. */
static int answer(Ask *a, sqlite3_stmt *stmt) {
        QueryEvent row;
        Event e;
        int r;

        r = row_event(a->q, stmt, &e);
        if (r < 0)
                return r;
        if ((a->filter->since != 0 && e.last < a->filter->since) ||
            (a->filter->until != 0 && e.last > a->filter->until))
                return 0;
        r = row_complete(a->q, &e, &row);
        if (r < 0 || !in_dataset(a, &e) || !in_places(a, &row))
                return r;
        r = row_commit(a->q, &row);
        if (r < 0)
                return r;
        a->q->released = false;
        if (a->fn(a->userdata, &row) != 0 || ++a->given == a->filter->limit)
                return QUERY_STOPPED;
        return 0;
}

/* One statement: events in (lo, hi], at most a page. *at is where the next one goes on. */
static int scan_page(Ask *a, int64_t lo, int64_t hi, int64_t *at) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        bool down = a->filter->reverse;
        int64_t seq = 0;
        int n = 0, r;

        r = query_stmt(a->q, down ? QUERY_SQL_EVENTS_DOWN : QUERY_SQL_EVENTS_UP, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, lo);
        sql_bind(stmt, 2, hi);
        sql_bind(stmt, 3, a->dataset);
        sql_bind(stmt, 4, a->kinds);
        sql_bind(stmt, 5, a->origins);
        sql_bind(stmt, 6, QUERY_PAGE);
        sql_bind(stmt, 7, a->crossing);
        while ((r = query_step(a->q, stmt)) > 0) {
                n++;
                seq = sql_column(stmt, 0);
                a->q->released = false;
                r = answer(a, stmt);
                if (r != 0)
                        return r;
                if (a->q->released) {
                        n = QUERY_PAGE;
                        break;
                }
        }
        if (n == QUERY_PAGE)
                *at = down ? seq - 1 : seq;
        else
                *at = down ? lo : hi;
        return r;
}

/* The nearest block from there on, in the direction, in which that dataset has events of the kinds;
 * -1: none. */
static int next_span(Ask *a, int64_t dataset, int64_t block, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = query_stmt(a->q, a->filter->reverse ? QUERY_SQL_SPAN_DOWN : QUERY_SQL_SPAN_UP, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, dataset);
        sql_bind(stmt, 2, block);
        sql_bind(stmt, 3, a->kinds);
        r = query_step(a->q, stmt);
        *ret = r > 0 ? sql_column(stmt, 0) : -1;
        return r < 0 ? r : 0;
}

/* Of (lo, hi] the part with which to go on that events of the right time can be in: up to a->near any,
 * behind it a block that has late ones. Returns 1, or 0 when there is none. */
static int timely_part(Ask *a, int64_t *lo, int64_t *hi) {
        bool down = a->filter->reverse;
        int64_t from = MAX_OF(*lo, a->near), block;
        int r;

        if (*lo >= *hi)
                return 0;
        if (*hi <= a->near || (!down && *lo < a->near)) {
                *hi = MIN_OF(*hi, a->near);
                return 1;
        }
        r = next_span(a, STORE_SPAN_LATE, (down ? *hi : from + 1) / STORE_SPAN, &block);
        if (r < 0)
                return r;
        if (block >= 0 && block * STORE_SPAN <= *hi && block * STORE_SPAN + STORE_SPAN - 1 > from) {
                *lo = MAX_OF(from, block * STORE_SPAN - 1);
                *hi = MIN_OF(*hi, block * STORE_SPAN + STORE_SPAN - 1);
                return 1;
        }
        if (!down)
                return 0;
        *hi = MIN_OF(*hi, a->near);
        return *lo < *hi;
}

/* Of (lo, hi] what is left of the next block that can have an answer. Returns 1, or 0 when there is none. */
static int next_part(Ask *a, int64_t *lo, int64_t *hi) {
        bool down = a->filter->reverse;
        int64_t block, other = -1;
        int r;

        if (a->dataset == 0 && a->filter->kinds == 0) {
                *(down ? lo : hi) = down ? MAX_OF(*lo, *hi - WINDOW) : MIN_OF(*hi, *lo + WINDOW);
                return *lo < *hi;
        }
        r = next_span(a, a->dataset, (down ? *hi : *lo + 1) / STORE_SPAN, &block);
        if (r == 0 && a->came_from)
                r = next_span(a, STORE_SPAN_CROSSED, (down ? *hi : *lo + 1) / STORE_SPAN, &other);
        if (other >= 0 && (block < 0 || (down ? other > block : other < block)))
                block = other;
        a->crossing = other >= 0 && other == block;
        if (r < 0 || block < 0)
                return r;
        *lo = MAX_OF(*lo, block * STORE_SPAN - 1);
        *hi = MIN_OF(*hi, block * STORE_SPAN + STORE_SPAN - 1);
        return *lo < *hi;
}

static int scan(Ask *a) {
        bool down = a->filter->reverse;
        int64_t lo = a->lo, hi = a->hi;
        int r = 0;

        while (r == 0) {
                int64_t low = lo, high = hi, from, to;

                r = call_check(a->q);
                if (r == 0)
                        r = timely_part(a, &low, &high);
                if (r <= 0)
                        break;
                from = low;
                to = high;
                r = next_part(a, &from, &to);
                if (r > 0)
                        r = scan_page(a, from, to, down ? &hi : &lo);
                else if (r == 0)
                        *(down ? &hi : &lo) = down ? low : high;
        }
        return r;
}

/* The events of one name, by index: its holders one after the other, what happened beneath those that are
 * directories, and what came and went under it before it was recorded. */
typedef struct Stream {
        Holders holders;
        int64_t next;                   /* 0: none */
        bool known;                     /* next is what follows the last position */
} Stream;

static int node_event(Query *q, bool down, int64_t node, int64_t lo, int64_t hi, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        r = query_stmt(q, down ? QUERY_SQL_NODE_DOWN : QUERY_SQL_NODE_UP, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        sql_bind(stmt, 2, lo);
        sql_bind(stmt, 3, hi);
        return query_one(q, stmt, ret);
}

/* Of two events, 0: none, the one that comes first in the direction. */
static int64_t first_of(bool down, int64_t a, int64_t b) {
        if (a == 0 || b == 0)
                return a + b;
        return down ? MAX_OF(a, b) : MIN_OF(a, b);
}

/* The event in (lo, hi] that comes first in the direction: that which gave the name its holder (from), or
 * one of the holder's own, or beneath it, while it had the name. */
static int in_segment(const Ask *a, const Segment *s, int64_t lo, int64_t hi, int64_t *ret) {
        bool has_from = s->from > lo && s->from <= hi, down = a->filter->reverse;
        int64_t beneath = 0;
        int r;

        if (!down && has_from) {
                *ret = s->from;
                return 0;
        }
        lo = MAX_OF(lo, s->from);
        hi = MIN_OF(hi, s->to);
        r = node_event(a->q, down, s->node, lo, hi, ret);
        if (r == 0 && s->directory)
                r = beneath_next(a->q, down, s->node, a->newest, lo, hi, &beneath);
        *ret = first_of(down, *ret, beneath);
        if (r == 0 && *ret == 0 && has_from)
                *ret = s->from;
        return r;
}

static int next_of_holders(const Ask *a, const Holders *h, int64_t lo, int64_t hi, int64_t *ret) {
        bool down = a->filter->reverse;
        size_t low = 0, high = h->n_nodes;
        int r;

        /* the first segment that ends after lo, or the last one that begins at hi or before */
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (down ? h->nodes[middle].from <= hi : h->nodes[middle].to <= lo)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret = 0;
        for (size_t i = down ? low - 1 : low; i < h->n_nodes; down ? i-- : i++) {       /* ends at -1, too */
                if (h->nodes[i].from > hi || h->nodes[i].to <= lo)
                        break;
                r = in_segment(a, &h->nodes[i], lo, hi, ret);
                if (r < 0 || *ret != 0)
                        return r;
        }
        return 0;
}

static int next_transient(Query *q, bool down, const Holders *h, int64_t lo, int64_t hi, int64_t *ret) {
        sqlite3_stmt *stmt;
        int64_t seq;
        int r;

        for (size_t i = 0; i < h->n_parents; i++) {
                const Segment *p = &h->parents[i];

                r = query_stmt(q, down ? QUERY_SQL_TRANSIENT_DOWN : QUERY_SQL_TRANSIENT_UP, &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, p->node);
                sql_bind_bytes(stmt, 2, h->name);
                sql_bind(stmt, 3, MAX_OF(lo, p->from));
                sql_bind(stmt, 4, MIN_OF(hi, p->to));
                r = query_one(q, stmt, &seq);
                if (r < 0)
                        return r;
                *ret = first_of(down, *ret, seq);
        }
        return 0;
}

static int stream_next(Ask *a, Stream *s, int64_t lo, int64_t hi) {
        int r;

        if (s->known)
                return 0;
        r = next_of_holders(a, &s->holders, lo, hi, &s->next);
        if (r == 0)
                r = next_transient(a->q, a->filter->reverse, &s->holders, lo, hi, &s->next);
        s->known = r == 0;
        return r;
}

/* What is beneath more directories than the trails say: any event of a block that has such. */
static int next_deep(Ask *a, int64_t lo, int64_t hi, int64_t *ret) {
        bool down = a->filter->reverse;
        int64_t block;
        int r = next_span(a, STORE_SPAN_DEEP, (down ? hi : lo + 1) / STORE_SPAN, &block);

        *ret = 0;
        if (r < 0 || block < 0)
                return r;
        *ret = down ? MIN_OF(hi, block * STORE_SPAN + STORE_SPAN - 1) : MAX_OF(lo + 1, block * STORE_SPAN);
        if (*ret <= lo || *ret > hi)
                *ret = 0;
        return 0;
}

static int answer_seq(Ask *a, int64_t seq) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Event e = { 0 };
        int r;

        r = query_row(a->q, QUERY_SQL_EVENT, seq, &stmt);
        if (r <= 0)
                return r;
        event_take_what(&e, sql_column(stmt, 4));
        if (!((a->kinds >> e.kind) & 1) || !((a->origins >> e.origin) & 1))
                return 0;
        if (a->dataset != 0 && !a->came_from && sql_column(stmt, 3) != a->dataset)
                return 0;
        return answer(a, stmt);
}

/* lo and hi to where events of the right time can be; what lies before that is no stream's next. */
static int skip_untimely(Ask *a, Stream *streams, size_t n, int64_t *lo, int64_t *hi) {
        bool down = a->filter->reverse;
        int64_t low = *lo, high = *hi;
        int r = *hi > a->near ? timely_part(a, &low, &high) : 1;

        if (r < 0)
                return r;
        if (r == 0)
                *lo = *hi;
        else if (down)
                *hi = high;
        else
                *lo = low;
        for (size_t i = 0; i < n; i++)
                if (streams[i].next != 0 && (streams[i].next <= *lo || streams[i].next > *hi))
                        streams[i].known = false;
        return 0;
}

static int merge(Ask *a, Stream *streams, size_t n) {
        int64_t lo = a->lo, hi = a->hi, best, deep = 0;
        bool down = a->filter->reverse;
        int r;

        for (;;) {
                r = call_check(a->q);
                if (r == 0)
                        r = skip_untimely(a, streams, n, &lo, &hi);
                best = 0;
                for (size_t i = 0; r == 0 && i < n; i++) {
                        r = stream_next(a, &streams[i], lo, hi);
                        best = first_of(down, best, streams[i].next);
                }
                if (r == 0)
                        r = next_deep(a, lo, hi, &deep);
                best = first_of(down, best, deep);
                if (r < 0 || best == 0)
                        return r;
                for (size_t i = 0; i < n; i++)
                        if (streams[i].next == best)
                                streams[i].known = false;
                if (down)
                        hi = best - 1;
                else
                        lo = best;
                r = answer_seq(a, best);
                if (r != 0)
                        return r;
        }
}

static void streams_free(Stream *streams, size_t n) {
        for (size_t i = 0; streams && i < n; i++)
                holders_done(&streams[i].holders);
        free(streams);
}

/* 1 and the streams; 0 when a scan is needed: of a whole dataset, or of a name that had more holders than
 * are kept. */
static int open_streams(Ask *a, Stream **ret) {
        Stream *streams;
        int r = 1;

        if (a->n_places == 0)
                return 0;
        streams = calloc(a->n_places, sizeof(*streams));
        if (!streams)
                return -ENOMEM;
        for (size_t i = 0; r == 1 && i < a->n_places; i++) {
                if (a->places[i].path.size == 0) {
                        r = 0;
                        break;
                }
                r = holders_find(a->q, &a->places[i], &streams[i].holders);
                r = r == -E2BIG ? 0 : r == 0 ? 1 : r;
        }
        if (r == 1)
                *ret = streams;
        else
                streams_free(streams, a->n_places);
        return r;
}

/* Events before the answer cannot be as young as `since`: time + behind never falls from batch to batch. */
static int bound_since(Ask *a) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int64_t wanted = a->filter->since - early_max, lo = a->lo, hi = a->hi;
        int r = 0;

        while (r >= 0 && lo < hi) {
                int64_t middle = lo + (hi - lo) / 2 + 1;

                r = query_row(a->q, QUERY_SQL_BATCH, middle, &stmt);
                if (r <= 0)
                        return r;
                if (sql_column(stmt, 1) + sql_column(stmt, 2) < wanted)
                        lo = MAX_OF(middle, sql_column(stmt, 4));
                else
                        hi = MIN_OF(middle - 1, sql_column(stmt, 0) - 1);
        }
        a->lo = lo;
        return 0;
}

/* Batches at the end that are too young for all that is asked are left out. */
static int bound_until(Ask *a) {
        int64_t until = MIN_OF(a->filter->until, INT64_MAX - late_max), last;
        int r = moment_bound(a->q, until + late_max, &last);

        if (r == 0)
                a->hi = MIN_OF(a->hi, last);
        return r == 0 ? moment_bound(a->q, until + STORE_LATE_USEC, &a->near) : r;
}

static int bound_as_of(Ask *a) {
        int64_t last;
        int r = moment_find(a->q, a->filter->as_of, &last);

        if (r == 0)
                a->hi = MIN_OF(a->hi, last);
        return r;
}

static int bound(Ask *a) {
        const QueryEvents *f = a->filter;
        int r;

        r = last_seq(a->q, &a->newest);
        a->hi = a->newest;
        a->near = INT64_MAX;
        if (f->before != 0)
                a->hi = MIN_OF(a->hi, f->before - 1);
        a->lo = f->after;
        if (r == 0 && f->as_of != 0)
                r = bound_as_of(a);
        if (r == 0 && f->since != 0)
                r = bound_since(a);
        if (r == 0 && f->until != 0)
                r = bound_until(a);
        return r;
}

static int find_places(Ask *a) {
        const QueryEvents *f = a->filter;
        int r;

        if (f->dataset) {
                const Dataset *d = query_dataset_find(a->q, f->dataset);

                if (!d)
                        return QUERY_E_NO_DATASET;
                a->dataset = d->id;
                a->came_from = true;
        }
        a->places = f->n_paths > 0 ? calloc(f->n_paths, sizeof(*a->places)) : NULL;
        if (f->n_paths > 0 && !a->places)
                return -ENOMEM;
        for (size_t i = 0; i < f->n_paths; i++) {
                r = place_find(a->q, f->paths[i], &a->places[i]);
                if (r != 0)
                        return r;
                a->n_places++;
        }
        if (a->dataset == 0 && a->n_places == 1) {
                a->dataset = a->places[0].dataset->id;
                a->came_from = true;
        }
        return 0;
}

static int run(Ask *a) {
        Stream *streams = NULL;
        int r;

        r = call_begin(a->q);
        if (r == 0)
                r = find_places(a);
        if (r == 0)
                r = bound(a);
        if (r == 0)
                r = open_streams(a, &streams);
        if (r == 0)
                return scan(a);
        if (r != 1 || !streams)
                return r;
        r = merge(a, streams, a->n_places);
        streams_free(streams, a->n_places);
        return r;
}

int query_events(Query *q, const QueryEvents *filter, QueryEventFn fn, void *userdata) {
        Ask a = { .q = q, .filter = filter, .fn = fn, .userdata = userdata };
        int r;

        assert(q);
        assert(filter);
        assert(fn);

        a.kinds = filter->kinds ? filter->kinds : UINT32_MAX;
        a.origins = filter->origins ? filter->origins : UINT32_MAX;
        r = run(&a);
        for (size_t i = 0; i < a.n_places; i++)
                place_done(&a.places[i]);
        free(a.places);
        return call_end(q, r);
}
