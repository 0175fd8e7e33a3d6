/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/digests.h"
#include "daemon/store/sql.h"

/* The first 38 bits of a digest are its key: 10 say the slice, 28 are the upper ones of its entry, whose
 * lower 36 are the content's id. Whether the content of an entry is the right one, its row says: keys may be
 * alike, and contents may be gone.
 *
 * A content is in a slice's rows when its id is at most `upto` of the slice, else it is in memory. Slices
 * take turns, so that each has gathered as many as the others when its turn comes. Even when the newest
 * content goes no id is given that an entry has: the next one is greater than any upto. */

enum {
        KEY_BITS = 28,
        ID_BITS = 36,
        ROW_ENTRIES = 250,              /* of 8 bytes: four rows a page */
        SHARE = 64,                     /* of all contents, one in so many is in memory */
        SLACK = 512,                    /* so many more, before slices are written */
};

#define ID_MAX ((INT64_C(1) << ID_BITS) - 1)

enum { FIND, IS, READ, REMOVE, WRITE, SET, UPTO, YOUNG, LAST, ALL, STATEMENTS };

static const char *const texts[STATEMENTS] = {
        [FIND] = "SELECT entries FROM digest WHERE first >= ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
        [IS] = "SELECT 1 FROM content WHERE id = ?1 AND digest = ?2",
        [READ] = "SELECT entries FROM digest WHERE first >= ?1 AND first < ?2 ORDER BY first",
        [REMOVE] = "DELETE FROM digest WHERE first >= ?1 AND first < ?2",
        [WRITE] = "INSERT INTO digest VALUES (?1, ?2)",
        [SET] = "INSERT OR REPLACE INTO digest_slice VALUES (?1, ?2)",
        [UPTO] = "SELECT slice, upto FROM digest_slice",
        [YOUNG] = "SELECT id, digest FROM content WHERE id > ?1",
        [LAST] = "SELECT max(id) FROM content",
        [ALL] = "SELECT id, digest FROM content ORDER BY substr(digest, 1, 2)",
};

typedef struct Slice {
        int64_t upto;
        uint64_t *young;                /* in no order */
        size_t n, max;
} Slice;

struct Digests {
        sqlite3 *db;
        sqlite3_stmt *stmts[STATEMENTS];
        size_t least;
        bool loaded;
        int64_t last;                   /* the greatest id that was given */
        unsigned next;                  /* the slice whose turn it is */
        size_t n;                       /* in memory */
        Slice slices[DIGESTS_SLICES];
        uint64_t *all, *row;            /* entries of a slice; as they are in a row */
        size_t n_all, max_all, max_row;
};

static unsigned slice_of(const uint8_t *digest) {
        return (unsigned) digest[0] << 2 | digest[1] >> 6;
}

static uint64_t entry_of(const uint8_t *digest, int64_t id) {
        uint64_t key = (uint64_t) (digest[1] & 0x3f) << 22 | (uint64_t) digest[2] << 14 |
                       (uint64_t) digest[3] << 6 | digest[4] >> 2;

        return key << ID_BITS | (uint64_t) id;
}

static int64_t id_of(uint64_t entry) {
        return (int64_t) (entry & (uint64_t) ID_MAX);
}

/* What a row that begins with the entry has as its `first`. */
static int64_t first_of(unsigned slice, uint64_t entry) {
        return (int64_t) ((uint64_t) slice << KEY_BITS | entry >> ID_BITS);
}

int digests_new(sqlite3 *db, size_t least, Digests **ret) {
        Digests *d;

        assert(db && ret);
        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->db = db;
        d->least = least;
        *ret = d;
        return 0;
}

void digests_forget(Digests *d) {
        assert(d);
        for (unsigned i = 0; i < DIGESTS_SLICES; i++)
                free(d->slices[i].young);
        memset(d->slices, 0, sizeof(d->slices));
        d->n = 0;
        d->loaded = false;
}

Digests *digests_free(Digests *d) {
        if (!d)
                return NULL;
        digests_forget(d);
        for (int i = 0; i < STATEMENTS; i++)
                sqlite3_finalize(d->stmts[i]);
        free(d->all);
        free(d->row);
        free(d);
        return NULL;
}

static int ready(Digests *d, int which, sqlite3_stmt **ret) {
        int rc = SQLITE_OK;

        if (!d->stmts[which])
                rc = sqlite3_prepare_v3(d->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &d->stmts[which],
                                        NULL);
        *ret = d->stmts[which];
        return sql_errno(d->db, rc);
}

/* 1: a row; 0: none, or negative errno. Whoever got the statement resets it. */
static int step(Digests *d, sqlite3_stmt *stmt) {
        int rc = sqlite3_step(stmt);

        return rc == SQLITE_ROW ? 1 : sql_errno(d->db, rc);
}

static int run(Digests *d, int which, int64_t a, int64_t b) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = ready(d, which, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, a);
        sql_bind(stmt, 2, b);
        return step(d, stmt);
}

/* Memory. */

static int remember(Digests *d, unsigned slice, uint64_t entry) {
        Slice *s = &d->slices[slice];
        uint64_t *young = array_room(s->young, s->n, &s->max, 8, sizeof(*young));

        if (!young)
                return -ENOMEM;
        s->young = young;
        s->young[s->n++] = entry;
        d->n++;
        return 0;
}

/* *ret_from: all slices have the contents up to there. */
static int load_slices(Digests *d, int64_t *ret_from) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = ready(d, UPTO, &stmt);

        while (r >= 0 && (r = step(d, stmt)) > 0) {
                int64_t slice = sql_column(stmt, 0), upto = sql_column(stmt, 1);

                if (slice < 0 || slice >= DIGESTS_SLICES || upto < 0 || upto > ID_MAX)
                        return -EBADMSG;
                d->slices[slice].upto = upto;
                d->last = MAX_OF(d->last, upto);
        }
        d->next = 0;
        for (unsigned i = 1; i < DIGESTS_SLICES; i++)
                if (d->slices[i].upto < d->slices[d->next].upto)
                        d->next = i;
        *ret_from = d->slices[d->next].upto;
        return r;
}

static int load_young(Digests *d, int64_t from) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = ready(d, YOUNG, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, from);
        while (r >= 0 && (r = step(d, stmt)) > 0) {
                int64_t id = sql_column(stmt, 0);
                const uint8_t *digest = sqlite3_column_blob(stmt, 1);

                if (id > ID_MAX || !digest || sqlite3_column_bytes(stmt, 1) < 5)
                        return -EBADMSG;
                d->last = MAX_OF(d->last, id);
                if (id > d->slices[slice_of(digest)].upto)
                        r = remember(d, slice_of(digest), entry_of(digest, id));
        }
        return r;
}

static int load(Digests *d) {
        int64_t from;
        int r;

        if (d->loaded)
                return 0;
        digests_forget(d);
        d->last = 0;
        r = load_slices(d, &from);
        if (r == 0)
                r = load_young(d, from);
        d->loaded = r == 0;
        return r;
}

/* Finding. */

static int is(Digests *d, int64_t id, const uint8_t *digest) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = ready(d, IS, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, id);
        sql_bind_bytes(stmt, 2, BYTES(digest, 32));
        return step(d, stmt);
}

static int find_young(Digests *d, const uint8_t *digest, int64_t *ret) {
        const Slice *s = &d->slices[slice_of(digest)];
        uint64_t key = entry_of(digest, 0);
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n; i++)
                if ((s->young[i] ^ key) >> ID_BITS == 0) {
                        *ret = id_of(s->young[i]);
                        r = is(d, *ret, digest);
                }
        return r;
}

static uint64_t entry_at(const void *entries, size_t i) {
        uint64_t e;

        memcpy(&e, (const uint8_t *) entries + i * sizeof(e), sizeof(e));
        return be64toh(e);
}

/* The first entry that is not less than key. */
static size_t seek(const void *entries, size_t n, uint64_t key) {
        size_t from = 0;

        while (from < n) {
                size_t middle = from + (n - from) / 2;

                if (entry_at(entries, middle) < key)
                        from = middle + 1;
                else
                        n = middle;
        }
        return from;
}

static int find_old(Digests *d, const uint8_t *digest, int64_t *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        unsigned slice = slice_of(digest);
        uint64_t key = entry_of(digest, 0);
        const void *entries;
        size_t n;
        int r;

        if (d->slices[slice].upto == 0)
                return 0;
        r = ready(d, FIND, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, first_of(slice, 0));
        sql_bind(stmt, 2, first_of(slice, key));
        r = step(d, stmt);
        if (r <= 0)
                return r;
        entries = sqlite3_column_blob(stmt, 0);
        n = (size_t) sqlite3_column_bytes(stmt, 0) / sizeof(uint64_t);
        r = 0;
        for (size_t i = seek(entries, n, key); r == 0 && i < n; i++) {
                if ((entry_at(entries, i) ^ key) >> ID_BITS != 0)
                        break;
                *ret = id_of(entry_at(entries, i));
                r = is(d, *ret, digest);
        }
        return r;
}

int digests_get(Digests *d, const uint8_t *digest, int64_t *ret) {
        int64_t id = 0;
        int r;

        assert(d && digest && ret);
        r = load(d);
        if (r == 0)
                r = find_young(d, digest, &id);
        if (r == 0)
                r = find_old(d, digest, &id);
        if (r == 0) {
                id = d->last + 1;
                r = id > ID_MAX ? -EOVERFLOW : remember(d, slice_of(digest), entry_of(digest, id));
                d->last = r == 0 ? id : d->last;
        }
        if (r >= 0)
                *ret = id;
        return r;
}

/* Writing. */

static int compare(const void *a, const void *b) {
        uint64_t p = *(const uint64_t *) a, q = *(const uint64_t *) b;

        return p < q ? -1 : p > q;
}

static int gather(Digests *d, uint64_t entry) {
        uint64_t *all = array_room(d->all, d->n_all, &d->max_all, 2048, sizeof(*all));

        if (!all)
                return -ENOMEM;
        d->all = all;
        d->all[d->n_all++] = entry;
        return 0;
}

static int read_slice(Digests *d, unsigned slice) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = ready(d, READ, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, first_of(slice, 0));
        sql_bind(stmt, 2, first_of(slice + 1, 0));
        while (r >= 0 && (r = step(d, stmt)) > 0) {
                const void *entries = sqlite3_column_blob(stmt, 0);
                size_t n = (size_t) sqlite3_column_bytes(stmt, 0) / sizeof(uint64_t);

                for (size_t i = 0; r >= 0 && i < n; i++)
                        r = gather(d, entry_at(entries, i));
        }
        return r;
}

static int write_row(Digests *d, unsigned slice, const uint64_t *entries, size_t n) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = ready(d, WRITE, &stmt);

        while (r == 0 && n > d->max_row) {
                uint64_t *row = array_room(d->row, d->max_row, &d->max_row, ROW_ENTRIES + 1, sizeof(*row));

                if (!row)
                        return -ENOMEM;
                d->row = row;
        }
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                d->row[i] = htobe64(entries[i]);
        sql_bind(stmt, 1, first_of(slice, entries[0]));
        sql_bind_bytes(stmt, 2, BYTES(d->row, n * sizeof(*d->row)));
        return step(d, stmt);
}

/* What is gathered, in rows of much the same size; entries of one key are in one row. */
static int write_slice(Digests *d, unsigned slice) {
        size_t rows = (d->n_all + ROW_ENTRIES - 1) / ROW_ENTRIES, from = 0;
        int r = 0;

        if (d->n_all > 0)
                qsort(d->all, d->n_all, sizeof(*d->all), compare);
        for (size_t i = 1; r == 0 && i <= rows; i++) {
                size_t to = d->n_all * i / rows;

                while (to > from && to < d->n_all && (d->all[to - 1] ^ d->all[to]) >> ID_BITS == 0)
                        to++;
                if (to > from)
                        r = write_row(d, slice, d->all + from, to - from);
                from = MAX_OF(from, to);
        }
        if (r == 0)
                r = run(d, SET, slice, d->last);
        if (r == 0)
                d->slices[slice].upto = d->last;
        return r;
}

/* What is in memory goes to the slice's rows. */
static int put_slice(Digests *d, unsigned slice, DigestsGone gone, void *userdata) {
        Slice *s = &d->slices[slice];
        size_t kept = 0;
        int r;

        d->n_all = 0;
        r = read_slice(d, slice);
        for (size_t i = 0; r == 0 && i < s->n; i++)
                r = gather(d, s->young[i]);
        for (size_t i = 0; gone && r == 0 && i < d->n_all; i++)
                if (!gone(userdata, id_of(d->all[i])))
                        d->all[kept++] = d->all[i];
        if (gone)
                d->n_all = kept;
        if (r == 0)
                r = run(d, REMOVE, first_of(slice, 0), first_of(slice + 1, 0));
        if (r == 0)
                r = write_slice(d, slice);
        if (r < 0)
                return r;
        d->n -= s->n;
        free(s->young);
        *s = (Slice) { .upto = s->upto };
        return 0;
}

int digests_flush(Digests *d) {
        size_t most;
        int r = 0;

        assert(d);
        if (!d->loaded)
                return 0;
        most = MIN_OF(MAX_OF((size_t) d->last / SHARE, d->least), (size_t) DIGESTS_MOST);
        if (d->n < most + SLACK)
                return 0;
        while (r == 0 && d->n > most) {
                r = put_slice(d, d->next, NULL, NULL);
                d->next = (d->next + 1) % DIGESTS_SLICES;
        }
        return r;
}

int digests_drop(Digests *d, unsigned slice, DigestsGone gone, void *userdata) {
        int r;

        assert(d && slice < DIGESTS_SLICES && gone);
        r = load(d);
        return r < 0 ? r : put_slice(d, slice, gone, userdata);
}

/* The contents come in the order of their slices. */
static int rebuild_slices(Digests *d) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        unsigned slice = 0, to;
        int r = ready(d, ALL, &stmt), k = 1;

        d->n_all = 0;
        while (r == 0 && slice < DIGESTS_SLICES) {
                const uint8_t *digest;

                k = k > 0 ? step(d, stmt) : k;
                if (k < 0)
                        return k;
                digest = k > 0 ? sqlite3_column_blob(stmt, 1) : NULL;
                if (k > 0 && (!digest || sqlite3_column_bytes(stmt, 1) < 5 || sql_column(stmt, 0) > ID_MAX))
                        return -EBADMSG;
                to = digest ? slice_of(digest) : DIGESTS_SLICES;
                for (; r == 0 && slice < to; slice++) {
                        r = write_slice(d, slice);
                        d->n_all = 0;
                }
                if (r == 0 && digest)
                        r = gather(d, entry_of(digest, sql_column(stmt, 0)));
        }
        return r;
}

int digests_rebuild(Digests *d) {
        int r;

        assert(d);
        digests_forget(d);
        r = sql_exec(d->db, "DELETE FROM digest; DELETE FROM digest_slice");
        if (r == 0)
                r = sql_number(d->db, texts[LAST], &d->last);
        if (r == 0)
                r = rebuild_slices(d);
        digests_forget(d);
        return r;
}

/* Checking: a sum over all contents that slices should have, less one over what they have of contents that
 * are there, is 0. */

typedef struct Check {
        sqlite3 *db;
        int64_t upto[DIGESTS_SLICES];
        uint8_t *there;                 /* a bit each: there is a content with this id */
        int64_t last;                   /* the greatest such id */
        int64_t before;                 /* the key that the row before ended with */
        uint64_t sum;
        bool bad;
} Check;

static void check_done(Check *c) {
        free(c->there);
}

static uint64_t weight(unsigned slice, uint64_t entry) {
        uint64_t h = entry + (slice + 1) * UINT64_C(0x9e3779b97f4a7c15);

        h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
        return h ^ h >> 31;
}

static void check_upto(Check *c, sqlite3_stmt *row) {
        int64_t slice = sql_column(row, 0);

        c->bad |= slice < 0 || slice >= DIGESTS_SLICES;
        if (!c->bad)
                c->upto[slice] = sql_column(row, 1);
}

static void check_content(Check *c, sqlite3_stmt *row) {
        int64_t id = sql_column(row, 0);
        const uint8_t *digest = sqlite3_column_blob(row, 1);

        c->bad |= id < 1 || id > c->last || !digest || sqlite3_column_bytes(row, 1) != 32;
        if (c->bad)
                return;
        c->there[id / 8] |= (uint8_t) (1 << id % 8);
        if (id <= c->upto[slice_of(digest)])
                c->sum += weight(slice_of(digest), entry_of(digest, id));
}

/* Rows in their order; each begins after the end of the one before. */
static void check_row(Check *c, sqlite3_stmt *row) {
        int64_t first = sql_column(row, 0);
        const void *entries = sqlite3_column_blob(row, 1);
        size_t size = (size_t) sqlite3_column_bytes(row, 1), n = size / sizeof(uint64_t);
        unsigned slice = (unsigned) (first >> KEY_BITS);

        c->bad |= first <= c->before || slice >= DIGESTS_SLICES || n == 0 || size % sizeof(uint64_t) != 0 ||
                  first != first_of(slice, entry_at(entries, 0));
        for (size_t i = 0; !c->bad && i < n; i++) {
                uint64_t entry = entry_at(entries, i);
                int64_t id = id_of(entry);

                c->bad |= i > 0 && entry <= entry_at(entries, i - 1);
                c->before = first_of(slice, entry);
                if (id <= c->last && c->there[id / 8] & 1 << id % 8)
                        c->sum -= weight(slice, entry);
        }
}

static int check_each(Check *c, const char *text, void (*fn)(Check *c, sqlite3_stmt *row)) {
        sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(c->db, text, -1, &stmt, NULL);

        while ((rc == SQLITE_OK || rc == SQLITE_ROW) && (rc = sqlite3_step(stmt)) == SQLITE_ROW && !c->bad)
                fn(c, stmt);
        sqlite3_finalize(stmt);
        return sql_errno(c->db, rc);
}

int digests_check(sqlite3 *db, bool *ret) {
        CLEANUP(check_done) Check c = { .db = db, .before = -1 };
        int r;

        assert(db && ret);
        r = sql_number(db, texts[LAST], &c.last);
        if (r < 0)
                return r;
        c.bad = c.last < 0 || c.last > ID_MAX;
        c.there = calloc(c.bad ? 1 : (size_t) c.last / 8 + 1, 1);
        if (!c.there)
                return -ENOMEM;
        r = check_each(&c, texts[UPTO], check_upto);
        if (r == 0)
                r = check_each(&c, "SELECT id, digest FROM content", check_content);
        if (r == 0)
                r = check_each(&c, "SELECT first, entries FROM digest ORDER BY first", check_row);
        if (r == 0)
                *ret = !c.bad && c.sum == 0;
        return r;
}
