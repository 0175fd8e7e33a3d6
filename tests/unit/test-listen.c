/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/control/listen.h"
#include "lib/util.h"

static char folder[] = "/tmp/scitrace-test-XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state) {
        (void) state;
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/control.sock", folder);
        return 0;
}

static int remove_folder(void **state) {
        (void) state;
        return rmdir(folder);
}

static bool answers(void) {
        CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
}

static void the_owner_or_everybody_may_connect(void **state) {
        struct stat st;
        Listen at;

        (void) state;
        for (int everybody = 0; everybody < 2; everybody++) {
                CLEANUP(closep) int fd = -1;

                assert_int_equal(listen_open(path, everybody, &fd, &at), 0);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 0777, everybody ? 0777 : 0700);
                assert_true(answers());
                unlink(path);
        }
}

static void a_socket_that_nobody_listens_on_is_replaced(void **state) {
        Listen first, second;
        int fd = -1;

        (void) state;
        assert_int_equal(listen_open(path, false, &fd, &first), 0);
        close(fd);
        assert_false(answers());
        assert_int_equal(listen_open(path, false, &fd, &second), 0);
        assert_true(answers());
        close(fd);
        unlink(path);
}

static void a_socket_that_somebody_listens_on_is_left_to_them(void **state) {
        Listen first, second;
        int fd = -1, other = -1;

        (void) state;
        assert_int_equal(listen_open(path, false, &fd, &first), 0);
        assert_int_equal(listen_open(path, false, &other, &second), LISTEN_E_ANSWERED);
        assert_int_equal(other, -1);
        assert_false(listen_lost(&first, path));
        close(fd);
        unlink(path);
}

static void a_file_is_never_removed(void **state) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), other = -1;
        Listen at;

        (void) state;
        assert_int_equal(write(fd, "thesis", 6), 6);
        close(fd);
        assert_int_equal(listen_open(path, false, &other, &at), LISTEN_E_OCCUPIED);
        assert_int_equal(access(path, F_OK), 0);
        unlink(path);
}

static void a_socket_is_lost_when_its_name_is(void **state) {
        Listen first, second;
        int fd = -1, other = -1;
        char away[sizeof(path) + 8];

        (void) state;
        assert_int_equal(listen_open(path, false, &fd, &first), 0);
        assert_false(listen_lost(&first, path));
        snprintf(away, sizeof(away), "%s.away", path);
        assert_int_equal(rename(path, away), 0);
        assert_true(listen_lost(&first, path));
        assert_int_equal(listen_open(path, false, &other, &second), 0);
        assert_true(listen_lost(&first, path));
        assert_false(listen_lost(&second, path));
        close(fd);
        close(other);
        unlink(path);
        unlink(away);
}

static void a_folder_that_is_gone_is_an_error(void **state) {
        Listen at;
        int fd = -1;

        (void) state;
        assert_int_equal(listen_open("/no/such/folder/control.sock", false, &fd, &at), -ENOENT);
        assert_int_equal(fd, -1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_owner_or_everybody_may_connect),
                cmocka_unit_test(a_socket_that_nobody_listens_on_is_replaced),
                cmocka_unit_test(a_socket_that_somebody_listens_on_is_left_to_them),
                cmocka_unit_test(a_file_is_never_removed),
                cmocka_unit_test(a_socket_is_lost_when_its_name_is),
                cmocka_unit_test(a_folder_that_is_gone_is_an_error),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
