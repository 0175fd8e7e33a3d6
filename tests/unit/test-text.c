/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>

#include "lib/text.h"
#include "lib/utf8.h"
#include "tests/lib/unescape.h"

static void assert_escaped(Bytes bytes, const char *text) {
        CLEANUP(freep) char *escaped = NULL;

        assert_int_equal(text_escape(bytes, &escaped), 0);
        assert_string_equal(escaped, text);
        assert_int_equal(unescape(escaped), bytes.size);
        assert_memory_equal(escaped, bytes.data, bytes.size);
}

static void what_a_terminal_would_obey_is_written_in_hexadecimal(void **state) {
        assert_escaped(BYTES_STR("a\x1b[31m\nb\x7f"), "a\\x1b[31m\\x0ab\\x7f");
        assert_escaped(BYTES("a\0b", 3), "a\\x00b");
        assert_escaped(BYTES_STR("\xc2\x9b" "1m"), "\\xc2\\x9b1m");                     /* C1 */
        assert_escaped(BYTES_STR("x\xe2\x80\xaegnp.exe"), "x\\xe2\\x80\\xaegnp.exe");   /* U+202E */
        assert_escaped(BYTES_STR("\xe2\x81\xa6"), "\\xe2\\x81\\xa6");                   /* U+2066 */
        assert_escaped(BYTES_STR("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");                   /* U+2028 */
}

static void valid_names_stay_as_they_are(void **state) {
        assert_escaped(BYTES_STR("\x7e\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbd\xf4\x8f\xbf\xbf"),
                       "\x7e\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbd\xf4\x8f\xbf\xbf");
        assert_escaped(BYTES_STR(""), "");
        assert_escaped(BYTES_STR("plain name.txt"), "plain name.txt");
        assert_escaped(BYTES_STR("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\xac"),
                       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\xac");
        assert_escaped(BYTES_STR("\xe2\x80\xa7\xe2\x80\xaf"),
                       "\xe2\x80\xa7\xe2\x80\xaf"); /* beside the ranges */
}

static void invalid_utf8_is_escaped_byte_by_byte(void **state) {
        assert_escaped(BYTES_STR("a\xff\xfe"), "a\\xff\\xfe");
        assert_escaped(BYTES_STR("\xc3"), "\\xc3");                                     /* cut */
        assert_escaped(BYTES_STR("\xc3z"), "\\xc3z");
        assert_escaped(BYTES_STR("\xc0\xaf"), "\\xc0\\xaf");                            /* overlong */
        assert_escaped(BYTES_STR("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
        assert_escaped(BYTES_STR("\xed\xa0\x80"), "\\xed\\xa0\\x80");                   /* surrogate */
        assert_escaped(BYTES_STR("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");          /* beyond */
        assert_escaped(BYTES_STR("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf");
}

static void a_backslash_is_doubled_so_that_the_way_back_is_certain(void **state) {
        assert_escaped(BYTES_STR("a\\x1bb"), "a\\\\x1bb");
        assert_escaped(BYTES_STR("\\\\"), "\\\\\\\\");
}

static void every_byte_finds_its_way_back(void **state) {
        uint8_t all[512];

        for (size_t i = 0; i < sizeof(all); i++)
                all[i] = (uint8_t) (i * 167 + i / 256);
        for (size_t n = 0; n < sizeof(all); n++) {
                CLEANUP(freep) char *escaped = NULL;

                assert_int_equal(text_escape(BYTES(all, n), &escaped), 0);
                assert_true(utf8_valid(BYTES_STR(escaped)));
                assert_int_equal(unescape(escaped), n);
                assert_memory_equal(escaped, all, n);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_terminal_would_obey_is_written_in_hexadecimal),
                cmocka_unit_test(valid_names_stay_as_they_are),
                cmocka_unit_test(invalid_utf8_is_escaped_byte_by_byte),
                cmocka_unit_test(a_backslash_is_doubled_so_that_the_way_back_is_certain),
                cmocka_unit_test(every_byte_finds_its_way_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
