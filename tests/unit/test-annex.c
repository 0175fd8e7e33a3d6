/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "lib/annex.h"

#define HEX "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"

static void a_name_is_a_key_or_not(void **state) {
        static const char *const keys[] = { "SHA256E-s6--" HEX ".txt", "SHA256-s6--" HEX, "MD5E-s0--d41d.dat",
                                            "WORM-s3-m1700000000--a b", "URL--http&c%%example.com%f",
                                            "SHA256E-s9-S4-C2--" HEX, "XDIRECTORY-s1--x", "BLAKE2B160E--a" };
        static const char *const others[] = { "", "SHA256E", "SHA256E-s6", "SHA256E-s6--", "sha256-s6--" HEX,
                                              "SHA256E-s--" HEX, "SHA256E-x6--" HEX, "README--md/x",
                                              "-s6--a", "9A--b", "SHA256E-s99999999999999999999--" HEX,
                                              "A--b\nc", "A-" };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(keys); i++)
                assert_true(annex_key_valid(BYTES_STR(keys[i])));
        for (size_t i = 0; i < ELEMENTS(others); i++)
                assert_false(annex_key_valid(BYTES_STR(others[i])));
}

static void only_whole_sha256_keys_give_a_digest(void **state) {
        static const char *const others[] = { "SHA256E-s6-S4-C2--" HEX ".txt", "SHA256E--" HEX, "MD5E-s6--" HEX,
                                              "SHA256-s6--" HEX ".txt", "SHA256E-s6--" HEX "txt",
                                              "SHA256E-s6--5891", "SHA256E-s6--X" HEX, "SHA512E-s6--" HEX };
        uint8_t digest[32], untouched[32] = { 0 };
        int64_t size = 0;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(others); i++) {
                memset(digest, 0, sizeof(digest));
                assert_false(annex_key_digest(BYTES_STR(others[i]), &size, digest));
                assert_memory_equal(digest, untouched, 32);
        }
        assert_true(annex_key_digest(BYTES_STR("SHA256E-s6--" HEX ".tar.gz"), &size, digest));
        assert_int_equal(size, 6);
        assert_int_equal(digest[0], 0x58);
        assert_int_equal(digest[31], 0x03);
        assert_true(annex_key_digest(BYTES_STR("SHA256E-s7--" HEX), &size, digest));
        assert_true(annex_key_digest(BYTES_STR("SHA256-s8-m1700000000--" HEX), &size, digest));
        assert_int_equal(size, 8);
}

static void assert_plain(const char *name, const char *expected) {
        uint8_t plain[ANNEX_KEY_MAX];
        size_t n = annex_key_plain(BYTES_STR(name), plain);

        assert_int_equal(n, strlen(expected));
        assert_memory_equal(plain, expected, n);
}

static void a_file_names_escapes_are_undone(void **state) {
        (void) state;
        assert_plain("URL--http&c%%example.com%f&aamp&s", "URL--http://example.com/f&amp%");
        assert_plain("A--b&", "A--b&");
        assert_plain("A--&x", "A--&x");
        assert_plain("SHA256E-s6--" HEX, "SHA256E-s6--" HEX);
}

#define OBJECT "annex/objects/mK/4w/SHA256E-s6--" HEX ".txt/SHA256E-s6--" HEX ".txt"
#define KEY "SHA256E-s6--" HEX ".txt"

static void assert_key(Bytes key, const char *expected) {
        assert_true(bytes_equal(key, expected ? BYTES_STR(expected) : BYTES_NONE));
}

static void a_key_is_found_in_targets_objects_and_pointers(void **state) {
        (void) state;
        assert_key(annex_key_of_target(BYTES_STR("../../.git/" OBJECT)), KEY);
        assert_key(annex_key_of_target(BYTES_STR("../.git/modules/sub/" OBJECT)), KEY);
        assert_key(annex_key_of_target(BYTES_STR("../.git/annex/objects/a/b/OTHER/" KEY)), NULL);
        assert_key(annex_key_of_target(BYTES_STR("objects/a/" KEY "/" KEY)), NULL);
        assert_key(annex_key_of_target(BYTES_STR(KEY)), NULL);
        assert_key(annex_key_of_target(BYTES_NONE), NULL);

        assert_key(annex_key_of_object(BYTES_STR(".git/" OBJECT)), KEY);
        assert_key(annex_key_of_object(BYTES_STR("sub/.git/" OBJECT)), KEY);
        assert_key(annex_key_of_object(BYTES_STR("copy/" OBJECT)), NULL);
        assert_key(annex_key_of_object(BYTES_STR(".gits/" OBJECT)), NULL);

        assert_key(annex_key_of_pointer(BYTES_STR("/annex/objects/" KEY "\n")), KEY);
        assert_key(annex_key_of_pointer(BYTES_STR("/annex/objects/" KEY "\r\n")), KEY);
        assert_key(annex_key_of_pointer(BYTES_STR("/annex/objects/" KEY "\nmore\n")), KEY);
        assert_key(annex_key_of_pointer(BYTES_STR("/annex/objects/" KEY)), KEY);
        assert_key(annex_key_of_pointer(BYTES_STR("annex/objects/" KEY "\n")), NULL);
        assert_key(annex_key_of_pointer(BYTES_STR("/annex/objects/\n")), NULL);
        assert_key(annex_key_of_pointer(BYTES_STR("/annex/objects/no key\n")), NULL);
        assert_key(annex_key_of_pointer(BYTES("", 0)), NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_is_a_key_or_not),
                cmocka_unit_test(only_whole_sha256_keys_give_a_digest),
                cmocka_unit_test(a_file_names_escapes_are_undone),
                cmocka_unit_test(a_key_is_found_in_targets_objects_and_pointers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
