/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/place.h"

static void the_system_has_its_fixed_places(void **state) {
        const PlaceEnvironment e = { .home = "/home/a", .state_home = "/x" };
        Place *p = NULL;

        (void) state;
        assert_int_equal(place_new(PLACE_SYSTEM, NULL, &e, &p), 0);
        assert_string_equal(p->state, STATEPATH);
        assert_string_equal(p->socket, RUNSTATEPATH "/control.sock");
        assert_string_equal(p->config[0], SYSCONFDIR "/scitrace");
        assert_string_equal(p->config[1], RUNSTATEPATH);
        assert_string_equal(p->config[2], POLICYDIR);
        assert_null(p->config[3]);
        place_free(p);
}

static void a_user_has_xdg_places_or_the_home(void **state) {
        const PlaceEnvironment home = { .home = "/home/a" };
        const PlaceEnvironment xdg = {
                .home = "/home/a", .state_home = "/s", .config_home = "/c", .runtime_dir = "/r"
        };
        Place *p = NULL;

        (void) state;
        assert_int_equal(place_new(PLACE_USER, NULL, &home, &p), 0);
        assert_string_equal(p->state, "/home/a/.local/state/scitrace");
        assert_string_equal(p->lock, "/home/a/.local/state/scitrace/lock");
        assert_string_equal(p->socket, "/home/a/.local/state/scitrace/run/control.sock");
        assert_string_equal(p->config[0], "/home/a/.config/scitrace");
        assert_string_equal(p->config[1], POLICYDIR);
        p = place_free(p);

        assert_int_equal(place_new(PLACE_USER, NULL, &xdg, &p), 0);
        assert_string_equal(p->state, "/s/scitrace");
        assert_string_equal(p->socket, "/r/scitrace/control.sock");
        assert_string_equal(p->config[0], "/c/scitrace");
        place_free(p);
}

static void another_state_folder_has_a_socket_of_its_own(void **state) {
        const PlaceEnvironment e = { .home = "/home/a", .runtime_dir = "/r" }, none = { 0 };
        Place *p = NULL;

        (void) state;
        assert_int_equal(place_new(PLACE_USER, "/other", &e, &p), 0);
        assert_string_equal(p->state, "/other");
        assert_string_equal(p->socket, "/other/run/control.sock");
        p = place_free(p);

        assert_int_equal(place_new(PLACE_USER, NULL, &none, &p), PLACE_E_NO_HOME);
        assert_int_equal(place_new(PLACE_USER, "/other", &none, &p), 0);
        assert_string_equal(p->config[0], POLICYDIR);
        place_free(p);
}

static void a_socket_whose_folder_went_moves_into_the_state_folder(void **state) {
        const PlaceEnvironment e = { .home = "/home/a", .runtime_dir = "/r" };
        Place *p = NULL;

        (void) state;
        assert_int_equal(place_new(PLACE_USER, NULL, &e, &p), 0);
        assert_string_equal(p->socket, "/r/scitrace/control.sock");
        assert_int_equal(place_move_socket(p), 0);
        assert_string_equal(p->runtime, "/home/a/.local/state/scitrace/run");
        assert_string_equal(p->socket, "/home/a/.local/state/scitrace/run/control.sock");
        place_free(p);
}

static void a_runtime_folder_that_is_not_private_is_not_used(void **state) {
        char folder[] = "/tmp/scitrace-unit-XXXXXX";
        PlaceEnvironment e;

        (void) state;
        assert_non_null(mkdtemp(folder));
        setenv("XDG_RUNTIME_DIR", folder, 1);
        place_environment(getuid(), &e);
        assert_string_equal(e.runtime_dir, folder);
        place_environment(getuid() + 1, &e);
        assert_null(e.runtime_dir);
        assert_int_equal(chmod(folder, 0750), 0);
        place_environment(getuid(), &e);
        assert_null(e.runtime_dir);
        setenv("XDG_RUNTIME_DIR", folder + 1, 1);
        place_environment(getuid(), &e);
        assert_null(e.runtime_dir);
        rmdir(folder);
}

static void without_home_the_passwd_entry_is_asked(void **state) {
        PlaceEnvironment e;

        (void) state;
        unsetenv("HOME");
        place_environment(0, &e);
        assert_string_equal(e.home, getpwuid(0)->pw_dir);
}

static void the_lock_is_held_once_and_says_by_whom_and_where(void **state) {
        char folder[] = "/tmp/scitrace-unit-XXXXXX", deep[64];
        const PlaceEnvironment none = { 0 };
        CLEANUP(freep) char *socket = NULL;
        int fd = -1, second = -1;
        struct stat st;
        Place *p = NULL;
        pid_t pid = 0;

        (void) state;
        assert_non_null(mkdtemp(folder));
        snprintf(deep, sizeof(deep), "%s/a/b", folder);
        assert_int_equal(place_new(PLACE_USER, deep, &none, &p), 0);
        assert_int_equal(place_holder(p, &pid, &socket), PLACE_E_FREE);
        assert_int_equal(place_make(p), 0);
        assert_int_equal(place_make(p), 0);
        assert_int_equal(stat(p->runtime, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);

        assert_int_equal(place_lock(p, &fd, &pid), 0);
        assert_int_equal(place_lock(p, &second, &pid), PLACE_E_HELD);
        assert_int_equal(pid, getpid());
        assert_int_equal(second, -1);
        pid = 0;
        assert_int_equal(place_holder(p, &pid, &socket), 0);
        assert_int_equal(pid, getpid());
        assert_string_equal(socket, p->socket);

        free(p->socket);
        p->socket = strdup("/elsewhere");
        assert_int_equal(place_lock_write(p, fd), 0);
        free(STEAL(socket));
        assert_int_equal(place_holder(p, &pid, &socket), 0);
        assert_string_equal(socket, "/elsewhere");
        close(fd);
        assert_int_equal(place_holder(p, &pid, &socket), PLACE_E_FREE);
        assert_int_equal(place_lock(p, &fd, &pid), 0);
        close(fd);

        unlink(p->lock);
        rmdir(p->runtime);
        rmdir(p->state);
        snprintf(deep, sizeof(deep), "%s/a", folder);
        rmdir(deep);
        assert_int_equal(rmdir(folder), 0);
        place_free(p);
}

static void a_local_folder_is_local_even_before_it_exists(void **state) {
        const char *type = "?";

        (void) state;
        assert_int_equal(place_network("/tmp/not-there/not-there-either", &type), 0);
        assert_null(type);
        assert_int_equal(place_network("/not-there", &type), 0);
        assert_null(type);
}

static void a_socket_may_have_a_path_of_any_length(void **state) {
        char folder[] = "/tmp/scitrace-unit-XXXXXX", deep[256], path[512];
        struct sockaddr_un address;
        int folder_fd = -1, listener, client;

        (void) state;
        assert_non_null(mkdtemp(folder));
        snprintf(deep, sizeof(deep), "%s/%0150d", folder, 0);
        assert_int_equal(mkdir(deep, 0700), 0);
        snprintf(path, sizeof(path), "%s/control.sock", deep);
        assert_int_equal(place_address(path, &address, &folder_fd), 0);
        listener = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(listener, 1), 0);
        close(folder_fd);
        assert_int_equal(place_address(path, &address, &folder_fd), 0);
        client = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(client, (struct sockaddr *) &address, sizeof(address)), 0);
        close(folder_fd);
        close(client);
        close(listener);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(deep), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void a_program_is_beside_this_one_or_among_the_helpers(void **state) {
        CLEANUP(freep) char *self = realpath("/proc/self/exe", NULL);
        CLEANUP(freep) char *beside = place_program("test-place");
        CLEANUP(freep) char *helper = place_program("no-such-program");

        (void) state;
        assert_string_equal(beside, self);
        assert_string_equal(helper, HELPERDIR "/no-such-program");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_system_has_its_fixed_places),
                cmocka_unit_test(a_user_has_xdg_places_or_the_home),
                cmocka_unit_test(another_state_folder_has_a_socket_of_its_own),
                cmocka_unit_test(a_runtime_folder_that_is_not_private_is_not_used),
                cmocka_unit_test(a_socket_whose_folder_went_moves_into_the_state_folder),
                cmocka_unit_test(without_home_the_passwd_entry_is_asked),
                cmocka_unit_test(the_lock_is_held_once_and_says_by_whom_and_where),
                cmocka_unit_test(a_local_folder_is_local_even_before_it_exists),
                cmocka_unit_test(a_program_is_beside_this_one_or_among_the_helpers),
                cmocka_unit_test(a_socket_may_have_a_path_of_any_length),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
