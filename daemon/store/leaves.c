/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* Events as leaves of a tree. Its right edge is kept in memory; at a start it is made again from the rows of
 * the newest events (at most 255) and from the last tiles of each level. Where these are damaged, the last
 * checkpoint has left the leaves that it covers; where it has not, there is no tree from then on: events are
 * recorded, and nothing is sealed. So it is for a store of a form without tiles that has a damaged event. */

static int put_part(Store *s, int which, unsigned level, int64_t index, Bytes data) {
        sqlite3_stmt *stmt;
        int r = sql_get(&s->sql, which, &stmt);         /* what is fresh is none of its business */

        if (r < 0)
                return r;
        sql_bind(stmt, 1, level);
        sql_bind(stmt, 2, index);
        sql_bind_bytes(stmt, 3, data);
        return store_run(s, stmt);
}

static int put_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        size_t head = MIN_OF(data.size, (size_t) TILE_HEAD * HASH_SIZE);
        int r = put_part(userdata, SQL_TILE_HEAD, level, index, BYTES(data.data, head));

        if (r < 0 || head == data.size)
                return r;
        return put_part(userdata, SQL_TILE_TAIL, level, index, BYTES(data.data + head, data.size - head));
}

static int hash_event(Store *s, const Event *e, Hash *ret) {
        size_t size;
        int r = event_put(e, 1, &s->leaf, &s->leaf_max, &size);

        if (r < 0)
                return r;
        hash_leaf(s->leaf, size, ret);
        return 0;
}

int leaves_add(Store *s, const Event *e) {
        Hash leaf;
        int r = 0;

        assert(e->seq == s->tree.size + 1);
        if (s->tree_lost) {
                s->tree.size++;
                return 0;
        }
        r = hash_event(s, e, &leaf);
        s->newest = leaf;
        return r < 0 ? r : tree_add(&s->tree, &leaf, put_tile, s);
}

/* Of the leaves of the n events after `after` those whose rows can be read: those are known. */
static int read_leaves(Store *s, int64_t after, unsigned n, Hash *ret, bool known[static TILE_WIDTH],
                       unsigned *ret_n) {
        Event e;
        int r = 0;

        *ret_n = 0;
        reader_seek(s->reader, after);
        while (r >= 0 && (r = reader_next(s->reader, &e)) > 0 && e.seq <= after + n) {
                int64_t at = e.seq - after - 1;

                if (r != READER_EVENT)
                        continue;
                r = hash_event(s, &e, &ret[at]);
                known[at] = r == 0;
                *ret_n += r == 0;
        }
        reader_seek(s->reader, 0);
        return r < 0 ? r : 0;
}

int leaves_of(Store *s, int64_t seq, Hash *ret) {
        bool known[TILE_WIDTH] = { 0 };
        unsigned n;
        int r = read_leaves(s, seq - 1, 1, ret, known, &n);

        return r < 0 ? r : n == 1 ? 0 : -EBADMSG;
}

/* What the table has of a tile, whole hashes only. Returns how many. */
static int get_tile(Store *s, unsigned level, int64_t index, Hash ret[static TILE_WIDTH]) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        size_t n;
        Bytes data;
        int r = store_stmt(s, SQL_TILE_GET, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, level);
        sql_bind(stmt, 2, index);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r;
        data = sql_column_bytes(stmt, 0);
        n = MIN_OF(data.size / HASH_SIZE, (size_t) TILE_WIDTH);
        if (n > 0)
                memcpy(ret, data.data, n * HASH_SIZE);
        return (int) n;
}

/* A full tile of the table; where it is not, or of another size: from the rows of its events. */
static int read_tile(Store *s, unsigned level, int64_t index, Hash ret[static TILE_WIDTH]) {
        bool known[TILE_WIDTH] = { 0 };
        unsigned n = 0;
        int r = get_tile(s, level, index, ret);

        if (r < 0 || r == TILE_WIDTH)
                return r < 0 ? r : 0;
        if (level == 0)
                r = read_leaves(s, index * TILE_WIDTH, TILE_WIDTH, ret, known, &n);
        return r < 0 ? r : n == TILE_WIDTH ? 0 : -EBADMSG;
}

/* The edge of a level above the first: the roots of the last full tiles below. */
static int load_edge(Store *s, unsigned level, int64_t tiles) {
        Hash edge[TILE_WIDTH], tile[TILE_WIDTH];
        unsigned n = (unsigned) (tiles % TILE_WIDTH);
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n; i++) {
                r = read_tile(s, level - 1, tiles - n + i, tile);
                if (r == 0)
                        hash_perfect(tile, TILE_WIDTH, &edge[i]);
        }
        return r < 0 ? r : tree_load_edge(&s->tree, level, edge, n);
}

/* The edge of the first level: what the rows say, else what the last checkpoint left. */
static int load_leaves(Store *s, int64_t tiles, unsigned n) {
        Hash edge[TILE_WIDTH];
        bool known[TILE_WIDTH] = { 0 };
        unsigned read;
        int saved = get_tile(s, 0, tiles, edge), r;

        if (saved < 0)
                return saved;
        memset(known, true, MIN_OF((unsigned) saved, n));
        r = read_leaves(s, tiles * TILE_WIDTH, n, edge, known, &read);
        for (unsigned i = 0; r == 0 && i < n; i++)
                if (!known[i])
                        r = -EBADMSG;
        return r < 0 ? r : tree_load_edge(&s->tree, 0, edge, n);
}

int leaves_load(Store *s) {
        int64_t tiles = s->last_seq / TILE_WIDTH;
        int r;

        tree_done(&s->tree);
        s->tree.size = s->last_seq;
        r = load_leaves(s, tiles, (unsigned) (s->last_seq % TILE_WIDTH));
        for (unsigned level = 1; r == 0 && tiles > 0; level++, tiles /= TILE_WIDTH)
                r = load_edge(s, level, tiles);
        s->tree_lost = r == -EBADMSG;
        return s->tree_lost ? 0 : r;
}

int leaves_rebuild(Store *s) {
        Event e;
        int r;

        s->tree_lost = false;
        tree_done(&s->tree);
        reader_seek(s->reader, 0);
        /* Where one cannot be read there is no tree from there on, which leaves_load() finds as well. */
        while ((r = reader_next(s->reader, &e)) == READER_EVENT && e.seq == s->tree.size + 1) {
                r = leaves_add(s, &e);
                if (r < 0)
                        break;
        }
        reader_seek(s->reader, 0);
        return r < 0 ? r : 0;
}

int leaves_save_edge(Store *s) {
        int64_t tiles = s->tree.size / TILE_WIDTH;
        int r = 0;

        for (unsigned level = 0; r == 0 && level < TILE_LEVELS; level++, tiles /= TILE_WIDTH) {
                const Hash *edge;
                unsigned n = tree_edge(&s->tree, level, &edge);

                if (n > 0)
                        r = put_tile(s, level, tiles, BYTES(edge, n * sizeof(Hash)));
        }
        return r;
}

int leaves_read_back(Store *s) {
        Hash again[TILE_WIDTH];
        bool known[TILE_WIDTH] = { 0 };
        const Hash *edge;
        unsigned n, got;
        int r;

        if (s->tree_lost)
                return -EBADMSG;
        n = tree_edge(&s->tree, 0, &edge);
        r = read_leaves(s, s->tree.size - n, n, again, known, &got);
        if (r == 0 && n > 0 && (got < n || memcmp(edge, again, n * sizeof(Hash)) != 0))
                r = -EBADMSG;
        return r;
}
