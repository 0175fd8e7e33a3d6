/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_NOTE_H
#define SCITRACE_DAEMON_STORE_NOTE_H

/* note: signed texts, and the two that seal a log: a checkpoint (C2SP signed-note and tlog-checkpoint,
 * Ed25519) and a statement that the next key is to be trusted. There is one text for each; anything else is
 * refused. Pure but for the randomness of a new key. docs/FORMATS.md, "Seals", shows them.
 * May use: lib, daemon/store/tile.h.  May not use: anything else in daemon/. */

#include "daemon/store/tile.h"

enum {
        NOTE_NAME_MAX = 100,            /* bytes of an origin, which is the name of its keys too */
        NOTE_KEY_SIZE = 32,             /* public or secret */
        NOTE_KEY_TEXT = NOTE_NAME_MAX + 80,     /* a public key as text, its NUL included */
        NOTE_MAX = 8192,                /* bytes of a note */

        NOTE_E_UNSIGNED = 1,            /* no signature names that key */
        NOTE_E_FORGED,                  /* one does, and is not of it */
};

typedef struct NoteKey {
        char name[NOTE_NAME_MAX + 1];
        uint8_t public[NOTE_KEY_SIZE];
} NoteKey;

typedef struct NoteSecret {
        NoteKey key;
        uint8_t secret[NOTE_KEY_SIZE];
} NoteSecret;

/** note_secret_new() - a key pair, from the system's randomness. note_secret_load() - the pair of a secret.
 *  0, -ENOMEM, -EINVAL (name), -EIO. note_secret_done() - wipes it. */
int note_secret_new(const char *name, NoteSecret *ret);
int note_secret_load(const char *name, const uint8_t secret[static NOTE_KEY_SIZE], NoteSecret *ret);
void note_secret_done(NoteSecret *s);

/** note_key_format() - "NAME+HASH+BASE64". note_key_parse() - the reverse; 0, -EBADMSG. */
void note_key_format(const NoteKey *k, char ret[static NOTE_KEY_TEXT]);
int note_key_parse(Bytes text, NoteKey *ret);
static inline bool note_key_equal(const NoteKey *a, const NoteKey *b) {
        return strcmp(a->name, b->name) == 0 && memcmp(a->public, b->public, NOTE_KEY_SIZE) == 0;
}

/** note_sign() - the text, which ends with a newline, an empty line, and the signature's line. *ret:
 *  malloc'd. 0, -ENOMEM. */
int note_sign(const char *text, const NoteSecret *s, char **ret);
/** note_text() - the signed text within a note. 0, -EBADMSG: it is no note. */
int note_text(Bytes note, Bytes *ret);
/** note_check() - 0: key signed it; NOTE_E_*; -EBADMSG: it is no note; -ENOMEM. */
int note_check(Bytes note, const NoteKey *key);

/** Checkpoint: the root of the first `size` events, as of a time (µs). number counts them, from 1 and
 *  without a hole, so that none can be taken out. */
typedef struct Checkpoint {
        char origin[NOTE_NAME_MAX + 1];
        int64_t size;
        Hash root;
        int64_t number;
        int64_t time;
} Checkpoint;

/** Takeover: key `epoch`, from 1, follows the one before; it is that one which signs this, and the first
 *  signs for itself. */
typedef struct Takeover {
        char origin[NOTE_NAME_MAX + 1];
        int64_t epoch;
        NoteKey key;
} Takeover;

/** _format: *ret is the text to be signed, malloc'd; 0, -ENOMEM. _parse: the reverse of exactly that; 0,
 *  -EBADMSG. */
int checkpoint_format(const Checkpoint *c, char **ret);
int checkpoint_parse(Bytes text, Checkpoint *ret);
int takeover_format(const Takeover *t, char **ret);
int takeover_parse(Bytes text, Takeover *ret);

enum { HASH_TEXT = 45 };                /* base64 of a hash, its NUL included */
void hash_format(const Hash *h, char ret[static HASH_TEXT]);
int hash_parse(Bytes text, Hash *ret);  /* 0, -EBADMSG */

/** note_line() - cuts the next line off *rest, without its newline. False: there is none. */
bool note_line(Bytes *rest, Bytes *ret);
/** note_number() - a decimal number as it is written, without sign or leading zeros. 0, -EBADMSG. */
int note_number(Bytes text, int64_t *ret);

#endif
