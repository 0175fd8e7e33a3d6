/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/proof.h"
#include "daemon/store/reader.h"
#include "daemon/store/sql.h"
#include "lib/base64.h"

#define HEAD "c2sp.org/tlog-proof@v1"

typedef struct Maker {
        sqlite3 *db;
        int64_t size; /* of the checkpoint */
} Maker;

static int get_blob(sqlite3 *db, const char *sql, int64_t a, int64_t b, uint8_t *ret, size_t max,
                    size_t *ret_size) {
        sqlite3_stmt *stmt = NULL;
        Bytes data = BYTES_NONE;
        int r, rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

        *ret_size = 0;
        if (rc == SQLITE_OK) {
                sql_bind(stmt, 1, a);
                sql_bind(stmt, 2, b);
                rc = sqlite3_step(stmt);
        }
        if (rc == SQLITE_ROW)
                data = sql_column_bytes(stmt, 0);
        if (data.data && data.size <= max) {
                memcpy(ret, data.data, data.size);
                *ret_size = data.size;
        }
        r = sql_errno(db, rc);
        sqlite3_finalize(stmt);
        return r;
}

static int get_tile(Maker *m, unsigned level, int64_t index, Hash ret[static TILE_WIDTH], unsigned *ret_n) {
        size_t size;
        int r = get_blob(m->db, TILE_GET, level, index, ret->bytes, TILE_SIZE, &size);

        *ret_n = (unsigned) (size / HASH_SIZE);
        return r;
}

/* n hashes of a level of tiles from `first` on, all in one tile. Of what came to an upper level since the
 * last checkpoint, there are only the tiles below it. */
static int get_hashes(Maker *m, unsigned level, int64_t first, unsigned n, Hash *ret) {
        Hash tile[TILE_WIDTH];
        unsigned have, at = (unsigned) (first % TILE_WIDTH);
        int r = get_tile(m, level, first / TILE_WIDTH, tile, &have);

        have = have > at ? MIN_OF(have - at, n) : 0;
        memcpy(ret, tile + at, have * sizeof(*ret));
        if (r == 0 && have < n && level == 0)
                return -EBADMSG;
        for (unsigned i = have; r == 0 && i < n; i++) {
                r = get_hashes(m, level - 1, (first + i) * TILE_WIDTH, TILE_WIDTH, tile);
                if (r == 0)
                        hash_perfect(tile, TILE_WIDTH, &ret[i]);
        }
        return r;
}

static int get_hash(void *userdata, unsigned height, int64_t index, Hash *ret) {
        Maker *m = userdata;
        unsigned level = height / TILE_HEIGHT, n = 1u << (height % TILE_HEIGHT);
        Hash hashes[TILE_WIDTH];
        int r = get_hashes(m, level, index * n, n, hashes);

        if (r == 0)
                hash_perfect(hashes, n, ret);
        return r;
}

/* The newest checkpoint: its note, and what that says. */
static int get_checkpoint(sqlite3 *db, uint8_t note[static NOTE_MAX], size_t *ret_size, Checkpoint *ret) {
        Bytes text;
        int r = get_blob(db, "SELECT note FROM checkpoint ORDER BY number DESC LIMIT 1", 0, 0, note,
                         NOTE_MAX, ret_size);

        if (r == 0 && *ret_size == 0)
                return PROOF_E_UNSEALED;
        if (r == 0)
                r = note_text(BYTES(note, *ret_size), &text);
        if (r == 0)
                r = checkpoint_parse(text, ret);
        return r == -EBADMSG ? PROOF_E_UNFIT : r;
}

/* The event's canonical bytes, with room for one byte before them. */
static int get_event(sqlite3 *db, int64_t seq, uint8_t **ret, size_t *ret_size) {
        CLEANUP(reader_freep) Reader *reader = NULL;
        size_t max = 0;
        Event e;
        int r = reader_new(db, &reader);

        if (r < 0)
                return r;
        reader_seek(reader, seq - 1);
        r = reader_next(reader, &e);
        if (r == 0 || (r > 0 && e.seq != seq))
                return PROOF_E_NO_EVENT;
        if (r < 0 && r != -EBADMSG)
                return r;
        return r == READER_EVENT ? event_put(&e, 1, ret, &max, ret_size) : PROOF_E_UNFIT;
}

static int print(int64_t index, Bytes event, const Hash *path, unsigned n, Bytes note, char **ret) {
        CLEANUP(freep) char *code = calloc(1, base64_size(event.size) + 1);
        char text[HASH_TEXT];
        size_t size = 0;
        FILE *f = open_memstream(ret, &size);

        if (!f || !code) {
                if (f)
                        fclose(f);
                return -ENOMEM;
        }
        base64_format(event, code);
        fprintf(f, HEAD "\nextra %s\nindex %lld\n", code, (long long) index);
        for (unsigned i = 0; i < n; i++) {
                hash_format(&path[i], text);
                fprintf(f, "%s\n", text);
        }
        fprintf(f, "\n%.*s", (int) note.size, (const char *) note.data);
        return fclose(f) == 0 ? 0 : -ENOMEM;
}

static int make(Maker *m, int64_t seq, char **ret) {
        CLEANUP(freep) uint8_t *event = NULL;
        uint8_t note[NOTE_MAX];
        size_t event_size, note_size;
        Hash path[PROOF_MAX], leaf;
        Checkpoint c;
        unsigned n;
        int r;

        r = get_event(m->db, seq, &event, &event_size);
        if (r == 0)
                r = get_checkpoint(m->db, note, &note_size, &c);
        if (r == 0 && c.size < seq)
                r = PROOF_E_UNSEALED;
        if (r != 0)
                return r;
        r = prove_inclusion(seq - 1, c.size, get_hash, m, path, &n);
        if (r < 0)
                return r == -EBADMSG ? PROOF_E_UNFIT : r;
        hash_leaf(event, event_size, &leaf);
        if (!inclusion_holds(&leaf, seq - 1, c.size, path, n, &c.root))
                return PROOF_E_UNFIT;
        return print(seq - 1, BYTES(event + 1, event_size - 1), path, n, BYTES(note, note_size), ret);
}

int proof_make(sqlite3 *db, int64_t seq, char **ret) {
        Maker m = { .db = db };

        assert(db && ret);
        return seq < 1 ? PROOF_E_NO_EVENT : make(&m, seq, ret);
}

void proof_done(Proof *p) {
        free(p->bytes);
        *p = (Proof) { 0 };
}

static bool after_word(Bytes line, const char *word, Bytes *ret) {
        size_t n = strlen(word);

        if (line.size < n || memcmp(line.data, word, n) != 0)
                return false;
        *ret = BYTES(line.data + n, line.size - n);
        return true;
}

typedef struct Parsed {
        uint8_t *leaf; /* a free byte, and the event */
        size_t leaf_size;
        int64_t index;
        Hash path[PROOF_MAX];
        unsigned n;
        Bytes note;
} Parsed;

static int parse_event(Bytes code, Parsed *p) {
        CLEANUP(freep) uint8_t *bytes = NULL;
        size_t size;
        int r = base64_parse((const char *) code.data, code.size, &bytes, &size);

        if (r < 0)
                return r;
        p->leaf = malloc(size + 1);
        if (!p->leaf)
                return -ENOMEM;
        memcpy(p->leaf + 1, bytes, size);
        p->leaf_size = size + 1;
        return 0;
}

static int parse(Bytes text, Parsed *p) {
        Bytes line, value;
        int r;

        if (text.size > PROOF_TEXT_MAX || !note_line(&text, &line) || !bytes_equal(line, BYTES_STR(HEAD)) ||
            !note_line(&text, &line) || !after_word(line, "extra ", &value))
                return -EBADMSG;
        r = parse_event(value, p);
        if (r < 0)
                return r;
        if (!note_line(&text, &line) || !after_word(line, "index ", &value) ||
            note_number(value, &p->index) < 0)
                return -EBADMSG;
        while (note_line(&text, &line) && line.size > 0)
                if (p->n == PROOF_MAX || hash_parse(line, &p->path[p->n++]) < 0)
                        return -EBADMSG;
        p->note = text;
        return 0;
}

static int check_key(const Parsed *p, const NoteKey *keys, size_t n_keys, size_t *ret) {
        int r = PROOF_E_UNKNOWN_KEY;

        for (size_t i = 0; i < n_keys; i++) {
                int k = note_check(p->note, &keys[i]);

                if (k < 0)
                        return k;
                if (k == NOTE_E_FORGED)
                        return PROOF_E_FORGED;
                *ret = i;
                if (k == 0)
                        return 0;
        }
        return r;
}

static int check(Parsed *p, const NoteKey *keys, size_t n_keys, Proof *ret) {
        Bytes text;
        Hash leaf;
        int r = note_text(p->note, &text);

        if (r == 0)
                r = checkpoint_parse(text, &ret->checkpoint);
        if (r == 0)
                r = event_parse(BYTES(p->leaf + 1, p->leaf_size - 1), &ret->event);
        if (r < 0)
                return r;
        hash_leaf(p->leaf, p->leaf_size, &leaf);
        if (ret->event.seq - 1 != p->index ||
            !inclusion_holds(&leaf, p->index, ret->checkpoint.size, p->path, p->n, &ret->checkpoint.root))
                return PROOF_E_FORGED;
        return check_key(p, keys, n_keys, &ret->key);
}

int proof_check(Bytes text, const NoteKey *keys, size_t n_keys, Proof *ret) {
        Proof proof = { 0 };
        Parsed p = { 0 };
        int r;

        assert(ret);
        r = parse(text, &p);
        if (r == 0)
                r = check(&p, keys, n_keys, &proof);
        if (r != 0) {
                free(p.leaf);
                return r;
        }
        proof.bytes = p.leaf;
        *ret = proof;
        return 0;
}

int keys_make(sqlite3 *db, char **ret) {
        sqlite3_stmt *stmt = NULL;
        char first[NOTE_KEY_TEXT];
        size_t size = 0;
        bool begun = false;
        FILE *f = open_memstream(ret, &size);
        int r = 0, rc;

        if (!f)
                return -ENOMEM;
        rc = sqlite3_prepare_v2(db, "SELECT detail FROM event WHERE kind = 21 ORDER BY seq", -1, &stmt,
                                NULL);
        while (r == 0 && rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
                Bytes note = sql_column_bytes(stmt, 0), text;
                Takeover t;

                rc = SQLITE_OK;
                r = note_text(note, &text) < 0 || takeover_parse(text, &t) < 0 ? -EBADMSG : 0;
                if (r == 0 && !begun) {
                        note_key_format(&t.key, first);
                        fprintf(f, "%s\n", first);
                }
                if (r == 0)
                        fprintf(f, "\n%.*s", (int) note.size, (const char *) note.data);
                begun = true;
        }
        if (r == 0)
                r = sql_errno(db, rc);
        sqlite3_finalize(stmt);
        if (fclose(f) != 0)
                r = -ENOMEM;
        if (r < 0) {
                free(*ret);
                *ret = NULL;
        }
        return r;
}

typedef struct KeyList {
        NoteKey *keys;
        size_t n, max;
} KeyList;

static int keys_add(KeyList *l, const NoteKey *key) {
        NoteKey *keys = array_room(l->keys, l->n, &l->max, 16, sizeof(*keys));

        if (!keys)
                return -ENOMEM;
        l->keys = keys;
        keys[l->n++] = *key;
        return 0;
}

/* A note ends with its signature: three lines of text, an empty one, and that. */
static Bytes note_at(Bytes text) {
        Bytes rest = text, line;

        for (int i = 0; i < 5; i++)
                if (!note_line(&rest, &line))
                        return BYTES_NONE;
        return BYTES(text.data, text.size - rest.size);
}

int keys_parse(Bytes text, NoteKey **ret) {
        KeyList l = { 0 };
        Bytes line, at = text, signed_text;
        NoteKey key;
        bool notes = false;
        Takeover t;
        int r = 0;

        assert(ret);
        for (; r == 0 && note_line(&text, &line); at = text) {
                Bytes note = note_at(at);
                bool vouched = false;

                if (note.data && note_text(note, &signed_text) == 0 &&
                    takeover_parse(signed_text, &t) == 0) {
                        for (size_t i = 0; !vouched && i < l.n; i++)
                                vouched = note_check(note, &l.keys[i]) == 0;
                        if (vouched)
                                r = keys_add(&l, &t.key);
                        text = BYTES(at.data + note.size, at.size - note.size);
                        notes = true;
                } else if (!notes && note_key_parse(line, &key) == 0) {
                        r = keys_add(&l, &key);
                }
        }
        if (r < 0) {
                free(l.keys);
                return r;
        }
        *ret = l.keys;
        return (int) l.n;
}
