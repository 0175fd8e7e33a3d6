/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "daemon/store/reader.h"
#include "daemon/store/sql.h"
#include "daemon/store/verify.h"

/* Two trees grow: one of the rows, one of the leaves that the tiles have. They are one until a row yields
 * another leaf than its tile has; then the next checkpoint says which of the two is what was signed. Where a
 * row is missing or cannot be read, the tile's leaf stands in, so that all the others can still be judged.
 * */

static const int64_t stale_usec = 2 * 24 * 3600 * (int64_t) USEC_PER_SEC;

enum { TILE_STMT, CHECKPOINT_STMT, STATEMENTS, TEXT_MAX = 512 };
static const char *const texts[STATEMENTS] = {
        [TILE_STMT] = "SELECT data FROM tile WHERE level = ?1 AND idx = ?2",
        [CHECKPOINT_STMT] =
                "SELECT number, size, time, note FROM checkpoint WHERE number > ?1 AND number <= ?2"
                " ORDER BY number LIMIT 1",
};

typedef struct Key {
        int64_t seq;
        NoteKey key;
} Key;

typedef struct Range {
        int64_t from, to;
} Range;

typedef struct Run {
        sqlite3 *db;
        const Verify *v;
        VerifyResult *result;
        Hasher *hasher;
        Reader *reader;
        sqlite3_stmt *stmts[STATEMENTS];
        uint8_t *leaf;
        size_t leaf_max;

        int64_t total;
        Event event; /* the next one that the reader gave; has_event */
        bool has_event;
        bool at_end; /* it gives no more */
        bool told;   /* a callback ran: what was borrowed from the database may be gone */

        Tree rows, tiles;
        bool forked;             /* they differ */
        Hash stored[TILE_WIDTH]; /* of the tile that is being filled */
        unsigned n_stored;

        Range differ; /* rows that differ from their tile, not yet judged; from 0: none */
        Range *differs;
        size_t n_differs, max_differs;
        Range gone, unreadable; /* the run of such rows that is going on */

        Key *keys;
        size_t n_keys, max_keys;
        Checkpoint checkpoint; /* the next one; has_checkpoint */
        uint8_t note[NOTE_MAX];
        size_t note_size;
        bool has_checkpoint;
        int64_t number, numbers; /* of the last one that was read; of the last that there is */
        size_t last_key;         /* index of the one that signed it */
        bool lost;               /* a root fitted nothing: those after it fit nothing either */
        VerifyPoint *against;    /* sorted */
        size_t next_against;
        int error; /* within a callback */
} Run;

VerifyOutcome verify_worse(VerifyOutcome a, VerifyOutcome b) {
        static const int grave[] = {
                [VERIFY_SOUND] = 0,       [VERIFY_DAMAGED] = 1,   [VERIFY_UNSEALED] = 2,
                [VERIFY_UNKNOWN_KEY] = 3, [VERIFY_TRUNCATED] = 4, [VERIFY_ALTERED] = 5,
        };

        return grave[a] >= grave[b] ? a : b;
}

static void PRINTF_LIKE(5, 6)
        find(Run *r, VerifyOutcome outcome, int64_t from, int64_t to, const char *format, ...) {
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
static void find_range(Run *r, VerifyOutcome outcome, const Range *g, const char *one, const char *many) {
        if (g->from == g->to)
                find(r, outcome, g->from, g->to, "event %lld %s", (long long) g->from, one);
        else
                find(r, outcome, g->from, g->to, "events %lld to %lld %s", (long long) g->from,
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
        find_range(r, VERIFY_ALTERED, g, "is gone", "are gone");
}

static void end_unreadable(Run *r, const Range *g) {
        find_range(r, VERIFY_DAMAGED, g, "cannot be read", "cannot be read");
}

static void end_differ(Run *r, const Range *g) {
        Range *differs = array_room(r->differs, r->n_differs, &r->max_differs, 64, sizeof(*differs));

        if (!differs) {
                r->error = -ENOMEM;
                return;
        }
        r->differs = differs;
        differs[r->n_differs++] = *g;
}

static int prepare(Run *r, int which, sqlite3_stmt **ret) {
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
        int rc, n = prepare(r, TILE_STMT, &stmt);

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
                        find(r, VERIFY_DAMAGED, index * width + 1, (index + 1) * width,
                             "the tile of events %lld to %lld is missing or not whole",
                             (long long) (index * width + 1), (long long) ((index + 1) * width));
                return 0;
        }
        n = read_tile(r, level, index, stored);
        if (n < 0)
                return n;
        if (n != TILE_WIDTH || memcmp(stored, data.data, TILE_SIZE) != 0)
                find(r, VERIFY_DAMAGED, index * width + 1, (index + 1) * width,
                     "the tile of level %u of events %lld to %lld is %s", level,
                     (long long) (index * width + 1), (long long) ((index + 1) * width),
                     n == TILE_WIDTH ? "damaged" : "missing or not whole");
        return 0;
}

static int no_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        (void) userdata, (void) level, (void) index, (void) data;
        return 0;
}

/* What the log says of keys. */

static bool is_trusted(const Run *r, const NoteKey *key) {
        for (size_t i = 0; i < r->v->n_keys; i++)
                if (note_key_equal(&r->v->keys[i], key))
                        return true;
        return r->v->n_keys == 0 && r->n_keys == 0; /* the first is taken at its word */
}

/* Who signed that this key takes over? */
static void check_takeover(Run *r, int64_t seq, Bytes note, const Takeover *t) {
        const Key *before = r->n_keys > 0 ? &r->keys[r->n_keys - 1] : NULL;

        if (before && strcmp(before->key.name, t->origin) != 0)
                find(r, VERIFY_ALTERED, seq, seq, "event %lld names a key of another store",
                     (long long) seq);
        if (before && note_check(note, &before->key) == 0)
                return;
        if (note_check(note, &t->key) != 0)
                find(r, VERIFY_ALTERED, seq, seq,
                     "event %lld names a key, and is signed neither by it nor by the one "
                     "before",
                     (long long) seq);
        else if (!is_trusted(r, &t->key))
                find(r, VERIFY_UNKNOWN_KEY, seq, seq,
                     before ? "the key that took over with event %lld was not vouched "
                              "for by the one before"
                            : "the first key, of event %lld, is none of those that are trusted",
                     (long long) seq);
}

static int take_key(Run *r, const Event *e) {
        uint8_t copy[NOTE_MAX];
        Bytes note = BYTES(copy, MIN_OF(e->detail.size, sizeof(copy))), text;
        Takeover t;
        Key *keys;

        if (note.size > 0)
                memcpy(copy, e->detail.data, note.size);
        if (note_text(note, &text) < 0 || takeover_parse(text, &t) < 0) {
                find(r, VERIFY_ALTERED, e->seq, e->seq, "event %lld should name a key, and does not",
                     (long long) e->seq);
                return 0;
        }
        check_takeover(r, e->seq, note, &t);
        if (r->n_keys >= VERIFY_KEYS_MAX)
                return -EOVERFLOW;
        keys = array_room(r->keys, r->n_keys, &r->max_keys, 16, sizeof(*keys));
        if (!keys)
                return -ENOMEM;
        r->keys = keys;
        keys[r->n_keys++] = (Key) { e->seq, t.key };
        return 0;
}

/* The key that a checkpoint of `size` events must be signed by: the newest among them, or, when its event is
 * the last of them, the one before, too. */
static bool may_sign(const Run *r, size_t key, int64_t size) {
        if (r->keys[key].seq > size || key < r->last_key)
                return false;
        return key + 1 == r->n_keys || r->keys[key + 1].seq > size ||
               (r->keys[key + 1].seq == size && (key + 2 == r->n_keys || r->keys[key + 2].seq > size));
}

static int check_signature(Run *r) {
        const Checkpoint *c = &r->checkpoint;
        Bytes note = BYTES(r->note, r->note_size);
        bool other = false;

        for (size_t i = r->n_keys; i-- > 0;) {
                int n = note_check(note, &r->keys[i].key);

                if (n < 0 && n != -EBADMSG)
                        return n;
                if (n == 0 && may_sign(r, i, c->size)) {
                        r->last_key = i;
                        return 0;
                }
                if (n == NOTE_E_FORGED) {
                        find(r, VERIFY_ALTERED, c->size, c->size,
                             "the signature of checkpoint %lld is forged", (long long) c->number);
                        return 0;
                }
                other |= n == 0;
        }
        if (other)
                find(r, VERIFY_ALTERED, c->size, c->size,
                     "checkpoint %lld, of %lld events, is signed by a key of another time",
                     (long long) c->number, (long long) c->size);
        else
                find(r, VERIFY_UNKNOWN_KEY, c->size, c->size,
                     "checkpoint %lld is signed by no key that the log names", (long long) c->number);
        return 0;
}

/* Rows that differ from their tile: which of the two was signed? */
static void tell_differs(Run *r, VerifyOutcome outcome, const char *one, const char *many) {
        if (r->differ.from != 0)
                end_differ(r, &r->differ);
        r->differ.from = 0;
        for (size_t i = 0; i < r->n_differs; i++)
                find_range(r, outcome, &r->differs[i], one, many);
        r->n_differs = 0;
        r->forked = false;
}

/* The root that was signed, or that somebody remembers, of the events so far. */
static int judge(Run *r, const Hash *root, const char *whose, int64_t number) {
        int64_t size = r->rows.size;
        Hash have;
        int k = 0;

        if (r->lost)
                return 0;
        tree_root(&r->rows, r->hasher, &have);
        if (hash_equal(&have, root)) {
                tell_differs(r, VERIFY_DAMAGED, "is as it was sealed, its leaf in the tile is damaged",
                             "are as they were sealed, their leaves in the tile are damaged");
                r->result->sealed = size;
                return 0;
        }
        if (r->forked) {
                tree_root(&r->tiles, r->hasher, &have);
                if (hash_equal(&have, root)) {
                        tell_differs(r, VERIFY_ALTERED, "is not what was recorded",
                                     "are not what was recorded");
                        k = tree_copy(&r->tiles, &r->rows);
                        r->result->sealed = size;
                        return k;
                }
        }
        r->lost = true;
        if (number > 0)
                find(r, VERIFY_ALTERED, r->result->sealed + 1, size,
                     "among events %lld to %lld something was changed: they are not those of %s %lld",
                     (long long) r->result->sealed + 1, (long long) size, whose, (long long) number);
        else
                find(r, VERIFY_ALTERED, r->result->sealed + 1, size,
                     "among events %lld to %lld something was changed: they are not those of %s",
                     (long long) r->result->sealed + 1, (long long) size, whose);
        tell_differs(r, VERIFY_ALTERED, "differs from its leaf in the tile",
                     "differ from their leaves in the tile");
        return 0;
}

static int load_checkpoint(Run *r);

/* The checkpoints and the points of others that are of the events so far. */
static int judge_points(Run *r) {
        int64_t size = r->rows.size;
        int k = 0;

        while (k == 0 && r->has_checkpoint && r->checkpoint.size <= size) {
                const Checkpoint *c = &r->checkpoint;

                k = check_signature(r);
                if (k == 0 && c->size < size)
                        find(r, VERIFY_ALTERED, c->size, c->size,
                             "checkpoint %lld is of fewer events than the one before it",
                             (long long) c->number);
                else if (k == 0)
                        k = judge(r, &c->root, "checkpoint", c->number);
                if (k == 0)
                        k = load_checkpoint(r);
        }
        while (k == 0 && r->next_against < r->v->n_against && r->against[r->next_against].size <= size) {
                const VerifyPoint *p = &r->against[r->next_against++];

                r->result->against++;
                if (p->size == size)
                        k = judge(r, &p->root, "the checkpoint that was given", 0);
        }
        return k;
}

static void take_checkpoint(Run *r, sqlite3_stmt *stmt) {
        int64_t number = sql_column(stmt, 0), size = sql_column(stmt, 1), time = sql_column(stmt, 2);
        Bytes note = sql_column_bytes(stmt, 3), text;
        Checkpoint *c = &r->checkpoint;

        r->note_size = MIN_OF(note.size, sizeof(r->note));
        if (r->note_size > 0)
                memcpy(r->note, note.data, r->note_size);
        note = BYTES(r->note, r->note_size);

        if (number != r->number + 1)
                find(r, VERIFY_ALTERED, 0, 0, "checkpoint%s %lld to %lld %s gone",
                     number == r->number + 2 ? "" : "s", (long long) r->number + 1, (long long) number - 1,
                     number == r->number + 2 ? "is" : "are");
        r->number = number;
        if (note_text(note, &text) < 0 || checkpoint_parse(text, c) < 0) {
                find(r, VERIFY_ALTERED, 0, 0, "checkpoint %lld is not a signed note", (long long) number);
                return;
        }
        if (c->number != number || c->size != size || c->time != time)
                find(r, VERIFY_ALTERED, c->size, c->size, "the row of checkpoint %lld is not of its note",
                     (long long) number);
        r->result->time = c->time;
        r->result->checkpoints++;
        r->has_checkpoint = true;
}

static int load_checkpoint(Run *r) {
        sqlite3_stmt *stmt;
        int rc, k = 0;

        r->has_checkpoint = false;
        while (k == 0 && !r->has_checkpoint) {
                k = prepare(r, CHECKPOINT_STMT, &stmt);
                if (k < 0)
                        break;
                sql_bind(stmt, 1, r->number);
                sql_bind(stmt, 2, r->numbers);
                rc = sqlite3_step(stmt);
                k = sql_errno(r->db, rc);
                if (rc != SQLITE_ROW)
                        break;
                take_checkpoint(r, stmt);
                sqlite3_reset(stmt);
        }
        if (k == -EBADMSG) {
                find(r, VERIFY_DAMAGED, 0, 0, "the checkpoints after %lld cannot be read",
                     (long long) r->number);
                k = 0;
        }
        return k;
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

/* The leaf of event seq: 1 from its row; 0 there is none, or it cannot be read, and that has been told. */
static int row_leaf(Run *r, int64_t seq, Hash *ret) {
        size_t size;
        int k = advance(r, seq);

        if (k == READER_DAMAGED && r->event.seq == seq) {
                extend(r, &r->unreadable, seq, end_unreadable);
                return 0;
        }
        if (k < 0)
                return k;
        if (k == READER_DAMAGED) /* a later one: it will have its turn */
                reader_seek(r->reader, r->event.seq - 1);
        if (k == READER_DAMAGED || !r->has_event || r->event.seq != seq) {
                extend(r, &r->gone, seq, end_gone);
                return 0;
        }
        r->has_event = false;
        k = event_put(&r->event, 1, &r->leaf, &r->leaf_max, &size);
        if (k < 0)
                return k;
        hash_leaf(r->hasher, r->leaf, size, ret);
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
                extend(r, &r->differ, seq, end_differ);
        }
        k = tree_add(&r->rows, r->hasher, row, compare_tile, r);
        if (k == 0 && r->forked)
                k = tree_add(&r->tiles, r->hasher, tile, no_tile, NULL);
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
                k = take_key(r, &r->event);
        if (k == 0)
                k = add_leaf(r, seq, &leaf, at < r->n_stored ? &r->stored[at] : &leaf);
        return k < 0 ? k : judge_points(r);
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
                tell_differs(r, VERIFY_ALTERED, "differs from its leaf in the tile",
                             "differ from their leaves in the tile");
        r->result->events = r->total;
        return k < 0 ? k : r->error;
}

/* What is not there any more: checkpoints, and points of others, beyond the last event. */
static int check_end(Run *r) {
        int64_t last = r->total;
        int k = 0;

        while (k == 0 && r->has_checkpoint) {
                last = MAX_OF(last, r->checkpoint.size);
                k = check_signature(r);
                if (k == 0)
                        k = load_checkpoint(r);
        }
        if (r->next_against < r->v->n_against)
                last = MAX_OF(last, r->against[r->v->n_against - 1].size);
        r->result->against += r->v->n_against - r->next_against;
        if (last > r->total)
                find(r, VERIFY_TRUNCATED, r->total + 1, last,
                     "events %lld to %lld, which were sealed, are gone", (long long) r->total + 1,
                     (long long) last);
        return k;
}

static void check_seals(Run *r) {
        const VerifyResult *s = r->result;

        if (s->checkpoints == 0)
                find(r, VERIFY_UNSEALED, 0, 0, "there is no checkpoint: nothing says what was recorded");
        else if (r->n_keys == 0)
                find(r, VERIFY_UNKNOWN_KEY, 0, 0, "the log names no key");
        else if (r->v->now != 0 && s->time < r->v->now - stale_usec)
                find(r, VERIFY_TRUNCATED, 0, 0,
                     "the newest checkpoint is %lld days old: what came after it is missing, unless nothing "
                     "has been recorded since",
                     (long long) ((r->v->now - s->time) / (stale_usec / 2)));
}

/* What the database says of itself; and rows that no event can be. */
static int check_database(Run *r) {
        sqlite3_stmt *stmt = NULL;
        int64_t strange;
        int rc, k = sql_number(r->db, "SELECT count(*) FROM event WHERE seq < 1", &strange);

        if (k == 0 && strange != 0)
                find(r, VERIFY_ALTERED, 0, 0, "there are events with a number below 1");
        if (k == -EBADMSG)
                find(r, VERIFY_DAMAGED, 0, 0, "the table of events is damaged");
        if (!r->v->copy)
                return k == -EBADMSG ? 0 : k;
        rc = sqlite3_prepare_v2(r->db, "PRAGMA integrity_check(20)", -1, &stmt, NULL);
        while (rc == SQLITE_OK || rc == SQLITE_ROW) {
                const char *text;

                rc = sqlite3_step(stmt);
                text = rc == SQLITE_ROW ? (const char *) sqlite3_column_text(stmt, 0) : NULL;
                if (text && strcmp(text, "ok") != 0)
                        find(r, VERIFY_DAMAGED, 0, 0, "the database is damaged: %.200s", text);
        }
        sqlite3_finalize(stmt);
        k = sql_errno(r->db, rc);
        if (k == -EBADMSG)
                find(r, VERIFY_DAMAGED, 0, 0, "the database is damaged: %s", sqlite3_errmsg(r->db));
        return k == -EBADMSG ? 0 : k;
}

static int by_size(const void *a, const void *b) {
        const VerifyPoint *p = a, *q = b;

        return p->size < q->size ? -1 : p->size > q->size;
}

static int begin(Run *r) {
        int k = hasher_new(&r->hasher);

        if (k == 0)
                k = reader_new(r->db, &r->reader);
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
        return load_checkpoint(r);
}

static void done(Run *r) {
        for (int i = 0; i < STATEMENTS; i++)
                sqlite3_finalize(r->stmts[i]);
        reader_free(r->reader);
        hasher_free(r->hasher);
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
                k = check_end(r);
        if (k == 0)
                k = check_database(r);
        if (k == 0 && hasher_failed(r->hasher))
                k = -ENOMEM;
        if (k == 0) {
                check_seals(r);
                result.keys = (int64_t) r->n_keys;
                if (r->n_keys > 0)
                        result.first_key = r->keys[0].key;
                *ret = result;
        }
        done(r);
        return k;
}
