/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/store/ballast.h"

static char dir[32], path[48];

static int setup(void **state) {
        (void) state;
        snprintf(dir, sizeof(dir), "/tmp/scitrace-ballast-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        snprintf(path, sizeof(path), "%s/ballast", dir);
        return 0;
}

static int teardown(void **state) {
        (void) state;
        ballast_drop(dir);
        return rmdir(dir);              /* nothing else was made */
}

static int64_t held(void) {
        struct stat st;

        return stat(path, &st) < 0 ? 0 : st.st_blocks * 512;
}

static void it_holds_space_until_it_is_given_back(void **state) {
        (void) state;
        assert_int_equal(ballast_make(dir), 0);
        assert_true(held() >= BALLAST_SIZE);
        ballast_drop(dir);
        assert_int_equal(held(), 0);
        ballast_drop(dir);
        assert_int_equal(ballast_make(dir), 0);
        assert_int_equal(ballast_make(dir), 0);
        assert_true(held() >= BALLAST_SIZE);
}

static void without_the_room_for_it_there_is_none_at_all(void **state) {
        struct rlimit before, less = { BALLAST_SIZE / 2, RLIM_INFINITY };

        (void) state;
        assert_int_equal(ballast_make(dir), 0);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        less.rlim_max = before.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
        assert_int_equal(ballast_make(dir), -EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(held(), 0);
}

static void a_link_in_its_place_is_not_followed(void **state) {
        char other[48];
        int fd;

        (void) state;
        snprintf(other, sizeof(other), "%s/other", dir);
        fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "kept", 4), 4);
        close(fd);
        assert_int_equal(symlink(other, path), 0);
        assert_int_equal(ballast_make(dir), 0);
        fd = open(other, O_RDONLY | O_CLOEXEC);
        assert_int_equal(lseek(fd, 0, SEEK_END), 4);
        close(fd);
        assert_int_equal(unlink(other), 0);
}

static void without_its_folder_it_says_so(void **state) {
        (void) state;
        assert_int_equal(ballast_make("/tmp/scitrace-no-such-folder"), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(it_holds_space_until_it_is_given_back, setup, teardown),
                cmocka_unit_test_setup_teardown(without_the_room_for_it_there_is_none_at_all, setup, teardown),
                cmocka_unit_test_setup_teardown(a_link_in_its_place_is_not_followed, setup, teardown),
                cmocka_unit_test_setup_teardown(without_its_folder_it_says_so, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
