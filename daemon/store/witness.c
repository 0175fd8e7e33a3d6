/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "daemon/store/private.h"

/* How far the log was, remembered outside the database: the newest checkpoint in a file beside it, and the
 * newest event that was acknowledged in memory. A database that does not have them was taken back: an older
 * copy, or another one, was put in its place, or the disk did not keep what it said it had. */

void witness_sealed(Store *s, const char *note) {
        free(s->witness);
        s->witness = strdup(note);      /* without memory the file lags by one checkpoint */
}

void witness_forget(Store *s) {
        free(STEAL(s->witness));
}

/* One that cannot be written stays as it is, and witnesses less. Nor need it be there after a power cut:
 * what it says was durable before. */
static void write_note(const Store *s) {
        CLEANUP(freep) char *path = NULL, *part = NULL;
        CLEANUP(closep) int fd = -1;

        if (asprintf(&path, "%s/" STORE_WITNESS, s->dir) < 0)
                path = NULL;
        if (asprintf(&part, "%s/" STORE_WITNESS ".part", s->dir) < 0)
                part = NULL;
        if (!path || !part)
                return;
        fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || store_write_file(fd, s->witness, strlen(s->witness)) < 0 || rename(part, path) < 0)
                (void) unlink(part);
}

void witness_committed(Store *s) {
        if (s->last_seq > s->acked.size)
                s->acked = (StoreAcked) { s->last_seq, !s->tree_lost, s->newest };
        if (s->witness)
                write_note(s);
        witness_forget(s);
}

/* False: there is no file, or nothing that it says. */
static bool read_note(const Store *s, uint8_t note[static NOTE_MAX], size_t *ret_size, Checkpoint *ret) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int fd = -1;
        Bytes text;
        ssize_t n;

        if (asprintf(&path, "%s/" STORE_WITNESS, s->dir) < 0) {
                path = NULL;
                return false;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        n = fd < 0 ? -1 : pread(fd, note, NOTE_MAX, 0);
        *ret_size = n > 0 ? (size_t) n : 0;
        return n > 0 && note_text(BYTES(note, (size_t) n), &text) == 0 && checkpoint_parse(text, ret) == 0;
}

/* Whether the log has that checkpoint, or newer ones while it was thinned out itself. What cannot be read is
 * damaged, and for verify to tell. */
static bool has_checkpoint(Store *s, Bytes note, const Checkpoint *c) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = store_stmt(s, SQL_CHECKPOINT_FROM, &stmt);

        if (r < 0)
                return true;
        sql_bind(stmt, 1, c->number);
        r = sql_step(&s->sql, stmt);
        return r < 0 || (r > 0 && (sql_column(stmt, 0) > c->number ||
                                   bytes_equal(sql_column_bytes(stmt, 1), note)));
}

static bool has_acked(Store *s) {
        const StoreAcked *a = &s->acked;
        Hash leaf;

        if (a->size > s->last_seq)
                return false;
        return !a->has_leaf || (leaves_of(s, a->size, &leaf) == 0 && hash_equal(&leaf, &a->leaf));
}

void witness_compare(Store *s) {
        uint8_t note[NOTE_MAX];
        Checkpoint c;
        size_t size;

        assert(!s->in_transaction);
        if (s->acked.size > 0 && !has_acked(s))
                s->lost = s->acked.size;
        if (read_note(s, note, &size, &c) && !has_checkpoint(s, BYTES(note, size), &c))
                s->lost = MAX_OF(s->lost, c.size);
        s->acked = (StoreAcked) { .size = s->last_seq };
        s->acked.has_leaf = s->last_seq > 0 && leaves_of(s, s->last_seq, &s->acked.leaf) == 0;
}

int64_t store_lost(const Store *s) {
        assert(s);
        return s->lost;
}
