/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "ctl/row.h"
#include "lib/util.h"

static void sizes_have_four_characters_at_most(void **state) {
        static const struct {
                int64_t bytes;
                const char *text;
        } cases[] = {
                { 0, "0" },           { 999, "999" },        { 1000, "1.0K" },
                { 1024, "1.0K" },     { 1234, "1.2K" },      { 10137, "9.9K" },
                { 10189, "10K" },     { 1022000, "998K" },   { 1023400, "999K" },
                { 1023500, "1.0M" },  { 5368709120, "5.0G" }, { 123456789012, "115G" },
                { INT64_MAX, "8.0E" },
        };
        char buf[HUMAN_MAX];

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                assert_string_equal(human_size(cases[i].bytes, buf), cases[i].text);
}

static void assert_mode(const char *type, int mode, const char *text) {
        json_t *row = json_pack("{ss si}", "type", type, "mode", mode);
        char buf[MODE_TEXT_MAX];

        assert_string_equal(mode_text(row, buf), text);
        json_decref(row);
}

static void modes_look_as_ls_shows_them(void **state) {
        assert_mode("file", 0644, "-rw-r--r--");
        assert_mode("directory", 02775, "drwxrwsr-x");
        assert_mode("directory", 01777, "drwxrwxrwt");
        assert_mode("directory", 01776, "drwxrwxrwT");
        assert_mode("file", 04755, "-rwsr-xr-x");
        assert_mode("file", 06644, "-rwSr-Sr--");
        assert_mode("symlink", 0777, "lrwxrwxrwx");
        assert_mode("fifo", 0, "p---------");
        assert_mode("socket", 0, "s---------");
        assert_mode("char", 0600, "crw-------");
        assert_mode("block", 0600, "brw-------");
        assert_mode("of a later version", 0, "?---------");
}

static void names_are_escaped_whichever_member_has_them(void **state) {
        json_t *row = json_pack("{ss ss ss sn}", "path", "a\x1b", "targetBase64", "Yf8=", "oldPathBase64", "!", "cause");
        CLEANUP(freep) char *path = row_name(row, "path"), *target = row_name(row, "target");

        assert_string_equal(path, "a\\x1b");
        assert_string_equal(target, "a\\xff");
        assert_null(row_name(row, "oldPath"));
        assert_null(row_name(row, "none"));
        assert_false(row_has(row, "cause"));
        assert_true(row_has(row, "path"));
        json_decref(row);
}

static void what_is_not_there_is_a_dash(void **state) {
        static const TableColumn columns[] = { { "A", false, false }, { "B", false, false }, { "C", false, false } };
        const TableLook look = { .title_style = "" };
        json_t *row = json_pack("{si sn}", "n", 7, "null");
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        Table *t = NULL;

        assert_int_equal(table_new(&look, columns, ELEMENTS(columns), f, &t), 0);
        cell_number(t, row, "n");
        cell_size(t, row, "null");
        cell_time(t, row, "none");
        cell_name(t, row, "none");
        cell_text(t, row, "none", NULL);
        cell_size(t, row, "n");
        assert_int_equal(table_flush(t), 0);
        table_free(t);
        fclose(f);
        assert_string_equal(text, "7 - -\n- - 7\n");
        free(text);
        json_decref(row);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sizes_have_four_characters_at_most),
                cmocka_unit_test(modes_look_as_ls_shows_them),
                cmocka_unit_test(names_are_escaped_whichever_member_has_them),
                cmocka_unit_test(what_is_not_there_is_a_dash),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
