/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "lib/embed.h"
#include "tests/unit/control-fixture.h"

static const Peer administrator = { .administrator = true }, other = { .uid = 1000 };

/* The error that a call gets before its method runs, or NULL. */
static const char *refusal_of(const Peer *peer, const char *text, const char **ret_value) {
        static Refusal refusal;
        static VarlinkCall request;
        const Method *method;
        Interfaces *i = NULL;
        size_t index;
        int r;

        varlink_call_done(&request);
        assert_int_equal(interfaces_new(&i), 0);
        assert_int_equal(varlink_call_parse(BYTES_STR(text), &request), 0);
        r = methods_admit(i, &request, peer, &method, &index, &refusal);
        *ret_value =
                r > 0 && refusal.key ? strndup((const char *) refusal.value.data, refusal.value.size) : NULL;
        varlink_call_done(&request);
        interfaces_free(i);
        return r > 0 ? refusal.error : NULL;
}

static void every_method_is_described_and_every_description_has_its_method(void **state) {
        Interfaces *i = NULL;
        const Method *m;
        const Idl *idl;
        size_t index, methods = 0, described = 0;

        assert_int_equal(interfaces_new(&i), 0);
        for (; (m = methods_at(methods)); methods++) {
                if (!interfaces_member(i, IDL_METHOD, m->name, &idl))
                        fail_msg("%s is in no interface file", m->name);
                assert_ptr_equal(methods_find(m->name, &index), m);
                assert_int_equal(index, methods);
        }
        assert_true(methods <= METHODS_MAX);
        for (const EmbeddedFile *f = interface_files; f->name; f++) {
                CLEANUP(idl_freep) Idl *parsed = NULL;
                int line;

                assert_int_equal(idl_parse(f->text, &parsed, &line), 0);
                for (size_t k = 0; k < parsed->n_members; k++) {
                        char name[128];

                        if (parsed->members[k].kind != IDL_METHOD)
                                continue;
                        described++;
                        snprintf(name, sizeof(name), "%s.%s", parsed->name, parsed->members[k].name);
                        if (!methods_find(name, &index))
                                fail_msg("%s has no row in the table", name);
                }
        }
        assert_int_equal(methods, described);
        interfaces_free(i);
}

static void administrators_may_everything_and_others_three_methods(void **state) {
        static const char *const open_to_all[] = {
                "org.scitrace.Service.Ping",
                "org.varlink.service.GetInfo",
                "org.varlink.service.GetInterfaceDescription",
        };
        const Method *m;
        int open = 0;

        for (size_t i = 0; (m = methods_at(i)); i++) {
                CLEANUP(freep) char *value = NULL;
                const char *error;
                char text[256];
                bool listed = false;

                for (size_t k = 0; k < ELEMENTS(open_to_all); k++)
                        listed |= strcmp(open_to_all[k], m->name) == 0;
                open += listed;
                snprintf(text, sizeof(text), "{\"method\":\"%s\",\"parameters\":{\"nonsense\":1}}", m->name);
                error = refusal_of(&other, text, (const char **) &value);
                assert_string_equal(error, listed ? "org.varlink.service.InvalidParameter"
                                                  : "org.varlink.service.PermissionDenied");
                free(STEAL(value));
                error = refusal_of(&administrator, text, (const char **) &value);
                assert_string_equal(error, "org.varlink.service.InvalidParameter");
        }
        assert_int_equal(open, ELEMENTS(open_to_all));
}

static void who_may_not_call_does_not_learn_what_there_is(void **state) {
        static const char *const texts[] = {
                "{\"method\":\"org.scitrace.Record.Events\",\"more\":true}",
                "{\"method\":\"org.scitrace.Record.NoSuch\"}",
                "{\"method\":\"no.such.Method\"}",
                "{\"method\":\"\"}",
                "{\"method\":\"org.scitrace.Record.Show\"}",
        };

        for (size_t i = 0; i < ELEMENTS(texts); i++) {
                CLEANUP(freep) char *value = NULL;

                assert_string_equal(refusal_of(&other, texts[i], (const char **) &value),
                                    "org.varlink.service.PermissionDenied");
                assert_null(value);
        }
}

static void a_wrong_call_is_refused_by_name(void **state) {
        static const struct {
                const char *text, *error, *value;
        } cases[] = {
                { "{\"method\":\"org.scitrace.Service.Ping\"}", NULL, NULL },
                { "{\"method\":\"org.scitrace.Record.Events\",\"parameters\":{\"limit\":null},\"more\":"
                  "true}",
                  NULL, NULL },
                { "{\"method\":\"Ping\"}", "org.varlink.service.InterfaceNotFound", "Ping" },
                { "{\"method\":\"a.b.Ping\"}", "org.varlink.service.InterfaceNotFound", "a.b" },
                { "{\"method\":\"org.scitrace.Service.ping\"}", "org.varlink.service.MethodNotFound",
                  "org.scitrace.Service.ping" },
                { "{\"method\":\"org.scitrace.Service.NotSettled\"}", "org.varlink.service.MethodNotFound",
                  "org.scitrace.Service.NotSettled" },
                { "{\"method\":\"org.scitrace.Record.Events\"}", "org.varlink.service.ExpectedMore", NULL },
                { "{\"method\":\"org.scitrace.Service.Ping\",\"parameters\":{\"x\":1}}",
                  "org.varlink.service.InvalidParameter", "x" },
                { "{\"method\":\"org.scitrace.Datasets.Coverage\",\"more\":true}",
                  "org.varlink.service.InvalidParameter", "name" },
                { "{\"method\":\"org.scitrace.Datasets.Remove\",\"parameters\":{\"name\":7}}",
                  "org.varlink.service.InvalidParameter", "name" },
                { "{\"method\":\"org.scitrace.Record.Events\",\"parameters\":{\"paths\":[{\"p\":\"/"
                  "\"}]},\"more\":true}",
                  "org.varlink.service.InvalidParameter", "paths" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CLEANUP(freep) char *value = NULL;
                const char *error = refusal_of(&administrator, cases[i].text, (const char **) &value);

                if ((error == NULL) != (cases[i].error == NULL) ||
                    (error && strcmp(error, cases[i].error) != 0))
                        fail_msg("%s: %s", cases[i].text, error ? error : "admitted");
                if (cases[i].value)
                        assert_string_equal(value, cases[i].value);
                else
                        assert_null(value);
        }
}

static void root_the_owner_and_the_group_administer(void **state) {
        const Rights rights = { .owner = 1000, .has_group = true, .group = 50 }, none = { .owner = 1000 };
        static const struct {
                uid_t uid;
                gid_t gid, group;
                bool reserved, administrator, without_group;
        } cases[] = {
                { 0, 0, 0, true, true, true },      { 1000, 7, 7, true, true, true },
                { 2000, 50, 7, false, true, false }, { 2000, 7, 50, false, true, false },
                { 2000, 7, 7, false, false, false }, { 2000, 0, 0, false, false, false },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Peer p = { .uid = cases[i].uid };

                peer_decide(&p, &rights, cases[i].gid, &cases[i].group, 1);
                assert_int_equal(p.reserved, cases[i].reserved);
                assert_int_equal(p.administrator, cases[i].administrator);
                peer_decide(&p, &none, cases[i].gid, &cases[i].group, 1);
                assert_int_equal(p.administrator, cases[i].without_group);
        }
}

static void a_group_that_is_not_there_gives_no_rights(void **state) {
        Rights r;

        rights_init(&r, 1000, "no-such-group-here");
        assert_false(r.has_group);
        rights_init(&r, 1000, NULL);
        assert_false(r.has_group);
        rights_init(&r, 1000, "root");
        assert_true(r.has_group);
        assert_int_equal(r.group, 0);
}

static void the_kernel_says_who_the_peer_is(void **state) {
        const Rights rights = { .owner = getuid() };
        int pair[2];
        Peer p;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(peer_of(pair[0], &rights, &p), 0);
        assert_int_equal(p.uid, getuid());
        assert_int_equal(p.pid, getpid());
        assert_true(p.administrator);
        close(pair[0]);
        close(pair[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_method_is_described_and_every_description_has_its_method),
                cmocka_unit_test(administrators_may_everything_and_others_three_methods),
                cmocka_unit_test(who_may_not_call_does_not_learn_what_there_is),
                cmocka_unit_test(a_wrong_call_is_refused_by_name),
                cmocka_unit_test(root_the_owner_and_the_group_administer),
                cmocka_unit_test(a_group_that_is_not_there_gives_no_rights),
                cmocka_unit_test(the_kernel_says_who_the_peer_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
