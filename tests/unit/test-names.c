/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <stdbool.h>

#include "lib/names.h"

#define COUNT_ITEM(n, v, s) +1
#define CHECK_KIND(n, v, s) assert_int_equal(kind_from_word(kind_to_word(v)), v);
#define CHECK_ORIGIN(n, v, s) assert_int_equal(origin_from_word(origin_to_word(v)), v);
#define CHECK_CAUSE(n, v, s) assert_string_equal(cause_to_word(v), s);
#define CHECK_TYPE(n, v, s) assert_int_equal(type_from_word(type_to_word(v)), v);

static void every_number_has_one_word(void **state) {
        (void) state;
        KIND_TABLE(CHECK_KIND)
        ORIGIN_TABLE(CHECK_ORIGIN)
        CAUSE_TABLE(CHECK_CAUSE)
        TYPE_TABLE(CHECK_TYPE)
        assert_null(kind_to_word(0));
        assert_null(kind_to_word(0 KIND_TABLE(COUNT_ITEM) + 1));
        assert_int_equal(kind_from_word("Create"), 0);
}

static bool is_cause(const char *word, int number) {
        const char *known = cause_to_word(number);

        return known && strcmp(known, word) == 0;
}

/* A table of docs/FORMATS.md has rows "| word | number |..."; ours must be the same set. */
static void the_document_has_the_same_numbers(void **state) {
        const char *source = getenv("SCITRACE_SOURCE");
        char path[4096], line[1024], word[64];
        int number, rows = 0;
        FILE *f;

        (void) state;
        snprintf(path, sizeof(path), "%s/docs/FORMATS.md", source ? source : ".");
        f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                if (sscanf(line, "| %63s | %d |", word, &number) != 2)
                        continue;
                rows++;
                assert_true(kind_from_word(word) == number || origin_from_word(word) == number ||
                            is_cause(word, number) || type_from_word(word) == number);
        }
        fclose(f);
        assert_int_equal(rows, 0 KIND_TABLE(COUNT_ITEM) ORIGIN_TABLE(COUNT_ITEM) CAUSE_TABLE(COUNT_ITEM)
                                 TYPE_TABLE(COUNT_ITEM));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_number_has_one_word),
                cmocka_unit_test(the_document_has_the_same_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
