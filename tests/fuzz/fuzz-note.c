/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "daemon/store/proof.h"
#include "tests/fuzz/fuzz.h"

#define KEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

static void same(Bytes text, char *again) {
        if (strlen(again) != text.size || memcmp(again, text.data, text.size) != 0)
                abort();
        free(again);
}

static void read_text(Bytes text) {
        char key[NOTE_KEY_TEXT], *again = NULL;
        Checkpoint c;
        Takeover t;
        NoteKey k;

        if (checkpoint_parse(text, &c) == 0 && checkpoint_format(&c, &again) == 0)
                same(text, again);
        if (takeover_parse(text, &t) == 0 && takeover_format(&t, &again) == 0)
                same(text, again);
        if (note_key_parse(text, &k) == 0) {
                note_key_format(&k, key);
                same(text, strdup(key));
        }
}

/* Any bytes as a note, as what it signs, as keys and as a proof: what is read has this text and no other; nothing that
 * was not signed is taken for signed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Bytes input = BYTES(data, size), text;
        NoteKey *keys = NULL, key;
        Proof proof;

        if (note_key_parse(BYTES_STR(KEY), &key) != 0)
                abort();
        read_text(input);
        if (note_text(input, &text) == 0)
                read_text(text);
        if (note_check(input, &key) == 0 && memmem(data, size, "If you think", 12) == NULL)
                abort();
        if (keys_parse(input, &keys) > 0)
                free(keys);
        if (proof_check(input, &key, 1, &proof) == 0)
                abort();                /* that key has signed no log */
        return 0;
}
