/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>

#include "daemon/store/note.h"

/* The example of golang.org/x/mod/sumdb/note, which C2SP's signed-note describes. */
#define PETER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define SAID                                                                                     \
        "If you think cryptography is the answer to your problem,\n"                             \
        "then you don't know what your problem is.\n"
#define PETERS                                                                                   \
        SAID "\n\xe2\x80\x94 PeterNeumann "                                                       \
             "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

static void a_note_of_another_implementation_is_read(void **state) {
        char text[NOTE_KEY_TEXT];
        NoteKey key;
        Bytes said;

        assert_int_equal(note_key_parse(BYTES_STR(PETER), &key), 0);
        note_key_format(&key, text);
        assert_string_equal(text, PETER);
        assert_int_equal(note_check(BYTES_STR(PETERS), &key), 0);
        assert_int_equal(note_text(BYTES_STR(PETERS), &said), 0);
        assert_true(bytes_equal(said, BYTES_STR(SAID)));
}

static void a_changed_note_is_forged_or_none(void **state) {
        char note[] = PETERS;
        NoteKey key;

        assert_int_equal(note_key_parse(BYTES_STR(PETER), &key), 0);
        for (size_t i = 0; note[i]; i++) {
                note[i] ^= 1;
                assert_int_not_equal(note_check(BYTES_STR(note), &key), 0);
                note[i] ^= 1;
        }
        note[3] ^= 1;
        assert_int_equal(note_check(BYTES_STR(note), &key), NOTE_E_FORGED);
        for (size_t n = 0; n < sizeof(note) - 1; n++)
                assert_int_not_equal(note_check(BYTES(note, n), &key), 0);
}

static void what_is_signed_is_checked_by_its_key_alone(void **state) {
        NoteSecret a, b, again;
        char *note = NULL;

        assert_int_equal(note_secret_new("scitrace.org/x", &a), 0);
        assert_int_equal(note_secret_new("scitrace.org/x", &b), 0);
        assert_int_equal(note_sign("text\n", &a, &note), 0);
        assert_int_equal(note_check(BYTES_STR(note), &a.key), 0);
        assert_int_equal(note_check(BYTES_STR(note), &b.key), NOTE_E_UNSIGNED);
        assert_int_equal(note_secret_load("scitrace.org/x", a.secret, &again), 0);
        assert_true(note_key_equal(&again.key, &a.key));
        assert_int_equal(note_secret_load("scitrace.org/y", a.secret, &again), 0);
        assert_int_equal(note_check(BYTES_STR(note), &again.key), NOTE_E_UNSIGNED);
        assert_int_equal(note_secret_new("two words", &b), -EINVAL);
        assert_int_equal(note_secret_new("a+b", &b), -EINVAL);
        assert_int_equal(note_secret_new("", &b), -EINVAL);
        free(note);
}

static void a_checkpoint_has_one_text(void **state) {
        Checkpoint c = { .origin = "scitrace.org/x", .size = 42, .number = 7, .time = 1700000000000000 }, d;
        char *text = NULL, root[HASH_TEXT], expected[256];

        memset(c.root.bytes, 0xab, sizeof(c.root.bytes));
        hash_format(&c.root, root);
        assert_int_equal(checkpoint_format(&c, &text), 0);
        snprintf(expected, sizeof(expected), "scitrace.org/x\n42\n%s\nnumber 7\ntime 1700000000000000\n", root);
        assert_string_equal(text, expected);
        assert_int_equal(checkpoint_parse(BYTES_STR(text), &d), 0);
        assert_memory_equal(&c, &d, sizeof(c));
        free(text);
}

static void other_texts_are_no_checkpoint(void **state) {
        static const char *const texts[] = {
                "",
                "o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17",
                "o\n042\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17\n",
                "o\n-2\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17\n",
                "o\n99999999999999999999\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17\n",
                "o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s\nnumber 7\ntime 17\n",
                "o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6t=\nnumber 7\ntime 17\n",
                "o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 0\ntime 17\n",
                "o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17\nmore\n",
                "o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\ntime 17\nnumber 7\n",
                "two words\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17\n",
                "o\nkey 2\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\nnumber 7\ntime 17\n",
        };
        Checkpoint c;

        assert_int_equal(checkpoint_parse(BYTES_STR("o\n42\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n"
                                                    "number 7\ntime 17\n"), &c), 0);
        for (size_t i = 0; i < ELEMENTS(texts); i++)
                assert_int_equal(checkpoint_parse(BYTES_STR(texts[i]), &c), -EBADMSG);
}

static void a_takeover_has_one_text(void **state) {
        Takeover t = { .origin = "scitrace.org/x", .epoch = 3 }, u;
        NoteSecret s;
        char *text = NULL;

        assert_int_equal(note_secret_new("scitrace.org/x", &s), 0);
        t.key = s.key;
        assert_int_equal(takeover_format(&t, &text), 0);
        assert_int_equal(takeover_parse(BYTES_STR(text), &u), 0);
        assert_memory_equal(&t, &u, sizeof(t));
        assert_int_equal(takeover_parse(BYTES(text, strlen(text) - 1), &u), -EBADMSG);
        text[strlen("scitrace.org/")] = 'y';    /* a key of another store */
        assert_int_equal(takeover_parse(BYTES_STR(text), &u), -EBADMSG);
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_note_of_another_implementation_is_read),
                cmocka_unit_test(a_changed_note_is_forged_or_none),
                cmocka_unit_test(what_is_signed_is_checked_by_its_key_alone),
                cmocka_unit_test(a_checkpoint_has_one_text),
                cmocka_unit_test(other_texts_are_no_checkpoint),
                cmocka_unit_test(a_takeover_has_one_text),
        };

        return cmocka_run_group_tests_name("note", tests, NULL, NULL);
}
