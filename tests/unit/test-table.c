/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <locale.h>

#include "ctl/table.h"
#include "lib/util.h"

static const TableColumn columns[] = {
        { "NAME", false, false },
        { "SIZE", true, false },
        { "PATH", false, true },
};
static const TableLook plain = { .legend = true, .utf8 = true, .title_style = "" };

/* What a table of these cells looks like. cells: row after row, NULL at the end. */
static char *drawn(const TableLook *look, const char *const *cells) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        Table *t = NULL;

        assert_non_null(f);
        assert_int_equal(table_new(look, columns, ELEMENTS(columns), f, &t), 0);
        for (; *cells; cells++)
                table_cell(t, *cells, NULL);
        assert_int_equal(table_flush(t), 0);
        table_free(t);
        fclose(f);
        return text;
}

static void assert_drawn(const TableLook *look, const char *const *cells, const char *wanted) {
        CLEANUP(freep) char *text = drawn(look, cells);

        assert_string_equal(text, wanted);
}

static void columns_are_as_wide_as_their_widest_cell(void **state) {
        static const char *const cells[] = { "a", "1", "x", "longer", "12345", "a/b/c", NULL };

        assert_drawn(&plain, cells,
                     "NAME    SIZE PATH\n"
                     "a          1 x\n"
                     "longer 12345 a/b/c\n");
}

static void no_rows_are_no_table(void **state) {
        static const char *const cells[] = { NULL };

        assert_drawn(&plain, cells, "");
}

static void titles_can_be_left_out(void **state) {
        static const char *const cells[] = { "a", "1", "x", NULL };
        TableLook look = plain;

        look.legend = false;
        assert_drawn(&look, cells, "a 1 x\n");
}

static void a_long_path_gives_up_its_middle_to_fit_the_screen(void **state) {
        static const char *const cells[] = { "a", "1", "one/two/three/four/five/six.csv", NULL };
        TableLook look = plain;

        look.width = 30;
        assert_drawn(&look, cells,
                     "NAME SIZE PATH\n"
                     "a       1 one/tw…/five/six.csv\n");
        look.utf8 = false;
        assert_drawn(&look, cells,
                     "NAME SIZE PATH\n"
                     "a       1 one/tw~/five/six.csv\n");
        look.width = 0;
        assert_drawn(&look, cells,
                     "NAME SIZE PATH\n"
                     "a       1 one/two/three/four/five/six.csv\n");
}

static void a_narrow_screen_leaves_the_path_a_little_room(void **state) {
        static const char *const cells[] = { "a", "1", "one/two/three/four/five/six.csv", NULL };
        TableLook look = plain;

        look.width = 8;
        assert_drawn(&look, cells,
                     "NAME SIZE PATH\n"
                     "a       1 one…/six.csv\n");
}

static void wide_characters_take_two_columns_and_accents_none(void **state) {
        static const char *const cells[] = {
                "日本", "1", "x", "abcd", "2", "y", "e\xcc\x81", "3", "z", NULL
        };

        assert_drawn(&plain, cells,
                     "NAME SIZE PATH\n"
                     "日本    1 x\n"
                     "abcd    2 y\n"
                     "e\xcc\x81       3 z\n");
        assert_int_equal(table_width("日本"), 4);
        assert_int_equal(table_width("läng"), 4);
}

static void a_cut_never_splits_a_character(void **state) {
        const char *text = "日本語日本語日本語";

        for (size_t width = 3; width < 20; width++) {
                CLEANUP(freep) char *cut = table_elide(text, width, true);

                assert_non_null(cut);
                assert_true(table_width(cut) <= width);
                assert_true(width >= 18 || strstr(cut, "…"));
                assert_true(mbstowcs(NULL, cut, 0) != (size_t) -1);
        }
}

static void styles_surround_the_text_and_not_the_padding(void **state) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        TableLook look = { .legend = false, .title_style = "" };
        Table *t = NULL;

        assert_int_equal(table_new(&look, columns, 3, f, &t), 0);
        table_cell(t, "ab", "\x1b[1m");
        table_cell(t, "1", "\x1b[2m");
        table_cell(t, "x", "");
        table_cell(t, "abcd", "");
        table_cell(t, "100", "");
        table_cell(t, "y", "");
        assert_int_equal(table_flush(t), 0);
        table_free(t);
        fclose(f);
        assert_string_equal(text, "\x1b[1mab\x1b[0m     \x1b[2m1\x1b[0m x\nabcd 100 y\n");
        free(text);
}

/* Once the widths are decided rows go out as they come, and a wider cell widens its column from there on. */
static void a_stream_does_not_wait(void **state) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        Table *t = NULL;

        assert_int_equal(table_new(&plain, columns, 3, f, &t), 0);
        for (int i = 0; i < TABLE_AHEAD - 1; i++)
                for (int j = 0; j < 3; j++)
                        table_cell(t, "a", NULL);
        fflush(f);
        assert_int_equal(size, 0);
        for (int j = 0; j < 3; j++)
                table_cell(t, "b", NULL);
        fflush(f);
        assert_true(size > 0);
        assert_string_equal(text + size - 12, "b       b b\n");
        table_cell(t, "wider", NULL);
        table_cell(t, "1", NULL);
        table_cell(t, "x", NULL);
        table_cell(t, "c", NULL);
        table_cell(t, "1", NULL);
        table_cell(t, "x", NULL);
        fflush(f);
        assert_string_equal(text + size - 26, "wider    1 x\nc        1 x\n");
        table_free(t);
        fclose(f);
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
                cmocka_unit_test(no_rows_are_no_table),
                cmocka_unit_test(titles_can_be_left_out),
                cmocka_unit_test(a_long_path_gives_up_its_middle_to_fit_the_screen),
                cmocka_unit_test(a_narrow_screen_leaves_the_path_a_little_room),
                cmocka_unit_test(wide_characters_take_two_columns_and_accents_none),
                cmocka_unit_test(a_cut_never_splits_a_character),
                cmocka_unit_test(styles_surround_the_text_and_not_the_padding),
                cmocka_unit_test(a_stream_does_not_wait),
        };

        setlocale(LC_CTYPE, "C.UTF-8");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
