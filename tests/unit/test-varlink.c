/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base64.h"
#include "lib/place.h"
#include "lib/utf8.h"
#include "lib/varlink-client.h"

static void put(VarlinkInput *in, const char *data, size_t size) {
        while (size > 0) {
                size_t room = 0;
                char *p = NULL;

                assert_int_equal(varlink_input_room(in, &p, &room), 0);
                assert_true(room > 0);
                room = MIN_OF(room, size);
                memcpy(p, data, room);
                varlink_input_filled(in, room);
                data += room;
                size -= room;
        }
}

static void messages_come_out_whole_however_they_arrive(void **state) {
        static const char stream[] = "{\"a\":1}\0{}\0{\"b\":[2,3]}";       /* its own NUL ends the third */

        (void) state;
        for (size_t piece = 1; piece <= sizeof(stream); piece++) {
                VarlinkInput in = { .max = 64 };
                char got[64] = "";
                Bytes m;

                for (size_t at = 0; at < sizeof(stream); at += piece) {
                        put(&in, stream + at, MIN_OF(piece, sizeof(stream) - at));
                        while (varlink_input_next(&in, &m) == 1)
                                snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s;", (int) m.size,
                                         (const char *) m.data);
                }
                assert_string_equal(got, "{\"a\":1};{};{\"b\":[2,3]};");
                assert_false(varlink_input_partial(&in));
                varlink_input_done(&in);
        }
}

static void a_message_above_the_maximum_is_refused_when_it_has_arrived_and_before(void **state) {
        VarlinkInput in = { .max = 8 };
        char *p;
        size_t room;
        Bytes m;

        (void) state;
        put(&in, "1234567\0", 8);
        assert_int_equal(varlink_input_next(&in, &m), 1);
        assert_int_equal(m.size, 7);
        put(&in, "12345678\0", 9);
        assert_int_equal(varlink_input_next(&in, &m), -EMSGSIZE);
        varlink_input_done(&in);

        put(&in, "1234567", 7);
        assert_int_equal(varlink_input_next(&in, &m), 0);
        assert_true(varlink_input_partial(&in));
        put(&in, "8", 1);
        assert_int_equal(varlink_input_next(&in, &m), -EMSGSIZE);
        assert_int_equal(varlink_input_room(&in, &p, &room), -EMSGSIZE);
        varlink_input_done(&in);
}

static int load(const char *text) {
        CLEANUP(json_decrefp) json_t *json = NULL;

        return varlink_load(BYTES_STR(text), &json);
}

static void nesting_is_refused_above_sixteen_levels_and_strings_do_not_count(void **state) {
        char text[256] = "{\"a\":";

        (void) state;
        for (int i = 0; i < VARLINK_DEPTH_MAX - 1; i++)
                strcat(text, "[");
        for (int i = 0; i < VARLINK_DEPTH_MAX - 1; i++)
                strcat(text, "]");
        strcat(text, "}");
        assert_int_equal(load(text), 0);
        assert_int_equal(load("{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"), -EBADMSG);
        assert_int_equal(load("{\"a\":\"[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[\"}"), 0);
}

static void what_is_not_one_plain_object_is_refused(void **state) {
        (void) state;
        assert_int_equal(load("{\"a\":1,\"a\":2}"), -EBADMSG);
        assert_int_equal(load("[]"), -EBADMSG);
        assert_int_equal(load("1"), -EBADMSG);
        assert_int_equal(load(""), -EBADMSG);
        assert_int_equal(load("{} {}"), -EBADMSG);
        assert_int_equal(load("{\"a\":\"\\u0000\"}"), -EBADMSG);
        assert_int_equal(load("{\"a\":\"\xff\"}"), -EBADMSG);
        assert_int_equal(load("{\"a\":1e999}"), -EBADMSG);
        assert_int_equal(load(" {\"a\":1} \n"), 0);
}

static void a_call_comes_back_as_it_was_made(void **state) {
        CLEANUP(json_decrefp) json_t *parameters = json_pack("{ss si}", "name", "x\xc3\xa9", "limit", 3);
        CLEANUP(freep) char *text = NULL;
        VarlinkCall call;
        size_t size;

        (void) state;
        assert_int_equal(varlink_call_format("a.b.C", parameters, VARLINK_MORE, &text, &size), 0);
        assert_int_equal(text[size - 1], 0);
        assert_int_equal(strlen(text), size - 1);
        for (size_t i = 0; i + 1 < size; i++)
                assert_in_range(text[i], 0x20, 0x7e);
        assert_int_equal(varlink_call_parse(BYTES(text, size - 1), &call), 0);
        assert_string_equal(call.method, "a.b.C");
        assert_true(json_equal(call.parameters, parameters));
        assert_true(call.more);
        assert_false(call.oneway);
        varlink_call_done(&call);
}

static int call_parse(const char *text) {
        VarlinkCall call = { 0 };
        int r = varlink_call_parse(BYTES_STR(text), &call);

        varlink_call_done(&call);
        return r;
}

static void an_envelope_with_anything_strange_is_refused(void **state) {
        (void) state;
        assert_int_equal(call_parse("{\"method\":\"a.B\"}"), 0);
        assert_int_equal(call_parse("{\"method\":\"a.B\",\"parameters\":null,\"more\":false}"), 0);
        assert_int_equal(call_parse("{}"), -EBADMSG);
        assert_int_equal(call_parse("{\"method\":1}"), -EBADMSG);
        assert_int_equal(call_parse("{\"method\":\"a.B\",\"parameters\":[]}"), -EBADMSG);
        assert_int_equal(call_parse("{\"method\":\"a.B\",\"more\":1}"), -EBADMSG);
        assert_int_equal(call_parse("{\"method\":\"a.B\",\"extra\":1}"), -EBADMSG);
        assert_int_equal(call_parse("{\"method\":\"a.B\",\"upgrade\":true}"), -EBADMSG);
        assert_int_equal(call_parse("{\"method\":\"a.B\",\"more\":true,\"oneway\":true}"), -EBADMSG);
}

static void a_reply_comes_back_as_it_was_made(void **state) {
        CLEANUP(json_decrefp) json_t *parameters = json_pack("{ss}", "parameter", "name");
        CLEANUP(freep) char *text = NULL;
        CLEANUP(freep) char *empty = NULL;
        VarlinkReply reply;
        size_t size;

        (void) state;
        assert_int_equal(varlink_reply_format("a.b.Error", parameters, false, &text, &size), 0);
        assert_int_equal(varlink_reply_parse(BYTES(text, size - 1), &reply), 0);
        assert_string_equal(reply.error, "a.b.Error");
        assert_true(json_equal(reply.parameters, parameters));
        assert_false(reply.continues);
        varlink_reply_done(&reply);

        assert_int_equal(varlink_reply_format(NULL, NULL, true, &empty, &size), 0);
        assert_int_equal(varlink_reply_parse(BYTES(empty, size - 1), &reply), 0);
        assert_null(reply.error);
        assert_int_equal(json_object_size(reply.parameters), 0);
        assert_true(reply.continues);
        varlink_reply_done(&reply);

        assert_int_equal(varlink_reply_parse(BYTES_STR("{}"), &reply), 0);
        assert_non_null(reply.parameters);
        varlink_reply_done(&reply);
}

static void every_name_comes_back_byte_for_byte(void **state) {
        static const struct {
                const char *bytes;
                size_t size;
                const char *key;
        } cases[] = {
                { "plain", 5, "path" },          { "", 0, "path" },
                { "\xc3\xa9\n\x1b[1m", 7, "path" }, { "\xf0\x9f\x98\x80", 4, "path" },
                { "\xff", 1, "pathBase64" },     { "a\xed\xa0\x80", 4, "pathBase64" },
                { "a\0b", 3, "pathBase64" },     { "\xc0\xaf", 2, "pathBase64" },
                { "caf\xe9", 4, "pathBase64" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CLEANUP(json_decrefp) json_t *object = json_object();
                CLEANUP(freep) uint8_t *back = NULL;
                size_t size = 99;

                assert_int_equal(varlink_set_bytes(object, "path", BYTES(cases[i].bytes, cases[i].size)), 0);
                assert_int_equal(json_object_size(object), 1);
                assert_non_null(json_object_get(object, cases[i].key));
                assert_int_equal(varlink_get_bytes(object, "path", &back, &size), 0);
                assert_int_equal(size, cases[i].size);
                assert_memory_equal(back, cases[i].bytes, size);
                assert_int_equal(back[size], 0);
        }
}

static void an_absent_name_is_absent_and_an_ambiguous_one_is_refused(void **state) {
        CLEANUP(json_decrefp) json_t *object = json_object();
        uint8_t *back = NULL;
        size_t size = 99;

        (void) state;
        assert_int_equal(varlink_set_bytes(object, "path", BYTES_NONE), 0);
        assert_int_equal(json_object_size(object), 0);
        assert_int_equal(varlink_get_bytes(object, "path", &back, &size), 0);
        assert_null(back);
        json_object_set_new(object, "path", json_string("a"));
        json_object_set_new(object, "pathBase64", json_string("YQ=="));
        assert_int_equal(varlink_get_bytes(object, "path", &back, &size), -EBADMSG);
        json_object_set_new(object, "path", json_integer(1));
        json_object_del(object, "pathBase64");
        assert_int_equal(varlink_get_bytes(object, "path", &back, &size), -EBADMSG);
}

static void base64_takes_back_only_its_own_text(void **state) {
        static const char *const bad[] = { "Y",    "YQ=",  "YQ",       "YR==",  "YWJ=", "=YQ=",
                                           "Y===", "====", "YQ==YQ==", "YQ\n=", "Y Q=", "YW-=" };
        uint8_t *out = NULL;
        size_t size;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(bad); i++)
                assert_int_equal(base64_parse(bad[i], strlen(bad[i]), &out, &size), -EBADMSG);
        for (size_t n = 0; n < 64; n++) {
                uint8_t in[64];
                char text[96];

                for (size_t i = 0; i < n; i++)
                        in[i] = (uint8_t) (i * 37 + n);
                base64_format(BYTES(in, n), text);
                assert_int_equal(base64_parse(text, base64_size(n), &out, &size), 0);
                assert_int_equal(size, n);
                assert_memory_equal(out, in, n);
                free(out);
        }
}

static void utf8_is_what_rfc_3629_says(void **state) {
        static const char *const good[] = { "", "a", "\x7f", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                            "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
        static const char *const bad[] = { "\x80",
                                           "\xc1\xbf",
                                           "\xe0\x9f\xbf",
                                           "\xed\xa0\x80",
                                           "\xf0\x8f\xbf\xbf",
                                           "\xf4\x90\x80\x80",
                                           "\xf8\x88\x80\x80\x80",
                                           "\xc2",
                                           "\xe2\x82",
                                           "\xc2\x20" };
        uint32_t c = 0;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(good); i++)
                assert_true(utf8_valid(BYTES_STR(good[i])));
        for (size_t i = 0; i < ELEMENTS(bad); i++)
                assert_false(utf8_valid(BYTES_STR(bad[i])));
        assert_int_equal(utf8_next(BYTES_STR("\xf0\x9f\x98\x80"), &c), 4);
        assert_int_equal(c, 0x1f600);
}

/* A server of one connection: checks the call and its descriptor, and answers with two rows. */
static void *serve(void *userdata) {
        static const char replies[] =
                "{\"parameters\":{\"n\":1},\"continues\":true}\0{\"parameters\":{\"n\":2}}";
        int listener = *(int *) userdata, fd = accept(listener, NULL, NULL), passed = -1;
        char data[512], control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = { data, sizeof(data) };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        VarlinkCall call;

        if (n > 0 && data[n - 1] == 0 && varlink_call_parse(BYTES(data, (size_t) n - 1), &call) == 0) {
                if (CMSG_FIRSTHDR(&m))
                        memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(passed));
                if (passed >= 0 && write(passed, call.method, strlen(call.method)) > 0)
                        (void) !write(fd, replies, sizeof(replies));
                varlink_call_done(&call);
        }
        closep(&passed);
        closep(&fd);
        return NULL;
}

static void the_client_passes_a_descriptor_and_reads_replies_to_the_last(void **state) {
        char folder[] = "/tmp/scitrace-unit-XXXXXX", path[64], got[64] = "";
        struct sockaddr_un address;
        int listener, folder_fd = -1, pipes[2];
        VarlinkClient *c = NULL;
        VarlinkReply reply;
        pthread_t thread;

        (void) state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/s", folder);
        assert_int_equal(varlink_client_open(path, &c), -ENOENT);
        assert_int_equal(place_address(path, &address, &folder_fd), 0);
        listener = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(varlink_client_open(path, &c), -ECONNREFUSED);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, serve, &listener), 0);
        assert_int_equal(pipe(pipes), 0);

        assert_int_equal(varlink_client_open(path, &c), 0);
        assert_int_equal(varlink_client_send(c, "a.b.C", NULL, VARLINK_MORE, pipes[1]), 0);
        for (int n = 1; n <= 2; n++) {
                assert_int_equal(varlink_client_next(c, &reply), 0);
                assert_int_equal(json_integer_value(json_object_get(reply.parameters, "n")), n);
                assert_int_equal(reply.continues, n == 1);
                varlink_reply_done(&reply);
        }
        assert_int_equal(varlink_client_next(c, &reply), -ECONNRESET);
        assert_int_equal(read(pipes[0], got, sizeof(got)), 5);
        assert_string_equal(got, "a.b.C");
        varlink_client_close(c);
        pthread_join(thread, NULL);
        close(listener);
        close(pipes[0]);
        close(pipes[1]);
        unlink(path);
        rmdir(folder);
}

static void the_client_stops_waiting_when_it_is_told_to_or_nobody_reads(void **state) {
        static const char said[] = "{\"parameters\":{}}";
        char folder[] = "/tmp/scitrace-unit-XXXXXX", path[64];
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), folder_fd = -1, fd, pipes[2];
        struct sockaddr_un address;
        VarlinkClient *c = NULL;
        VarlinkReply r;

        (void) state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/s", folder);
        assert_int_equal(place_address(path, &address, &folder_fd), 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(varlink_client_open(path, &c), 0);
        fd = accept(listener, NULL, NULL);
        assert_int_equal(pipe(pipes), 0);
        varlink_client_answers_to(c, pipes[1]);

        varlink_client_patience(c, 1);
        assert_int_equal(varlink_client_next(c, &r), -EAGAIN);
        assert_int_equal(write(fd, said, 5), 5);
        assert_int_equal(varlink_client_next(c, &r), -EAGAIN);  /* half of one */
        varlink_client_patience(c, -1);
        assert_int_equal(write(fd, said + 5, sizeof(said) - 5), sizeof(said) - 5);
        close(pipes[0]);
        assert_int_equal(varlink_client_next(c, &r), 0);        /* what has come is given */
        varlink_reply_done(&r);
        assert_int_equal(varlink_client_next(c, &r), -ECANCELED);
        varlink_client_close(c);
        close(pipes[1]);
        close(fd);
        close(listener);
        unlink(path);
        rmdir(folder);
}

static void what_a_server_says_before_it_hangs_up_is_read(void **state) {
        static const char said[] = "{\"error\":\"a.b.Full\"}";
        char folder[] = "/tmp/scitrace-unit-XXXXXX", path[64];
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), folder_fd = -1, fd;
        struct sockaddr_un address;
        VarlinkClient *c = NULL;
        VarlinkReply r;

        (void) state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/s", folder);
        assert_int_equal(place_address(path, &address, &folder_fd), 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(varlink_client_open(path, &c), 0);
        fd = accept(listener, NULL, NULL);
        assert_int_equal(write(fd, said, sizeof(said)), sizeof(said));
        close(fd);
        assert_int_equal(varlink_client_send(c, "a.b.C", NULL, 0, -1), 0);
        assert_int_equal(varlink_client_next(c, &r), 0);
        assert_string_equal(r.error, "a.b.Full");
        varlink_reply_done(&r);
        assert_int_equal(varlink_client_next(c, &r), -ECONNRESET);
        varlink_client_close(c);
        close(listener);
        unlink(path);
        rmdir(folder);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_come_out_whole_however_they_arrive),
                cmocka_unit_test(a_message_above_the_maximum_is_refused_when_it_has_arrived_and_before),
                cmocka_unit_test(nesting_is_refused_above_sixteen_levels_and_strings_do_not_count),
                cmocka_unit_test(what_is_not_one_plain_object_is_refused),
                cmocka_unit_test(a_call_comes_back_as_it_was_made),
                cmocka_unit_test(an_envelope_with_anything_strange_is_refused),
                cmocka_unit_test(a_reply_comes_back_as_it_was_made),
                cmocka_unit_test(every_name_comes_back_byte_for_byte),
                cmocka_unit_test(an_absent_name_is_absent_and_an_ambiguous_one_is_refused),
                cmocka_unit_test(base64_takes_back_only_its_own_text),
                cmocka_unit_test(utf8_is_what_rfc_3629_says),
                cmocka_unit_test(the_client_passes_a_descriptor_and_reads_replies_to_the_last),
                cmocka_unit_test(the_client_stops_waiting_when_it_is_told_to_or_nobody_reads),
                cmocka_unit_test(what_a_server_says_before_it_hangs_up_is_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
