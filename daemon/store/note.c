/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "daemon/store/note.h"
#include "lib/base64.h"
#include "lib/utf8.h"

enum {
        ED25519 = 1, /* the algorithm's number in a key */
        ID_SIZE = 4,
        SIGNATURE_SIZE = 64,
};
static const char dash[] = "\xe2\x80\x94 "; /* an em dash and a blank begin a signature's line */

static void pkey_freep(EVP_PKEY **p) {
        EVP_PKEY_free(*p);
}

static void md_ctx_freep(EVP_MD_CTX **p) {
        EVP_MD_CTX_free(*p);
}

/* Non-empty, no blank, no plus: so a line can be taken apart. Ours are printable ASCII. */
static bool is_name(Bytes name) {
        for (size_t i = 0; i < name.size; i++)
                if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == '+')
                        return false;
        return name.size > 0 && name.size <= NOTE_NAME_MAX;
}

int note_secret_load(const char *name, const uint8_t secret[static NOTE_KEY_SIZE], NoteSecret *ret) {
        CLEANUP(pkey_freep) EVP_PKEY *pair = NULL;
        size_t size = NOTE_KEY_SIZE;

        assert(name && ret);
        if (!is_name(BYTES_STR(name)))
                return -EINVAL;
        pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, NOTE_KEY_SIZE);
        if (!pair)
                return -ENOMEM;
        *ret = (NoteSecret) { 0 };
        if (EVP_PKEY_get_raw_public_key(pair, ret->key.public, &size) != 1)
                return -EIO;
        snprintf(ret->key.name, sizeof(ret->key.name), "%s", name);
        memcpy(ret->secret, secret, NOTE_KEY_SIZE);
        return 0;
}

int note_secret_new(const char *name, NoteSecret *ret) {
        uint8_t secret[NOTE_KEY_SIZE];
        int r;

        if (RAND_priv_bytes(secret, sizeof(secret)) != 1)
                return -EIO;
        r = note_secret_load(name, secret, ret);
        OPENSSL_cleanse(secret, sizeof(secret));
        return r;
}

void note_secret_done(NoteSecret *s) {
        OPENSSL_cleanse(s, sizeof(*s));
}

/* SHA-256(name, newline, algorithm, public key), its first four bytes. */
static void key_id(const NoteKey *k, uint8_t ret[static ID_SIZE]) {
        uint8_t bytes[NOTE_NAME_MAX + 2 + NOTE_KEY_SIZE], digest[EVP_MAX_MD_SIZE] = { 0 };
        size_t n = strlen(k->name);

        memcpy(bytes, k->name, n);
        bytes[n++] = '\n';
        bytes[n++] = ED25519;
        memcpy(bytes + n, k->public, NOTE_KEY_SIZE);
        (void) EVP_Digest(bytes, n + NOTE_KEY_SIZE, digest, NULL, EVP_sha256(), NULL);
        memcpy(ret, digest, ID_SIZE);
}

void note_key_format(const NoteKey *k, char ret[static NOTE_KEY_TEXT]) {
        uint8_t id[ID_SIZE], bytes[1 + NOTE_KEY_SIZE] = { ED25519 };
        char text[64] = { 0 };

        key_id(k, id);
        memcpy(bytes + 1, k->public, NOTE_KEY_SIZE);
        base64_format(BYTES(bytes, sizeof(bytes)), text);
        snprintf(ret, NOTE_KEY_TEXT, "%s+%02x%02x%02x%02x+%s", k->name, id[0], id[1], id[2], id[3], text);
}

/* Read, written again, and compared: so there is one text for a key. */
int note_key_parse(Bytes text, NoteKey *ret) {
        CLEANUP(freep) uint8_t *bytes = NULL;
        char again[NOTE_KEY_TEXT];
        const uint8_t *plus, *second;
        size_t size;
        NoteKey k = { 0 };

        assert(ret);
        plus = text.size > 0 ? memchr(text.data, '+', text.size) : NULL;
        second = plus ? memchr(plus + 1, '+', text.size - (size_t) (plus + 1 - text.data)) : NULL;
        if (!second || !is_name(BYTES(text.data, (size_t) (plus - text.data))))
                return -EBADMSG;
        if (base64_parse((const char *) second + 1, text.size - (size_t) (second + 1 - text.data), &bytes,
                         &size) < 0 ||
            size != 1 + NOTE_KEY_SIZE || bytes[0] != ED25519)
                return -EBADMSG;
        memcpy(k.name, text.data, (size_t) (plus - text.data));
        memcpy(k.public, bytes + 1, NOTE_KEY_SIZE);
        note_key_format(&k, again);
        if (strlen(again) != text.size || memcmp(again, text.data, text.size) != 0)
                return -EBADMSG;
        *ret = k;
        return 0;
}

static int sign(Bytes text, const NoteSecret *s, uint8_t ret[static SIGNATURE_SIZE]) {
        CLEANUP(pkey_freep) EVP_PKEY *pair = NULL;
        CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t size = SIGNATURE_SIZE;

        pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, s->secret, NOTE_KEY_SIZE);
        if (!pair || !ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, pair) != 1 ||
            EVP_DigestSign(ctx, ret, &size, text.data, text.size) != 1)
                return -ENOMEM;
        return 0;
}

static int verify(Bytes text, const NoteKey *k, const uint8_t signature[static SIGNATURE_SIZE]) {
        CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
        CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->public, NOTE_KEY_SIZE);
        if (!key || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
                return -ENOMEM;
        return EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, text.data, text.size) == 1 ? 0
                                                                                           : NOTE_E_FORGED;
}

int note_sign(const char *text, const NoteSecret *s, char **ret) {
        uint8_t bytes[ID_SIZE + SIGNATURE_SIZE];
        char line[128] = { 0 };
        int r;

        assert(text && s && ret);
        key_id(&s->key, bytes);
        r = sign(BYTES_STR(text), s, bytes + ID_SIZE);
        if (r < 0)
                return r;
        base64_format(BYTES(bytes, sizeof(bytes)), line);
        if (asprintf(ret, "%s\n%s%s %s\n", text, dash, s->key.name, line) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

bool note_line(Bytes *rest, Bytes *ret) {
        const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;

        if (!end)
                return false;
        *ret = BYTES(rest->data, (size_t) (end - rest->data));
        *rest = BYTES(end + 1, rest->size - ret->size - 1);
        return true;
}

/* The text ends at the last empty line. */
static int take_apart(Bytes note, Bytes *ret_text, Bytes *ret_signatures) {
        size_t at = 0;

        if (note.size < 3 || note.size > NOTE_MAX || note.data[note.size - 1] != '\n' || !utf8_valid(note))
                return -EBADMSG;
        for (size_t i = 0; i < note.size; i++)
                if (note.data[i] < ' ' && note.data[i] != '\n')
                        return -EBADMSG;
        for (size_t i = note.size - 1; i > 0 && at == 0; i--)
                if (note.data[i] == '\n' && note.data[i - 1] == '\n')
                        at = i;
        if (at == 0 || at + 1 == note.size)
                return -EBADMSG;
        *ret_text = BYTES(note.data, at);
        *ret_signatures = BYTES(note.data + at + 1, note.size - at - 1);
        return 0;
}

typedef struct Signature {
        Bytes name;
        uint8_t id[ID_SIZE];
        uint8_t bytes[SIGNATURE_SIZE];
        bool ours; /* as long as one of ours */
} Signature;

static int parse_signature(Bytes line, Signature *ret) {
        CLEANUP(freep) uint8_t *bytes = NULL;
        const uint8_t *blank;
        size_t n = strlen(dash), size;

        if (line.size <= n || memcmp(line.data, dash, n) != 0)
                return -EBADMSG;
        line = BYTES(line.data + n, line.size - n);
        blank = memchr(line.data, ' ', line.size);
        if (!blank || blank == line.data)
                return -EBADMSG;
        ret->name = BYTES(line.data, (size_t) (blank - line.data));
        if (base64_parse((const char *) blank + 1, line.size - ret->name.size - 1, &bytes, &size) < 0 ||
            size <= ID_SIZE)
                return -EBADMSG;
        memcpy(ret->id, bytes, ID_SIZE);
        ret->ours = size == ID_SIZE + SIGNATURE_SIZE;
        if (ret->ours)
                memcpy(ret->bytes, bytes + ID_SIZE, SIGNATURE_SIZE);
        return 0;
}

int note_text(Bytes note, Bytes *ret) {
        Bytes text, rest, line;
        Signature s;
        int r = take_apart(note, &text, &rest);

        while (r == 0 && note_line(&rest, &line))
                r = parse_signature(line, &s);
        if (r == 0)
                *ret = text;
        return r;
}

int note_check(Bytes note, const NoteKey *key) {
        uint8_t id[ID_SIZE];
        Bytes text, rest, line;
        Signature s;
        int r;

        r = take_apart(note, &text, &rest);
        if (r < 0)
                return r;
        key_id(key, id);
        r = NOTE_E_UNSIGNED;
        while (note_line(&rest, &line)) {
                if (parse_signature(line, &s) < 0)
                        return -EBADMSG;
                if (r == NOTE_E_UNSIGNED && s.ours && memcmp(s.id, id, ID_SIZE) == 0 &&
                    bytes_equal(s.name, BYTES_STR(key->name)))
                        r = verify(text, key, s.bytes);
        }
        return r;
}

int note_number(Bytes text, int64_t *ret) {
        int64_t n = 0;

        if (text.size == 0 || (text.size > 1 && text.data[0] == '0'))
                return -EBADMSG;
        for (size_t i = 0; i < text.size; i++) {
                int digit = text.data[i] - '0';

                if (digit < 0 || digit > 9 || __builtin_mul_overflow(n, 10, &n) ||
                    __builtin_add_overflow(n, digit, &n))
                        return -EBADMSG;
        }
        *ret = n;
        return 0;
}

void hash_format(const Hash *h, char ret[static HASH_TEXT]) {
        base64_format(BYTES(h->bytes, HASH_SIZE), ret);
        ret[HASH_TEXT - 1] = '\0';
}

int hash_parse(Bytes text, Hash *ret) {
        CLEANUP(freep) uint8_t *bytes = NULL;
        size_t size;

        if (text.size != HASH_TEXT - 1 ||
            base64_parse((const char *) text.data, text.size, &bytes, &size) < 0 || size != HASH_SIZE)
                return -EBADMSG;
        memcpy(ret->bytes, bytes, HASH_SIZE);
        return 0;
}

static int take_origin(Bytes *rest, char ret[static NOTE_NAME_MAX + 1]) {
        Bytes line;

        if (!note_line(rest, &line) || !is_name(line))
                return -EBADMSG;
        memcpy(ret, line.data, line.size);
        ret[line.size] = '\0';
        return 0;
}

/* A line "WORD NUMBER", or, word NULL, "NUMBER". */
static int take_number(Bytes *rest, const char *word, int64_t *ret) {
        size_t n = word ? strlen(word) : 0;
        Bytes line;

        if (!note_line(rest, &line) || line.size < n || (n > 0 && memcmp(line.data, word, n) != 0))
                return -EBADMSG;
        return note_number(BYTES(line.data + n, line.size - n), ret);
}

int checkpoint_format(const Checkpoint *c, char **ret) {
        char root[HASH_TEXT];

        hash_format(&c->root, root);
        if (asprintf(ret, "%s\n%lld\n%s\nnumber %lld\ntime %lld\n", c->origin, (long long) c->size, root,
                     (long long) c->number, (long long) c->time) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

int checkpoint_parse(Bytes text, Checkpoint *ret) {
        Checkpoint c = { 0 };
        Bytes line;

        if (take_origin(&text, c.origin) < 0 || take_number(&text, NULL, &c.size) < 0 ||
            !note_line(&text, &line) || hash_parse(line, &c.root) < 0 ||
            take_number(&text, "number ", &c.number) < 0 || take_number(&text, "time ", &c.time) < 0 ||
            text.size != 0 || c.number < 1)
                return -EBADMSG;
        *ret = c;
        return 0;
}

int takeover_format(const Takeover *t, char **ret) {
        char key[NOTE_KEY_TEXT];

        note_key_format(&t->key, key);
        if (asprintf(ret, "%s\nkey %lld\n%s\n", t->origin, (long long) t->epoch, key) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

int takeover_parse(Bytes text, Takeover *ret) {
        Takeover t = { 0 };
        Bytes line;

        if (take_origin(&text, t.origin) < 0 || take_number(&text, "key ", &t.epoch) < 0 ||
            !note_line(&text, &line) || note_key_parse(line, &t.key) < 0 || text.size != 0 || t.epoch < 1 ||
            strcmp(t.key.name, t.origin) != 0)
                return -EBADMSG;
        *ret = t;
        return 0;
}
