/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <jansson.h>

#include "daemon/control/path.h"
#include "daemon/control/rows.h"
#include "lib/embed.h"
#include "lib/varlink-idl.h"
#include "lib/varlink.h"

static json_t *object_of(Emit *e) {
        json_error_t error;
        json_t *object;

        EMIT(e, "}");
        assert_false(e->failed);
        for (size_t i = 0; i < e->size; i++)
                assert_in_range(e->data[i], 0x20, 0x7e);
        object = json_loadb(e->data, e->size, JSON_REJECT_DUPLICATES, &error);
        if (!object)
                fail_msg("%s: %.*s", error.text, (int) e->size, e->data);
        emit_done(e);
        return object;
}

static void begin(Emit *e) {
        *e = (Emit) { 0 };
        EMIT(e, "{");
}

static void every_text_reads_back_through_jansson(void **state) {
        static const char *const texts[] = {
                "",
                "plain",
                "\"\\/\b\f\n\r\t\x01\x1f\x7f",
                "caf\xc3\xa9",
                "\xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
                "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
                "\xc2\x9b[1m\xe2\x80\xae",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(texts); i++) {
                Emit e;
                json_t *object;

                begin(&e);
                emit_word(&e, "a", texts[i]);
                emit_bytes(&e, "b", BYTES_STR(texts[i]));
                emit_word(&e, "none", NULL);
                emit_bytes(&e, "none", BYTES_NONE);
                object = object_of(&e);
                assert_int_equal(json_object_size(object), 2);
                assert_string_equal(json_string_value(json_object_get(object, "a")), texts[i]);
                assert_string_equal(json_string_value(json_object_get(object, "b")), texts[i]);
                json_decref(object);
        }
}

static void every_single_byte_name_reads_back(void **state) {
        (void) state;
        for (int c = 0; c < 256; c++) {
                const uint8_t name[] = { 'x', (uint8_t) c, 'y' };
                uint8_t *back = NULL;
                size_t size = 0;
                json_t *object;
                Emit e;

                begin(&e);
                emit_bytes(&e, "path", BYTES(name, 3));
                object = object_of(&e);
                assert_int_equal(varlink_get_bytes(object, "path", &back, &size), 0);
                assert_int_equal(size, 3);
                assert_memory_equal(back, name, 3);
                assert_int_equal(json_object_get(object, "path") != NULL, c > 0 && c < 0x80);
                free(back);
                json_decref(object);
        }
}

static void numbers_read_back(void **state) {
        static const int64_t integers[] = { 0, 7, -1, 10, INT64_MAX, INT64_MIN, 1764021600000000 };
        static const double reals[] = { 0, 0.1, -2.5, 1e300, 5e-324, 1.0 / 3, 123456789.125, 1e15 + 0.5 };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(integers); i++) {
                json_t *object;
                Emit e;

                begin(&e);
                emit_int(&e, "n", integers[i]);
                emit_bool(&e, "b", i % 2);
                object = object_of(&e);
                assert_true(json_integer_value(json_object_get(object, "n")) == integers[i]);
                assert_int_equal(json_is_true(json_object_get(object, "b")), i % 2);
                json_decref(object);
        }
        for (size_t i = 0; i < ELEMENTS(reals); i++) {
                json_t *object;
                Emit e;

                begin(&e);
                emit_float(&e, "n", reals[i]);
                object = object_of(&e);
                assert_true(json_number_value(json_object_get(object, "n")) == reals[i]);
                json_decref(object);
        }
}

/* The object fits its type in the interface file. */
static void check_type(const char *file, const char *type, const json_t *object) {
        CLEANUP(idl_freep) Idl *idl = NULL;
        const EmbeddedFile *f = interface_files;
        const char *wrong = NULL;
        int line;

        while (strcmp(f->name, file) != 0)
                f++;
        assert_int_equal(idl_parse(f->text, &idl, &line), 0);
        if (!idl_check(idl, idl_find(idl, IDL_TYPE, type)->type, object, &wrong))
                fail_msg("%s.%s: %s", file, type, wrong);
}

static const uint8_t id[EVENT_ID_SIZE] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                           1,    2,    3,    4,    5,    6,    7,    0xff };

static QueryEvent full_event(void) {
        static uint8_t digest[EVENT_DIGEST_SIZE] = { 0xde, 0xad };
        QueryEvent row = {
                .event = {
                        .seq = 12, .first = 100, .last = 200, .dataset = 1, .kind = KIND_MODIFY,
                        .origin = ORIGIN_LIVE,
                        .count = 1, .node = 9, .replaces = 3, .has_state = true, .type = TYPE_FILE,
                        .size = 5,
                        .mode = 0644, .uid = 1000, .gid = 100, .mtime = 1764021600123456789,
                        .digest = BYTES(digest, sizeof(digest)), .digest_source = DIGEST_SOURCE_READ,
                        .process = 4,
                },
                .dataset = "data",
                .path = BYTES("a/\xff", 3),
                .old_path = BYTES_STR("b"),
                .commit = "0123456789abcdef0123456789abcdef01234567",
        };

        memcpy(row.event.boot, id, sizeof(id));
        return row;
}

static void an_event_has_the_fields_that_the_interface_lists(void **state) {
        QueryEvent row = full_event();
        json_t *object;
        Emit e;

        (void) state;
        begin(&e);
        rows_event(&e, &row);
        object = object_of(&e);
        check_type("org.scitrace.Record.varlink", "Event", object);
        assert_string_equal(json_string_value(json_object_get(object, "bootId")),
                            "01234567-89ab-cdef-0102-0304050607ff");
        assert_string_equal(json_string_value(json_object_get(object, "pathBase64")), "YS//");
        assert_null(json_object_get(object, "path"));
        assert_string_equal(json_string_value(json_object_get(object, "oldPath")), "b");
        assert_string_equal(json_string_value(json_object_get(object, "digest")),
                            "sha256:dead000000000000000000000000000000000000000000000000000000000000");
        assert_string_equal(json_string_value(json_object_get(object, "digestSource")), "read");
        assert_int_equal(json_integer_value(json_object_get(object, "mode")), 0644);
        assert_true(json_integer_value(json_object_get(object, "mtimeNsec")) == 1764021600123456789);
        assert_null(json_object_get(object, "cause"));
        assert_null(json_object_get(object, "target"));
        json_decref(object);
}

static void what_an_event_does_not_have_is_left_out(void **state) {
        QueryEvent row = {
                .event = { .seq = 1, .kind = KIND_GAP_OPEN, .origin = ORIGIN_LIVE, .cause = CAUSE_OVERFLOW },
                .dataset = "d"
        };
        json_t *object;
        Emit e;

        (void) state;
        begin(&e);
        rows_event(&e, &row);
        object = object_of(&e);
        check_type("org.scitrace.Record.varlink", "Event", object);
        assert_string_equal(json_string_value(json_object_get(object, "cause")), "overflow");
        assert_int_equal(json_object_size(object), 9);
        json_decref(object);
}

static void only_files_have_size_and_mtime(void **state) {
        static const Type types[] = { TYPE_FILE, TYPE_DIRECTORY, TYPE_SYMLINK, TYPE_FIFO };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(types); i++) {
                QueryFile row = { .dataset = "d",
                                  .path = BYTES_STR("x"),
                                  .type = types[i],
                                  .links = 1,
                                  .seq = 4,
                                  .node = 2 };
                json_t *object;
                Emit e;

                if (types[i] == TYPE_SYMLINK)
                        row.target = BYTES_STR("");
                begin(&e);
                rows_file(&e, &row);
                object = object_of(&e);
                check_type("org.scitrace.Record.varlink", "File", object);
                assert_int_equal(json_object_get(object, "size") != NULL, types[i] == TYPE_FILE);
                assert_int_equal(json_object_get(object, "mtimeNsec") != NULL, types[i] == TYPE_FILE);
                assert_int_equal(json_object_get(object, "target") != NULL, types[i] == TYPE_SYMLINK);
                json_decref(object);
        }
}

static void a_stretch_and_a_point_fit_their_interfaces(void **state) {
        const QueryStretch gap = { .from = 1, .gap = true, .cause = CAUSE_STOPPED, .path = BYTES_STR(".") };
        const QueryStretch covered = { .from = 1, .until = 2 };
        json_t *object;
        Emit e;

        (void) state;
        begin(&e);
        rows_stretch(&e, &gap);
        object = object_of(&e);
        check_type("org.scitrace.Datasets.varlink", "Stretch", object);
        assert_null(json_object_get(object, "untilUsec"));
        json_decref(object);
        begin(&e);
        rows_stretch(&e, &covered);
        object = object_of(&e);
        check_type("org.scitrace.Datasets.varlink", "Stretch", object);
        json_decref(object);
        begin(&e);
        rows_point(&e, "node_cpu_seconds_total", "cpu=0,mode=user,x=a=b", "seconds", 7, 0.5);
        object = object_of(&e);
        check_type("org.scitrace.Metrics.varlink", "Point", object);
        assert_int_equal(json_object_size(json_object_get(object, "labels")), 3);
        assert_string_equal(json_string_value(json_object_get(json_object_get(object, "labels"), "x")),
                            "a=b");
        json_decref(object);
}

static void paths_are_made_plain_or_refused(void **state) {
        static const struct {
                const char *in, *out;   /* NULL: refused */
        } cases[] = {
                { "/a/b", "/a/b" },     { "//a///b/", "/a/b" },   { "/", "/" },     { "///", "/" },
                { "/a/...", "/a/..." }, { "/.a/b..", "/.a/b.." }, { "", NULL },     { "a", NULL },
                { "/a/../b", NULL },    { "/a/.", NULL },         { "/./a", NULL }, { "/..", NULL },
        };
        uint8_t nul[] = "/a\0b";

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CLEANUP(freep) char *path = strdup(cases[i].in);
                size_t size = strlen(path);

                assert_int_equal(path_normal((uint8_t *) path, &size), cases[i].out != NULL);
                if (cases[i].out) {
                        assert_int_equal(size, strlen(cases[i].out));
                        assert_memory_equal(path, cases[i].out, size);
                }
        }
        assert_false(path_normal(nul, &(size_t) { 4 }));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_text_reads_back_through_jansson),
                cmocka_unit_test(every_single_byte_name_reads_back),
                cmocka_unit_test(numbers_read_back),
                cmocka_unit_test(an_event_has_the_fields_that_the_interface_lists),
                cmocka_unit_test(what_an_event_does_not_have_is_left_out),
                cmocka_unit_test(only_files_have_size_and_mtime),
                cmocka_unit_test(a_stretch_and_a_point_fit_their_interfaces),
                cmocka_unit_test(paths_are_made_plain_or_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
