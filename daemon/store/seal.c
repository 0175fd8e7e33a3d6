/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include "daemon/store/private.h"
#include "lib/base64.h"

/* The key that signs lives in a file beside the store, and is followed by another each week: the old key
 * signs that the new one follows, in an event of the log, and is then overwritten. So who takes the machine
 * today cannot sign what was before this week's key. The order, for which each step may be the last before a
 * power cut:
 *
 * 1. the new secret is durable in NEXT
 * 2. one transaction: the event "key", and a last checkpoint by the old key that covers it
 * 3. KEY is overwritten, NEXT is renamed to it
 *
 * Which key is valid is what the log says; at a load the files are brought to agree with it. */

#define KEY_FILE "seal.key"
#define NEXT_FILE "seal.key.next"
#define HEAD "scitrace-seal-key"
#define ORIGIN "scitrace.org/"

enum {
        FILE_MAX = 512,
        UUID_SIZE = 16,
};
static const int64_t key_usec = 7 * 24 * 3600 * (int64_t) USEC_PER_SEC;
static const int64_t idle_usec = 24 * 3600 * (int64_t) USEC_PER_SEC;

static int path_of(const Store *s, const char *name, char **ret) {
        if (asprintf(ret, "%s/%s", s->dir, name) >= 0)
                return 0;
        *ret = NULL;
        return -ENOMEM;
}

static int key_write(const Store *s, const char *name, const NoteSecret *secret) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int fd = -1;
        char text[FILE_MAX] = { 0 }, code[64] = { 0 };
        int r = path_of(s, name, &path);

        if (r < 0)
                return r;
        base64_format(BYTES(secret->secret, NOTE_KEY_SIZE), code);
        snprintf(text, sizeof(text), HEAD "\n%s\n%s\n", secret->key.name, code);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        r = fd < 0 ? -errno : fchmod(fd, 0600) < 0 ? -errno : store_write_file(fd, text, strlen(text));
        OPENSSL_cleanse(text, sizeof(text));
        OPENSSL_cleanse(code, sizeof(code));
        return r < 0 ? r : store_sync_dir(s->dir);
}

static int key_parse(Bytes text, NoteSecret *ret) {
        CLEANUP(freep) uint8_t *secret = NULL;
        char name[NOTE_NAME_MAX + 1] = { 0 };
        Bytes head, origin, code;
        size_t size = 0;
        int r = -EBADMSG;

        if (note_line(&text, &head) && bytes_equal(head, BYTES_STR(HEAD)) && note_line(&text, &origin) &&
            origin.size <= NOTE_NAME_MAX && note_line(&text, &code) && text.size == 0 &&
            base64_parse((const char *) code.data, code.size, &secret, &size) == 0 &&
            size == NOTE_KEY_SIZE) {
                memcpy(name, origin.data, origin.size);
                r = note_secret_load(name, secret, ret);
        }
        if (secret)
                OPENSSL_cleanse(secret, size);
        return r;
}

/* 0; STORE_E_NONE: no such file, or not a whole one */
static int key_read(const Store *s, const char *name, NoteSecret *ret) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int fd = -1;
        uint8_t text[FILE_MAX];
        ssize_t n;
        int r = path_of(s, name, &path);

        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? STORE_E_NONE : -errno;
        n = pread(fd, text, sizeof(text), 0);
        if (n < 0)
                return -errno;
        r = key_parse(BYTES(text, (size_t) n), ret);
        OPENSSL_cleanse(text, sizeof(text));
        return r < 0 ? STORE_E_NONE : 0;
}

/* As good as a file system lets us: one that copies on write, or a disk that levels wear, may keep the old
 * block for a while. */
static void key_wipe(const Store *s, const char *name) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(closep) int fd = -1;
        uint8_t noise[FILE_MAX];

        if (path_of(s, name, &path) < 0)
                return;
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        if (RAND_bytes(noise, sizeof(noise)) != 1)
                memset(noise, 0, sizeof(noise));
        (void) store_write_file(fd, noise, sizeof(noise));
        (void) unlink(path);
}

/* Step 3. */
static int key_swap(Store *s) {
        CLEANUP(freep) char *from = NULL, *to = NULL;
        int r = path_of(s, NEXT_FILE, &from);

        if (r == 0)
                r = path_of(s, KEY_FILE, &to);
        if (r < 0)
                return r;
        key_wipe(s, KEY_FILE);
        if (rename(from, to) < 0)
                return -errno;
        return store_sync_dir(s->dir);
}

void signer_forget(Store *s) {
        note_secret_done(&s->signer.secret);
        note_secret_done(&s->signer.next);
        s->signer = (StoreSigner) { 0 };
}

void signer_committed(Store *s) {
        StoreSigner *g = &s->signer;

        if (!g->takes_over)
                return;
        /* When that fails, the next load does it: until then the old secret is still there. */
        if (key_swap(s) < 0) {
                signer_forget(s);
                return;
        }
        g->secret = g->next;
        note_secret_done(&g->next);
        g->takes_over = false;
}

static int new_origin(char ret[static NOTE_NAME_MAX + 1]) {
        uint8_t u[UUID_SIZE];

        if (RAND_bytes(u, sizeof(u)) != 1)
                return -EIO;
        u[6] = (u[6] & 0x0f) | 0x40;
        u[8] = (u[8] & 0x3f) | 0x80;
        snprintf(ret, NOTE_NAME_MAX + 1,
                 ORIGIN "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
                 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
        return 0;
}

static int load_checkpoint(Store *s) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = store_stmt(s, SQL_CHECKPOINT_LAST, &stmt);

        if (r == 0)
                r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r;
        s->signer.number = sql_column(stmt, 0);
        s->signer.size = sql_column(stmt, 1);
        s->signer.time = sql_column(stmt, 2);
        return 0;
}

/* The newest event "key": what it says. STORE_E_NONE: there is none. */
static int load_takeover(Store *s, Takeover *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Bytes text, boot;
        int r = store_stmt(s, SQL_KEY_LAST, &stmt);

        if (r == 0)
                r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;
        s->signer.key_seq = sql_column(stmt, 0);
        s->signer.key_time = sql_column(stmt, 2);
        s->signer.key_mono = sql_column(stmt, 3);
        boot = sql_column_bytes(stmt, 4);
        if (boot.size == EVENT_ID_SIZE)
                memcpy(s->signer.key_boot, boot.data, EVENT_ID_SIZE);
        r = note_text(sql_column_bytes(stmt, 1), &text);
        return r < 0 ? r : takeover_parse(text, ret);
}

/* The event that a key takes over, signed by `by`; the secret is in its file already. */
static int add_takeover(Store *s, const NoteSecret *by, const NoteSecret *secret, int64_t epoch) {
        CLEANUP(freep) char *text = NULL, *note = NULL;
        Takeover t = { .epoch = epoch, .key = secret->key };
        Event e = { .kind = KIND_KEY, .origin = ORIGIN_LIVE, .first = s->realtime, .last = s->realtime };
        int r;

        snprintf(t.origin, sizeof(t.origin), "%s", secret->key.name);
        r = takeover_format(&t, &text);
        if (r == 0)
                r = note_sign(text, by, &note);
        if (r < 0)
                return r;
        e.detail = BYTES_STR(note);
        r = store_append(s, &e, &s->signer.key_seq);
        if (r != 0)
                return r < 0 ? r : -ENOSPC;
        s->signer.epoch = epoch;
        s->signer.key_time = s->realtime;
        s->signer.key_mono = s->boottime;
        memcpy(s->signer.key_boot, s->boot, EVENT_ID_SIZE);
        return 0;
}

/* A key that nobody vouches for: the first, or where the one that the log names is gone. */
static int begin_anew(Store *s, const char *origin, int64_t epoch) {
        StoreSigner *g = &s->signer;
        int r = key_read(s, KEY_FILE, &g->secret);

        /* One that never got into the log will do: a power cut came between. */
        if (r != 0 || epoch > 1 || (*origin && strcmp(origin, g->secret.key.name) != 0)) {
                char name[NOTE_NAME_MAX + 1];

                r = 0;
                if (!*origin)
                        r = new_origin(name);
                else
                        snprintf(name, sizeof(name), "%s", origin);
                if (r == 0)
                        r = note_secret_new(name, &g->secret);
                if (r == 0)
                        r = key_write(s, KEY_FILE, &g->secret);
        }
        return r < 0 ? r : add_takeover(s, &g->secret, &g->secret, epoch);
}

static int load(Store *s, bool *ret_lost) {
        StoreSigner *g = &s->signer;
        Takeover t = { 0 };
        int known, next, r;

        signer_forget(s);
        r = load_checkpoint(s);
        known = r == 0 ? load_takeover(s, &t) : r;
        if (known < 0)
                return known;
        g->epoch = t.epoch;
        next = known == 0 ? key_read(s, NEXT_FILE, &g->secret) : STORE_E_NONE;
        if (next < 0)                   /* it may be the one that is valid */
                return next;
        if (next == 0 && note_key_equal(&g->secret.key, &t.key)) {
                r = key_swap(s);
        } else {
                key_wipe(s, NEXT_FILE); /* of a takeover that did not come to be */
                r = known == 0 ? key_read(s, KEY_FILE, &g->secret) : 0;
                if (r < 0)
                        return r;
                *ret_lost = known == 0 && (r != 0 || !note_key_equal(&g->secret.key, &t.key));
                r = 0;
                if (known != 0 || *ret_lost)
                        r = begin_anew(s, t.origin, t.epoch + 1);
        }
        g->loaded = r == 0;
        return r;
}

/* A clock that is set makes no key older, nor keeps one young: within a boot another clock tells. Between
 * two boots one that went back by a week is as good as one that went on. */
static int64_t key_age(const Store *s) {
        const StoreSigner *g = &s->signer;

        if (memcmp(g->key_boot, s->boot, EVENT_ID_SIZE) == 0)
                return s->boottime - g->key_mono;
        return imaxabs(s->realtime - g->key_time);
}

/* Steps 1 and 2; the checkpoint follows. Only when there was something to be sealed since the last time. */
static int take_over(Store *s) {
        StoreSigner *g = &s->signer;
        int r;

        if (g->takes_over || s->last_seq <= g->key_seq || key_age(s) < key_usec)
                return 0;
        r = note_secret_new(g->secret.key.name, &g->next);
        if (r == 0)
                r = key_write(s, NEXT_FILE, &g->next);
        if (r == 0)
                r = add_takeover(s, &g->secret, &g->next, g->epoch + 1);
        g->takes_over = r == 0;
        return r;
}

static int add_checkpoint(Store *s, StoreSeal *ret) {
        CLEANUP(freep) char *text = NULL, *note = NULL;
        StoreSigner *g = &s->signer;
        Checkpoint c = { .size = s->tree.size, .number = g->number + 1, .time = MAX_OF(s->realtime, 0) };
        sqlite3_stmt *stmt;
        int r;

        tree_root(&s->tree, &c.root);
        snprintf(c.origin, sizeof(c.origin), "%s", g->secret.key.name);
        r = checkpoint_format(&c, &text);
        if (r == 0)
                r = note_sign(text, &g->secret, &note);
        if (r == 0)
                r = leaves_save_edge(s);
        if (r == 0)
                r = store_stmt(s, SQL_CHECKPOINT_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, c.number);
        sql_bind(stmt, 2, c.size);
        sql_bind(stmt, 3, c.time);
        sql_bind_text(stmt, 4, note);
        r = store_run(s, stmt);
        if (r < 0) {
                s->broken = r;
                return r;
        }
        witness_sealed(s, note);
        g->number = c.number;
        g->size = c.size;
        g->time = c.time;
        ret->number = c.number;
        ret->size = c.size;
        snprintf(ret->origin, sizeof(ret->origin), "%s", c.origin);
        hash_format(&c.root, ret->root);
        ret->note = STEAL(note);
        return 0;
}

int store_seal(Store *s, StoreSeal *ret) {
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(ret);

        *ret = (StoreSeal) { 0 };
        if (s->broken < 0)
                return s->broken;
        r = bulk_flush(s);
        if (r == 0 && !s->signer.loaded)
                r = load(s, &ret->key_lost);
        if (r == 0)
                r = leaves_read_back(s);
        if (r == 0)
                r = take_over(s);
        return r < 0 ? r : add_checkpoint(s, ret);
}

bool store_seal_due(const Store *s, int64_t realtime) {
        const StoreSigner *g = &s->signer;

        return !g->loaded || s->last_seq > g->size ||
               imaxabs(realtime - g->time) >= idle_usec;
}

void store_seal_done(StoreSeal *seal) {
        free(seal->note);
        *seal = (StoreSeal) { 0 };
}
