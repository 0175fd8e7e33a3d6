/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/store/verify-run.h"

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
                verify_find(r, VERIFY_ALTERED, seq, seq, "event %lld names a key of another store",
                            (long long) seq);
        if (before && note_check(note, &before->key) == 0)
                return;
        if (note_check(note, &t->key) != 0)
                verify_find(r, VERIFY_ALTERED, seq, seq,
                            "event %lld names a key, and is signed neither by it nor by the one "
                            "before",
                            (long long) seq);
        else if (!is_trusted(r, &t->key))
                verify_find(r, VERIFY_UNKNOWN_KEY, seq, seq,
                            before ? "the key that took over with event %lld was not vouched "
                                     "for by the one before"
                                   : "the first key, of event %lld, is none of those that are trusted",
                            (long long) seq);
}

int seals_key(Run *r, const Event *e) {
        uint8_t copy[NOTE_MAX];
        Bytes note = BYTES(copy, MIN_OF(e->detail.size, sizeof(copy))), text;
        Takeover t;
        Key *keys;

        if (note.size > 0)
                memcpy(copy, e->detail.data, note.size);
        if (note_text(note, &text) < 0 || takeover_parse(text, &t) < 0) {
                verify_find(r, VERIFY_ALTERED, e->seq, e->seq, "event %lld should name a key, and does not",
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

/* By one that took over later? */
static int is_of_later_key(Run *r, Bytes note, bool *ret) {
        sqlite3_stmt *stmt;
        int rc, k = verify_prepare(r, VERIFY_SQL_KEYS, &stmt);

        if (k < 0)
                return k;
        sql_bind(stmt, 1, r->rows.size);
        while (!*ret && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
                Bytes text;
                Takeover t;

                *ret = note_text(sql_column_bytes(stmt, 0), &text) == 0 && takeover_parse(text, &t) == 0 &&
                       note_check(note, &t.key) == 0;
        }
        sqlite3_reset(stmt);
        return 0;
}

int seals_signature(Run *r) {
        const Checkpoint *c = &r->checkpoint;
        Bytes note = BYTES(r->note, r->note_size);
        bool other = false;
        int k;

        for (size_t i = r->n_keys; i-- > 0;) {
                int n = note_check(note, &r->keys[i].key);

                if (n < 0 && n != -EBADMSG)
                        return n;
                if (n == 0 && may_sign(r, i, c->size)) {
                        r->last_key = i;
                        return 0;
                }
                if (n == NOTE_E_FORGED) {
                        verify_find(r, VERIFY_ALTERED, c->size, c->size,
                                    "the signature of checkpoint %lld is forged", (long long) c->number);
                        return 0;
                }
                other |= n == 0;
        }
        k = other ? 0 : is_of_later_key(r, note, &other);
        if (k < 0)
                return k;
        if (other)
                verify_find(r, VERIFY_ALTERED, c->size, c->size,
                            "checkpoint %lld, of %lld events, is signed by a key of another time",
                            (long long) c->number, (long long) c->size);
        else
                verify_find(r, VERIFY_UNKNOWN_KEY, c->size, c->size,
                            "checkpoint %lld is signed by no key that the log names", (long long) c->number);
        return 0;
}

/* Rows that differ from their tile: which of the two was signed? */
void seals_differ(Run *r, VerifyOutcome outcome, const char *one, const char *many) {
        if (r->differ.from != 0)
                verify_end_differ(r, &r->differ);
        r->differ.from = 0;
        for (size_t i = 0; i < r->n_differs; i++)
                verify_find_range(r, outcome, &r->differs[i], one, many);
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
        tree_root(&r->rows, &have);
        if (hash_equal(&have, root)) {
                seals_differ(r, VERIFY_DAMAGED, "is as it was sealed, its leaf in the tile is damaged",
                             "are as they were sealed, their leaves in the tile are damaged");
                r->result->sealed = size;
                return 0;
        }
        if (r->forked) {
                tree_root(&r->tiles, &have);
                if (hash_equal(&have, root)) {
                        seals_differ(r, VERIFY_ALTERED, "is not what was recorded",
                                     "are not what was recorded");
                        k = tree_copy(&r->tiles, &r->rows);
                        r->result->sealed = size;
                        return k;
                }
        }
        r->lost = true;
        if (number > 0)
                verify_find(r, VERIFY_ALTERED, r->result->sealed + 1, size,
                            "among events %lld to %lld something was changed: they are not those of %s %lld",
                            (long long) r->result->sealed + 1, (long long) size, whose, (long long) number);
        else
                verify_find(r, VERIFY_ALTERED, r->result->sealed + 1, size,
                            "among events %lld to %lld something was changed: they are not those of %s",
                            (long long) r->result->sealed + 1, (long long) size, whose);
        seals_differ(r, VERIFY_ALTERED, "differs from its leaf in the tile",
                     "differ from their leaves in the tile");
        return 0;
}

/* The checkpoints and the points of others that are of the events so far. */
int seals_judge(Run *r) {
        int64_t size = r->rows.size;
        int k = 0;

        while (k == 0 && r->has_checkpoint && r->checkpoint.size <= size) {
                const Checkpoint *c = &r->checkpoint;

                k = seals_signature(r);
                if (k == 0 && c->size < size)
                        verify_find(r, VERIFY_ALTERED, c->size, c->size,
                                    "checkpoint %lld is of fewer events than the one before it",
                                    (long long) c->number);
                else if (k == 0)
                        k = judge(r, &c->root, "checkpoint", c->number);
                if (k == 0)
                        k = seals_next(r);
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

        if (number != r->number + 1 &&
            !verify_pruned(r, &r->checkpoints, "thin", number - 1, number - 1 - r->number))
                verify_find(r, VERIFY_ALTERED, 0, 0, "checkpoint%s %lld to %lld %s gone",
                            number == r->number + 2 ? "" : "s", (long long) r->number + 1,
                            (long long) number - 1, number == r->number + 2 ? "is" : "are");
        r->number = number;
        if (note_text(note, &text) < 0 || checkpoint_parse(text, c) < 0) {
                verify_find(r, VERIFY_ALTERED, 0, 0, "checkpoint %lld is not a signed note",
                            (long long) number);
                return;
        }
        if (c->number != number || c->size != size || c->time != time)
                verify_find(r, VERIFY_ALTERED, c->size, c->size,
                            "the row of checkpoint %lld is not of its note", (long long) number);
        r->result->time = c->time;
        r->result->checkpoints++;
        r->has_checkpoint = true;
}

int seals_next(Run *r) {
        sqlite3_stmt *stmt;
        int rc, k = 0;

        r->has_checkpoint = false;
        while (k == 0 && !r->has_checkpoint) {
                k = verify_prepare(r, VERIFY_SQL_CHECKPOINT, &stmt);
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
                verify_find(r, VERIFY_DAMAGED, 0, 0, "the checkpoints after %lld cannot be read",
                            (long long) r->number);
                k = 0;
        }
        return k;
}
