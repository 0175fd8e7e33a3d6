/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>

#include "lib/embed.h"
#include "lib/varlink-idl.h"

static const char sample[] =
        "# A comment.\n"
        "interface org.example.Test\n"
        "type Point (x: int, y: ?float)\n"
        "type Colour (red, green)\n"
        "# Another.\n"
        "method Draw(points: []Point, colour: ?Colour, tags: [string]string, more: ?object,\n"
        "  inner: ?(on: bool)) -> (count: int)\n"
        "method Nothing() -> ()\n"
        "error Lost (name: string)\n";

static int line_of(const char *text) {
        Idl *idl = NULL;
        int line = 0, r = idl_parse(text, &idl, &line);

        idl_free(idl);
        if (r == 0)
                return 0;
        assert_int_equal(r, -EBADMSG);
        return line;
}

static void every_interface_file_of_ours_is_read(void **state) {
        (void) state;
        for (const EmbeddedFile *f = interface_files; f->name; f++) {
                CLEANUP(idl_freep) Idl *idl = NULL;
                char name[128];
                int line = 0;

                if (idl_parse(f->text, &idl, &line) != 0)
                        fail_msg("%s:%d", f->name, line);
                snprintf(name, sizeof(name), "%s.varlink", idl->name);
                assert_string_equal(name, f->name);
        }
}

static void members_are_found_by_kind_and_name(void **state) {
        CLEANUP(idl_freep) Idl *idl = NULL;
        const IdlMember *m;
        int line;

        (void) state;
        assert_int_equal(idl_parse(sample, &idl, &line), 0);
        assert_string_equal(idl->name, "org.example.Test");
        assert_int_equal(idl->n_members, 5);
        m = idl_find(idl, IDL_METHOD, "Draw");
        assert_int_equal(m->type->n_fields, 5);
        assert_string_equal(m->reply->fields[0].name, "count");
        assert_null(idl_find(idl, IDL_METHOD, "Lost"));
        assert_non_null(idl_find(idl, IDL_ERROR, "Lost"));
        assert_int_equal(idl_find(idl, IDL_TYPE, "Colour")->type->kind, IDL_ENUM);
}

static void what_is_not_an_interface_is_refused_with_its_line(void **state) {
        static const struct {
                const char *text;
                int line;
        } cases[] = {
                { "interface a.b\n", 0 },
                { "", 1 },
                { "method A() -> ()\n", 1 },
                { "interface a.b\nmethod A() -> ()\nmethod A() -> ()", 3 },
                { "interface a.b\n\nmethod a() -> ()", 3 },
                { "interface a.b\nmethod A()", 2 },
                { "interface a.b\nmethod A(x int) -> ()", 2 },
                { "interface a.b\nmethod A(x: int, x: int) -> ()", 2 },
                { "interface a.b\nmethod A(x: integer) -> ()", 2 },
                { "interface a.b\nmethod A(x, y) -> ()", 2 },
                { "interface a.b\ntype T (x: int, y)", 2 },
                { "interface a.b\nmethod A(x: Missing) -> ()\n", 3 },
                { "interface a.b\nmethod A(x: [][][][][][][][][][][]int) -> ()", 2 },
                { "interface a.b\nmethodA() -> ()", 2 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++)
                if (line_of(cases[i].text) != cases[i].line)
                        fail_msg("%s: line %d", cases[i].text, line_of(cases[i].text));
}

/* Every beginning of a good file: never more than an error. */
static void a_file_that_breaks_off_is_refused(void **state) {
        (void) state;
        for (size_t size = 0; size < sizeof(sample); size++) {
                CLEANUP(freep) char *text = strndup(sample, size);

                (void) line_of(text);
        }
}

static void parameters_are_checked_by_name_and_type(void **state) {
        static const struct {
                const char *text, *wrong;
        } cases[] = {
                { "{'points':[],'tags':{}}", NULL },
                { "{'points':[{'x':1,'y':2},{'x':3,'y':null},{'x':4}],'tags':{'a':'b'},'colour':'green'}",
                  NULL },
                { "{'points':[],'tags':{},'more':[1,{'a':null}],'inner':{'on':true},'colour':null}", NULL },
                { "{'tags':{}}", "points" },
                { "{'points':null,'tags':{}}", "points" },
                { "{'points':[{'y':1}],'tags':{}}", "points" },
                { "{'points':[{'x':1.5}],'tags':{}}", "points" },
                { "{'points':[{'x':1,'z':1}],'tags':{}}", "points" },
                { "{'points':{},'tags':{}}", "points" },
                { "{'points':[],'tags':{'a':1}}", "tags" },
                { "{'points':[],'tags':[]}", "tags" },
                { "{'points':[],'tags':{},'colour':'blue'}", "colour" },
                { "{'points':[],'tags':{},'inner':{'on':1}}", "inner" },
                { "{'points':[],'tags':{},'extra':1}", "extra" },
        };
        CLEANUP(idl_freep) Idl *idl = NULL;
        const IdlType *type;
        int line;

        (void) state;
        assert_int_equal(idl_parse(sample, &idl, &line), 0);
        type = idl_find(idl, IDL_METHOD, "Draw")->type;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CLEANUP(freep) char *text = strdup(cases[i].text);
                CLEANUP(json_decrefp) json_t *object = NULL;
                const char *wrong = NULL;

                for (char *p = text; *p; p++)
                        if (*p == '\'')
                                *p = '"';
                object = json_loads(text, 0, NULL);
                assert_non_null(object);
                assert_int_equal(idl_check(idl, type, object, &wrong), cases[i].wrong == NULL);
                if (cases[i].wrong)
                        assert_string_equal(wrong, cases[i].wrong);
        }
        type = idl_find(idl, IDL_METHOD, "Nothing")->type;
        assert_true(idl_check(idl, type, NULL, &(const char *) { NULL }));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_interface_file_of_ours_is_read),
                cmocka_unit_test(members_are_found_by_kind_and_name),
                cmocka_unit_test(what_is_not_an_interface_is_refused_with_its_line),
                cmocka_unit_test(a_file_that_breaks_off_is_refused),
                cmocka_unit_test(parameters_are_checked_by_name_and_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
