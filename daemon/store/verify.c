/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "daemon/store/rebuild.h"
#include "daemon/store/verify-run.h"

/* Two trees grow: one of the rows, one of the leaves that the tiles have. They are one until a row yields
 * another leaf than its tile has; then the next checkpoint says which of the two is what was signed. Where a
 * row is missing or cannot be read, the tile's leaf stands in: so all the others can still be judged. */

static const int64_t stale_usec = 2 * 24 * 3600 * (int64_t) USEC_PER_SEC;

enum { TEXT_MAX = 512 };
static const char *const texts[VERIFY_SQL_COUNT] = {
        [VERIFY_SQL_TILE] = TILE_GET,
        [VERIFY_SQL_CHECKPOINT] =
                "SELECT number, size, time, note FROM checkpoint WHERE number > ?1 AND number <= ?2"
                " ORDER BY number LIMIT 1",
        [VERIFY_SQL_PRUNED] = "SELECT upto, said FROM care WHERE what = ?1",
        [VERIFY_SQL_KEYS] = "SELECT detail FROM event WHERE kind = 21 AND seq > ?1",
};

/* The graver of two. */
static VerifyOutcome verify_worse(VerifyOutcome a, VerifyOutcome b) {
        static const int grave[] = {
                [VERIFY_SOUND] = 0,       [VERIFY_DAMAGED] = 1,   [VERIFY_UNSEALED] = 2,
                [VERIFY_UNKNOWN_KEY] = 3, [VERIFY_TRUNCATED] = 4, [VERIFY_ALTERED] = 5,
        };

        return grave[a] >= grave[b] ? a : b;
}

void verify_find(Run *r, VerifyOutcome outcome, int64_t from, int64_t to, const char *format, ...) {
        char text[TEXT_MAX];
        va_list args;

        r->result->outcome = verify_worse(outcome, r->result->outcome);
        if (r->result->findings++ >= VERIFY_FINDINGS_MAX) {
                r->result->untold++;
                return;
        }
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        r->told = true;
        if (r->v->found)
                r->v->found(r->v->userdata, &(VerifyFinding) { outcome, from, to, text });
}

/* "event 7 is" or "events 7 to 9 are" */
void verify_find_range(Run *r, VerifyOutcome outcome, const Range *g, const char *one, const char *many) {
        if (g->from == g->to)
                verify_find(r, outcome, g->from, g->to, "event %lld %s", (long long) g->from, one);
        else
                verify_find(r, outcome, g->from, g->to, "events %lld to %lld %s", (long long) g->from,
                            (long long) g->to, many);
}

/* Adds seq to the run of rows, or ends that and begins another. */
static void extend(Run *r, Range *g, int64_t seq, void (*end)(Run *r, const Range *g)) {
        if (g->from != 0 && seq != g->to + 1) {
                end(r, g);
                g->from = 0;
        }
        if (g->from == 0)
                g->from = seq;
        g->to = seq;
}

static void end_gone(Run *r, const Range *g) {
        verify_find_range(r, VERIFY_ALTERED, g, "is gone", "are gone");
}

static void end_unreadable(Run *r, const Range *g) {
        verify_find_range(r, VERIFY_DAMAGED, g, "cannot be read", "cannot be read");
}

void verify_end_differ(Run *r, const Range *g) {
        Range *differs = array_room(r->differs, r->n_differs, &r->max_differs, 64, sizeof(*differs));

        if (!differs) {
                r->error = -ENOMEM;
                return;
        }
        r->differs = differs;
        differs[r->n_differs++] = *g;
}

int verify_prepare(Run *r, int which, sqlite3_stmt **ret) {
        int rc = SQLITE_OK;

        if (!r->stmts[which])
                rc = sqlite3_prepare_v2(r->db, texts[which], -1, &r->stmts[which], NULL);
        *ret = r->stmts[which];
        if (rc == SQLITE_OK)
                sqlite3_reset(*ret);
        return sql_errno(r->db, rc);
}

/* The hashes of a stored tile, into ret; their number, 0 when it is missing or cannot be read. Negative
 * errno but for damage. */
static int read_tile(Run *r, unsigned level, int64_t index, Hash ret[static TILE_WIDTH]) {
        sqlite3_stmt *stmt;
        Bytes data = BYTES_NONE;
        int rc, n = verify_prepare(r, VERIFY_SQL_TILE, &stmt);

        if (n < 0)
                return n == -EBADMSG ? 0 : n;
        sql_bind(stmt, 1, level);
        sql_bind(stmt, 2, index);
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
                data = sql_column_bytes(stmt, 0);
        n = sql_errno(r->db, rc);
        if (n == 0 && data.data && data.size <= TILE_SIZE && data.size % HASH_SIZE == 0) {
                n = (int) (data.size / HASH_SIZE);
                memcpy(ret, data.data, data.size);
        }
        sqlite3_reset(stmt);
        return n == -EBADMSG ? 0 : n;
}

/* A tile that the rows have filled. Those of level 0 have been compared leaf by leaf. */
static int compare_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        Run *r = userdata;
        Hash stored[TILE_WIDTH];
        int64_t width = INT64_C(1) << (TILE_HEIGHT * (level + 1));
        int n;

        if (level == 0) {
                if (r->n_stored != TILE_WIDTH)
                        verify_find(r, VERIFY_DAMAGED, index * width + 1, (index + 1) * width,
                                    "the tile of events %lld to %lld is missing or not whole",
                                    (long long) (index * width + 1), (long long) ((index + 1) * width));
                return 0;
        }
        n = read_tile(r, level, index, stored);
        if (n < 0)
                return n;
        if (n != TILE_WIDTH || memcmp(stored, data.data, TILE_SIZE) != 0)
                verify_find(r, VERIFY_DAMAGED, index * width + 1, (index + 1) * width,
                            "the tile of level %u of events %lld to %lld is %s", level,
                            (long long) (index * width + 1), (long long) ((index + 1) * width),
                            n == TILE_WIDTH ? "damaged" : "missing or not whole");
        return 0;
}

/* The last tiles of the upper levels, as far as a checkpoint has left them; one of a later time has more. */
static int compare_edges(Run *r) {
        int64_t tiles = r->total / TILE_WIDTH;  /* full ones of the level below */

        for (unsigned level = 1; tiles > 0; level++, tiles /= TILE_WIDTH) {
                int64_t index = tiles / TILE_WIDTH, first = (index << (TILE_HEIGHT * (level + 1))) + 1;
                Hash stored[TILE_WIDTH];
                const Hash *edge;
                unsigned n = tree_edge(&r->rows, level, &edge);
                int k = n > 0 ? read_tile(r, level, index, stored) : 0;

                if (k < 0)
                        return k;
                if (k > 0 && memcmp(stored, edge, MIN_OF((unsigned) k, n) * sizeof(Hash)) != 0)
                        verify_find(r, VERIFY_DAMAGED, first, r->total,
                                    "the last tile of level %u, of events %lld to %lld, is damaged", level,
                                    (long long) first, (long long) r->total);
        }
        return 0;
}

static int no_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        (void) userdata, (void) level, (void) index, (void) data;
        return 0;
}

/* The rows. */

/* The next event into r->event. One that the database cannot give is passed over: its neighbours may be
 * readable. */
static int advance(Run *r, int64_t seq) {
        int k;

        if (r->told) {
                r->told = r->has_event = r->at_end = false;
                reader_seek(r->reader, seq - 1);
        }
        while (!r->has_event && !r->at_end) {
                k = reader_next(r->reader, &r->event);
                if (k == -EBADMSG) {
                        reader_seek(r->reader, seq);
                        r->event.seq = seq;
                        return READER_DAMAGED;
                }
                if (k < 0)
                        return k;
                if (k == READER_DAMAGED)
                        return READER_DAMAGED;
                r->has_event = k == READER_EVENT;
                r->at_end = k == 0;
        }
        return READER_EVENT;
}

static int load_stored(Run *r, int64_t tile) {
        int n = read_tile(r, 0, tile, r->stored);

        r->n_stored = n > 0 ? (unsigned) n : 0;
        return n < 0 ? n : 0;
}

/* Up to where rows may be gone. Read anew when one is missing, since it may have begun meanwhile; what it
 * says has to be found in the log, too. */
static int load_pruned(Run *r, Pruned *p, const char *what) {
        sqlite3_stmt *stmt;
        int rc, k = verify_prepare(r, VERIFY_SQL_PRUNED, &stmt);

        if (k < 0)
                return k == -EBADMSG ? 0 : k;
        sql_bind_text(stmt, 1, what);
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
                p->upto = sql_column(stmt, 0);
                p->said = sql_column(stmt, 1);
        }
        k = sql_errno(r->db, rc);
        sqlite3_reset(stmt);
        return k == -EBADMSG ? 0 : k;
}

bool verify_pruned(Run *r, Pruned *p, const char *what, int64_t number, int64_t n) {
        if (number > p->upto && r->error == 0)
                r->error = load_pruned(r, p, what);
        if (r->error < 0 || number > p->upto)
                return false;
        p->missing += n;
        return true;
}

/* What the log says was pruned: events up to N ("N"), or checkpoints ("checkpoints N"). */
static void note_pruned(Run *r, const Event *e) {
        static const char word[] = "checkpoints ";
        const size_t n = sizeof(word) - 1;
        bool events = e->detail.size < n || memcmp(e->detail.data, word, n) != 0;
        Pruned *p = events ? &r->events : &r->checkpoints;
        int64_t upto;

        if (e->kind == KIND_PRUNE &&
            note_number(events ? e->detail : BYTES(e->detail.data + n, e->detail.size - n), &upto) == 0)
                p->seen = MAX_OF(p->seen, upto);
}

/* The log says that it lost events: how many there had been. Without a number all were saved. */
static void check_lost(Run *r, const Event *e) {
        int64_t had;

        if (e->detail.size == 0)
                return;
        if (note_number(e->detail, &had) < 0 || had < e->seq)
                verify_find(r, VERIFY_TRUNCATED, e->seq, e->seq,
                            "before event %lld another store was put in the place of this one, of which "
                            "nothing is left",
                            (long long) e->seq);
        else
                verify_find(r, VERIFY_TRUNCATED, e->seq, had,
                            "events %lld to %lld, as they were recorded first, are gone: an older store was "
                            "put in the place of this one, or it lost them",
                            (long long) e->seq, (long long) had);
}

/* The leaf of event seq: 1 from its row; 0 there is none, or it cannot be read, and that has been told. */
static int row_leaf(Run *r, int64_t seq, Hash *ret) {
        size_t size;
        int k = advance(r, seq);

        r->incomplete |= k == READER_DAMAGED || (k >= 0 && (!r->has_event || r->event.seq != seq));
        if (k == READER_DAMAGED && r->event.seq == seq) {
                extend(r, &r->unreadable, seq, end_unreadable);
                return 0;
        }
        if (k < 0)
                return k;
        if (k == READER_DAMAGED) /* a later one: it will have its turn */
                reader_seek(r->reader, r->event.seq - 1);
        if (k == READER_DAMAGED || !r->has_event || r->event.seq != seq) {
                if (!verify_pruned(r, &r->events, "prune", seq, 1))
                        extend(r, &r->gone, seq, end_gone);
                return r->error;
        }
        r->has_event = false;
        note_pruned(r, &r->event);
        k = event_put(&r->event, 1, &r->leaf, &r->leaf_max, &size);
        if (k < 0)
                return k;
        hash_leaf(r->leaf, size, ret);
        return 1;
}

static int add_leaf(Run *r, int64_t seq, const Hash *row, const Hash *tile) {
        int k;

        if (!hash_equal(row, tile)) {
                if (!r->forked) {
                        k = tree_copy(&r->rows, &r->tiles);
                        if (k < 0)
                                return k;
                }
                r->forked = true;
                extend(r, &r->differ, seq, verify_end_differ);
        }
        k = tree_add(&r->rows, row, compare_tile, r);
        if (k == 0 && r->forked)
                k = tree_add(&r->tiles, tile, no_tile, NULL);
        return k < 0 ? k : r->error;
}

static int check_event(Run *r, int64_t seq) {
        unsigned at = (unsigned) ((seq - 1) % TILE_WIDTH);
        Hash leaf = { 0 };
        int k = 0, from_row;

        if (at == 0)
                k = load_stored(r, (seq - 1) / TILE_WIDTH);
        if (k < 0)
                return k;
        from_row = row_leaf(r, seq, &leaf);
        if (from_row < 0)
                return from_row;
        if (from_row == 0 && at < r->n_stored)
                leaf = r->stored[at];
        if (from_row && r->event.kind == KIND_KEY)
                k = seals_key(r, &r->event);
        if (from_row && r->event.kind == KIND_STORE_LOST)
                check_lost(r, &r->event);
        if (k == 0)
                k = add_leaf(r, seq, &leaf, at < r->n_stored ? &r->stored[at] : &leaf);
        return k < 0 ? k : seals_judge(r);
}

static int slice(Run *r, int64_t seq) {
        if (seq % VERIFY_SLICE != 0)
                return 0;
        r->told = true; /* and the snapshot ends */
        reader_seek(r->reader, seq);
        return r->v->progress && r->v->progress(r->v->userdata, seq, r->total) != 0 ? -ECANCELED : 0;
}

static int check_events(Run *r) {
        int k = 0;

        for (int64_t seq = 1; k == 0 && seq <= r->total; seq++) {
                k = check_event(r, seq);
                if (k == 0)
                        k = slice(r, seq);
        }
        if (k == 0 && r->gone.from != 0)
                end_gone(r, &r->gone);
        if (k == 0 && r->unreadable.from != 0)
                end_unreadable(r, &r->unreadable);
        if (k == 0)
                seals_differ(r, VERIFY_ALTERED, "differs from its leaf in the tile",
                             "differ from their leaves in the tile");
        if (k == 0 && !r->forked)
                k = compare_edges(r);
        r->result->events = r->total;
        return k < 0 ? k : r->error;
}

/* Rows were passed over because a number in a table allowed it: the log must say the same. When that was
 * said after this began, its row will do. */
static int check_pruned(Run *r, Pruned *p, const char *what) {
        Event e;
        int k;

        if (p->missing == 0)
                return 0;
        if (p->seen < p->upto && p->said > r->total) {
                reader_seek(r->reader, p->said - 1);
                k = reader_next(r->reader, &e);
                if (k < 0 && k != -EBADMSG)
                        return k;
                if (k == READER_EVENT)
                        note_pruned(r, &e);
        }
        if (p->seen < p->upto)
                verify_find(r, VERIFY_ALTERED, 0, 0,
                            "%lld %s up to %lld are gone as if they had been pruned, and the log says "
                            "nothing of that",
                            (long long) p->missing, what, (long long) p->upto);
        return 0;
}

/* What is not there any more: checkpoints, and points of others, beyond the last event. */
static int check_end(Run *r) {
        int64_t last = r->total;
        int k = 0;

        while (k == 0 && r->has_checkpoint) {
                last = MAX_OF(last, r->checkpoint.size);
                k = seals_signature(r);
                if (k == 0)
                        k = seals_next(r);
        }
        if (r->next_against < r->v->n_against)
                last = MAX_OF(last, r->against[r->v->n_against - 1].size);
        r->result->against += r->v->n_against - r->next_against;
        if (last > r->total)
                verify_find(r, VERIFY_TRUNCATED, r->total + 1, last,
                            "events %lld to %lld, which were sealed, are gone", (long long) r->total + 1,
                            (long long) last);
        return k;
}

static void check_seals(Run *r) {
        const VerifyResult *s = r->result;

        if (s->checkpoints == 0)
                verify_find(r, VERIFY_UNSEALED, 0, 0,
                            "there is no checkpoint: nothing says what was recorded");
        else if (r->n_keys == 0)
                verify_find(r, VERIFY_UNKNOWN_KEY, 0, 0, "the log names no key");
        else if (r->v->now != 0 && s->time < r->v->now - stale_usec)
                verify_find(r, VERIFY_TRUNCATED, 0, 0,
                            "the newest checkpoint is %lld days old: what came after it is missing, unless "
                            "nothing has been recorded since",
                            (long long) ((r->v->now - s->time) / (stale_usec / 2)));
}

/* What the database says of itself; and rows that no event can be. */
static int check_database(Run *r) {
        sqlite3_stmt *stmt = NULL;
        int64_t strange;
        int rc, k = sql_number(r->db, "SELECT count(*) FROM event WHERE seq < 1", &strange);

        if (k == 0 && strange != 0)
                verify_find(r, VERIFY_ALTERED, 0, 0, "there are events with a number below 1");
        if (k == -EBADMSG)
                verify_find(r, VERIFY_DAMAGED, 0, 0, "the table of events is damaged");
        if (!r->v->scratch)
                return k == -EBADMSG ? 0 : k;
        rc = sqlite3_prepare_v2(r->db, "PRAGMA integrity_check(20)", -1, &stmt, NULL);
        while (rc == SQLITE_OK || rc == SQLITE_ROW) {
                const char *text;

                rc = sqlite3_step(stmt);
                text = rc == SQLITE_ROW ? (const char *) sqlite3_column_text(stmt, 0) : NULL;
                if (text && strcmp(text, "ok") != 0)
                        verify_find(r, VERIFY_DAMAGED, 0, 0, "the database is damaged: %.200s", text);
        }
        sqlite3_finalize(stmt);
        k = sql_errno(r->db, rc);
        if (k == -EBADMSG)
                verify_find(r, VERIFY_DAMAGED, 0, 0, "the database is damaged: %s", sqlite3_errmsg(r->db));
        return k == -EBADMSG ? 0 : k;
}

static void tell_row(void *userdata, const char *table, const char *key) {
        verify_find(userdata, VERIFY_DAMAGED, 0, 0, "table %s is not what its events make of it, at %s",
                    table, key);
}

/* What follows from the events. Only of events that are all there: else it would tell the same once more. */
static int check_projections(Run *r) {
        CLEANUP(store_closep) Store *anew = NULL;
        int64_t seq, n = 0;
        int k;

        if (!r->v->scratch || r->result->outcome == VERIFY_ALTERED || r->incomplete)
                return 0;
        k = rebuild(r->db, r->v->scratch, NULL, NULL, &anew, &seq);
        if (k == -EBADMSG) {
                verify_find(r, VERIFY_DAMAGED, seq + 1, seq + 1, "event %lld cannot be applied again",
                            (long long) seq + 1);
                return 0;
        }
        if (k == 0)
                k = rebuild_compare(r->db, anew, tell_row, r, &n);
        if (k == -EBADMSG) {
                verify_find(r, VERIFY_DAMAGED, 0, 0, "what follows from the events cannot be read");
                return 0;
        }
        r->result->projections = k == 0;
        return k;
}

static int by_size(const void *a, const void *b) {
        const VerifyPoint *p = a, *q = b;

        return p->size < q->size ? -1 : p->size > q->size;
}

static int begin(Run *r) {
        int k = reader_new(r->db, &r->reader);

        if (k == 0) /* in this order: what is sealed meanwhile is left for another time */
                k = sql_number(r->db, "SELECT max(number) FROM checkpoint", &r->numbers);
        if (k == 0)
                k = sql_number(r->db, "SELECT max(seq) FROM event", &r->total);
        if (k < 0)
                return k;
        r->against = calloc(MAX_OF(r->v->n_against, (size_t) 1), sizeof(*r->against));
        if (!r->against)
                return -ENOMEM;
        if (r->v->n_against > 0)
                memcpy(r->against, r->v->against, r->v->n_against * sizeof(*r->against));
        qsort(r->against, r->v->n_against, sizeof(*r->against), by_size);
        reader_seek(r->reader, 0);
        return seals_next(r);
}

static void done(Run *r) {
        for (int i = 0; i < VERIFY_SQL_COUNT; i++)
                sqlite3_finalize(r->stmts[i]);
        reader_free(r->reader);
        tree_done(&r->rows);
        tree_done(&r->tiles);
        free(r->leaf);
        free(r->differs);
        free(r->keys);
        free(r->against);
        free(r);
}

int verify_run(sqlite3 *db, const Verify *v, VerifyResult *ret) {
        VerifyResult result = { 0 };
        Run *r = calloc(1, sizeof(*r));
        int k;

        assert(db && v && ret);
        if (!r)
                return -ENOMEM;
        r->db = db;
        r->v = v;
        r->result = &result;
        k = begin(r);
        if (k == 0)
                k = check_events(r);
        if (k == 0)
                k = check_pruned(r, &r->events, "events");
        if (k == 0)
                k = check_pruned(r, &r->checkpoints, "checkpoints");
        if (k == 0)
                k = check_end(r);
        if (k == 0)
                k = check_database(r);
        if (k == 0)
                k = check_projections(r);
        if (k == 0) {
                check_seals(r);
                result.pruned = r->events.missing;
                result.keys = (int64_t) r->n_keys;
                if (r->n_keys > 0)
                        result.first_key = r->keys[0].key;
                *ret = result;
        }
        done(r);
        return k;
}
