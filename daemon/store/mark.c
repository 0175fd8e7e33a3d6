/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* mark: in which events something happened beneath a directory, for who asks for the log of one. Of the tile
 * of events that is being filled the sets are in memory, and are written when it is full or with the commit;
 * when 16 tiles are full, they are merged into one above them. So what is written is written in order,
 * however large the tree is and wherever in it people work. A directory is above a name if it was when the
 * event was recorded. */

enum { UPS = 4096, NONE = -1 };

static size_t place_of(int64_t directory, size_t n) {
        return (size_t) ((uint64_t) directory * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (n - 1);
}

/* The rows. */

static int rehash(StoreTrails *t) {
        size_t n = MAX_OF(2 * t->n_slots, (size_t) 512);
        uint32_t *slots = calloc(n, sizeof(*slots));

        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < t->n; i++) {
                size_t at = place_of(t->rows[i].directory, n);

                while (slots[at] != 0)
                        at = (at + 1) & (n - 1);
                slots[at] = (uint32_t) i + 1;
        }
        free(t->slots);
        t->slots = slots;
        t->n_slots = n;
        return 0;
}

/* The index of a directory's row, made when there is none. */
static int row_of(StoreTrails *t, int64_t directory, uint32_t *ret) {
        StoreTrail *rows;
        size_t at;
        int r = 2 * (t->n + 1) > t->n_slots ? rehash(t) : 0;

        if (r < 0)
                return r;
        for (at = place_of(directory, t->n_slots); t->slots[at] != 0; at = (at + 1) & (t->n_slots - 1))
                if (t->rows[t->slots[at] - 1].directory == directory) {
                        *ret = t->slots[at] - 1;
                        return 0;
                }
        rows = array_room(t->rows, t->n, &t->max, 256, sizeof(*rows));
        if (!rows)
                return -ENOMEM;
        t->rows = rows;
        rows[t->n++] = (StoreTrail) { .directory = directory };
        t->slots[at] = (uint32_t) t->n;
        *ret = (uint32_t) t->n - 1;
        return 0;
}

static void clear_rows(StoreTrails *t) {
        t->n = 0;
        t->above = 0;
        if (t->slots)
                memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
}

/* Tiles of the table. */

typedef struct Cursor {                 /* of the entries of a tile, row by row */
        unsigned level;
        int64_t index;
        TrailIn in;
        uint8_t data[TRAIL_ROW_MAX];
} Cursor;

static int next_row(Store *s, Cursor *c) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Bytes data;
        int r = sql_get(&s->sql, SQL_TRAIL_GET, &stmt);

        if (r < 0 || c->in.directory == INT64_MAX)
                return r < 0 ? r : 0;
        sql_bind(stmt, 1, c->level);
        sql_bind(stmt, 2, c->index);
        sql_bind(stmt, 3, c->in.directory + 1);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r;
        data = sql_column_bytes(stmt, 1);
        c->in.directory = sql_column(stmt, 0);
        c->in.rest = BYTES(c->data, MIN_OF(data.size, sizeof(c->data)));
        if (data.size > 0)
                memcpy(c->data, data.data, c->in.rest.size);
        return 1;
}

/* What cannot be read is passed over: verify finds that it is missing, and recording goes on. */
static int next_entry(Store *s, Cursor *c) {
        int r = trail_next(&c->in);

        for (; r <= 0; r = trail_next(&c->in)) {
                r = next_row(s, c);
                if (r <= 0)
                        break;
        }
        return r;
}

typedef struct Writer {
        Store *s;
        unsigned level;
        int64_t index;
        TrailOut out;
} Writer;

static int write_row(Writer *w) {
        sqlite3_stmt *stmt;
        int r = w->out.size > 0 ? sql_get(&w->s->sql, SQL_TRAIL_ADD, &stmt) : 0;

        if (r < 0 || w->out.size == 0)
                return r;
        sql_bind(stmt, 1, w->level);
        sql_bind(stmt, 2, w->index);
        sql_bind(stmt, 3, w->out.first);
        sql_bind_bytes(stmt, 4, BYTES(w->out.data, w->out.size));
        w->out.size = 0;
        return store_run(w->s, stmt);
}

static int write_entry(Writer *w, int64_t directory, const TrailSet *set) {
        trail_put(&w->out, directory, set);
        return w->out.size >= TRAIL_ROW ? write_row(w) : 0;
}

/* One directory of the tiles below: the least that is left. */
static int merge_entry(Store *s, Cursor *cursors, bool *left, Writer *w) {
        TrailSet set = { 0 };
        int64_t least = INT64_MAX;
        int r = 0;

        for (unsigned i = 0; i < TRAIL_FAN; i++)
                if (left[i])
                        least = MIN_OF(least, cursors[i].in.directory);
        for (unsigned i = 0; r >= 0 && i < TRAIL_FAN; i++) {
                if (!left[i] || cursors[i].in.directory != least)
                        continue;
                set.bits[0] |= UINT64_C(1) << i;
                r = next_entry(s, &cursors[i]);
                left[i] = r > 0;
        }
        if (r < 0 || least == INT64_MAX)
                return r;
        r = write_entry(w, least, &set);
        return r < 0 ? r : 1;
}

static int merge(Store *s, unsigned level, int64_t index) {
        Writer w = { .s = s, .level = level, .index = index };
        Cursor cursors[TRAIL_FAN];
        bool left[TRAIL_FAN];
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < TRAIL_FAN; i++) {
                cursors[i].level = level - 1;
                cursors[i].index = index * TRAIL_FAN + i;
                cursors[i].in = (TrailIn) { .rest = BYTES(cursors[i].data, 0) };
                r = next_entry(s, &cursors[i]);
                left[i] = r > 0;
        }
        while (r >= 0 && (r = merge_entry(s, cursors, left, &w)) > 0)
                ;
        return r < 0 ? r : write_row(&w);
}

static int load_tile(Store *s, int64_t index) {
        Cursor c = { .index = index };
        StoreTrails *t = &s->trails;
        uint32_t row;
        int r;

        clear_rows(t);
        c.in.rest = BYTES(c.data, 0);
        while ((r = next_entry(s, &c)) > 0) {
                r = row_of(t, c.in.directory, &row);
                if (r < 0)
                        return r;
                t->rows[row].at = c.in.set;
        }
        t->index = index;
        t->known = r == 0;
        return r;
}

static int by_directory(const void *a, const void *b) {
        const StoreTrail *x = *(StoreTrail *const *) a, *y = *(StoreTrail *const *) b;

        return x->directory < y->directory ? -1 : x->directory > y->directory;
}

static int write_tile(Store *s) {
        StoreTrails *t = &s->trails;
        CLEANUP(freep) StoreTrail **sorted = calloc(MAX_OF(t->n, (size_t) 1), sizeof(StoreTrail *));
        Writer w = { .s = s, .index = t->index };
        sqlite3_stmt *stmt;
        int r = sorted ? sql_get(&s->sql, SQL_TRAIL_CLEAR, &stmt) : -ENOMEM;

        if (r < 0)
                return r;
        sql_bind(stmt, 1, t->index);
        r = store_run(s, stmt);
        for (size_t i = 0; i < t->n; i++)
                sorted[i] = &t->rows[i];
        qsort(sorted, t->n, sizeof(*sorted), by_directory);
        for (size_t i = 0; r == 0 && i < t->n; i++)
                r = write_entry(&w, sorted[i]->directory, &sorted[i]->at);
        return r < 0 ? r : write_row(&w);
}

int trails_flush(Store *s) {
        int r = s->trails.fresh ? write_tile(s) : 0;

        s->trails.fresh = false;
        return r;
}

static int end_tile(Store *s) {
        int64_t index = s->trails.index;
        int r = trails_flush(s);

        for (unsigned level = 1; r == 0 && index % TRAIL_FAN == TRAIL_FAN - 1; level++) {
                index /= TRAIL_FAN;
                r = merge(s, level, index);
        }
        clear_rows(&s->trails);
        s->trails.index++;
        return r;
}

/* What is above. */

static int link_above(Store *s, StoreStatement which, int64_t node, int64_t *seq, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = sql_get(&s->sql, which, &stmt);

        *ret = 0;
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        if (which == SQL_LINK_WAS)
                sql_bind(stmt, 2, *seq);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r;
        *ret = sql_column(stmt, 0);
        if (which == SQL_LINK_WAS && sql_column(stmt, 2) != 0 && sql_column(stmt, 2) <= *seq)
                *seq = sql_column(stmt, 2) - 1;
        return 0;
}

/* The directory in which it is now: 0 when it is a dataset's root, NONE when it has no name. */
static int above_now(Store *s, int64_t node, int64_t *ret) {
        StoreUp *up = &s->trails.ups[place_of(node, UPS)];
        bool root;
        int r;

        if (up->node == node) {
                *ret = up->parent;
                return 0;
        }
        r = roots_have(s, node, &root);
        *ret = 0;
        if (r == 0 && !root)
                r = link_above(s, SQL_LINK_UP, node, NULL, ret);
        if (r == 0 && !root && *ret == 0)       /* it may be among what is gathered */
                r = bulk_flush(s);
        if (r == 0 && !root && *ret == 0)
                r = link_above(s, SQL_LINK_UP, node, NULL, ret);
        if (r < 0)
                return r;
        if (!root && *ret == 0)
                *ret = NONE;
        else
                *up = (StoreUp) { node, *ret };
        return 0;
}

/* The same as of an event; of one that was gone by then, where it was when it went. */
static int above_then(Store *s, int64_t node, int64_t *seq, int64_t *ret) {
        bool root;
        int r = roots_have(s, node, &root);

        *ret = 0;
        return r < 0 || root ? r : link_above(s, SQL_LINK_WAS, node, seq, ret);
}

/* The rows of a directory and of those above it, but for the root, into chain. */
static int climb(Store *s, int64_t directory, int64_t seq, bool past) {
        StoreTrails *t = &s->trails;
        int64_t up = 0;
        int r = 0;

        t->n_chain = 0;
        t->deep = false;
        for (int64_t at = directory; r == 0; at = up) {
                if (!past)
                        r = above_now(s, at, &up);
                past |= up == NONE;
                if (past && r == 0)
                        r = above_then(s, at, &seq, &up);
                t->deep = up != 0 && t->n_chain == TRAIL_DEPTH;
                if (r < 0 || up == 0 || t->deep)
                        break;
                r = row_of(t, at, &t->chain[t->n_chain++]);
        }
        t->above = r == 0 ? directory : 0;
        return r;
}

static int mark(Store *s, int64_t directory, int64_t seq, bool past) {
        StoreTrails *t = &s->trails;
        unsigned at = (unsigned) (seq % TRAIL_WIDTH);
        int r = 0;

        if (t->above != directory || past)
                r = climb(s, directory, seq, past);
        for (size_t i = 0; r == 0 && i < t->n_chain; i++)
                t->rows[t->chain[i]].at.bits[at / 64] |= UINT64_C(1) << (at % 64);
        s->deep |= t->deep;
        t->fresh |= t->n_chain > 0;
        return r;
}

static int mark_event(Store *s, const Event *e, bool past) {
        StoreTrails *t = &s->trails;
        int64_t directory = e->parent ? e->parent : e->node;
        int r = 0;

        if (!t->ups)
                t->ups = calloc(UPS, sizeof(*t->ups));
        if (!t->ups)
                return -ENOMEM;
        if (!t->known || t->index != e->seq / TRAIL_WIDTH)
                r = load_tile(s, e->seq / TRAIL_WIDTH);
        s->deep = false;
        if (e->introduces && e->has_state && e->type == TYPE_DIRECTORY && e->parent != 0)
                t->ups[place_of(e->node, UPS)] = (StoreUp) { e->node, e->parent };
        if (r == 0 && directory != 0)
                r = mark(s, directory, e->seq, past);
        if (r == 0 && e->old_parent != 0 && e->old_parent != directory)
                r = mark(s, e->old_parent, e->seq, past);
        return r == 0 && e->seq % TRAIL_WIDTH == TRAIL_WIDTH - 1 ? end_tile(s) : r;
}

int trails_mark(Store *s, const Event *e) {
        return mark_event(s, e, false);
}

/* An event that cannot be read leaves no trail. */
int trails_rebuild(Store *s) {
        StoreTrails *t = &s->trails;
        int64_t newest;
        Event e;
        int r = sql_number(s->sql.db, "SELECT max(seq) FROM event", &newest);

        t->known = true;
        t->index = 0;
        reader_seek(s->reader, 0);
        while (r >= 0 && (r = reader_next(s->reader, &e)) > 0) {
                if (r != READER_EVENT)
                        continue;
                while (r >= 0 && t->index < e.seq / TRAIL_WIDTH)
                        r = end_tile(s);
                if (r >= 0)
                        r = mark_event(s, &e, true);
        }
        reader_seek(s->reader, 0);
        while (r >= 0 && t->index < (newest + 1) / TRAIL_WIDTH)
                r = end_tile(s);
        if (r >= 0)
                r = trails_flush(s);
        trails_forget(s);
        return r;
}

void trails_moved(Store *s, int64_t directory) {
        StoreTrails *t = &s->trails;

        t->above = 0;
        if (t->ups && directory == 0)
                memset(t->ups, 0, UPS * sizeof(*t->ups));
        else if (t->ups && t->ups[place_of(directory, UPS)].node == directory)
                t->ups[place_of(directory, UPS)] = (StoreUp) { 0 };
}

void trails_forget(Store *s) {
        StoreTrails *t = &s->trails;

        t->known = t->fresh = false;
        trails_moved(s, 0);
}

void trails_done(StoreTrails *t) {
        free(t->rows);
        free(t->slots);
        free(t->ups);
        *t = (StoreTrails) { 0 };
}
