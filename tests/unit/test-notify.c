/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/watch/notify.h"

/* One instance a process: the tests share it, and leave its queue empty. */

static Notify *notify;
static char dir[] = "/tmp/scitrace-notify-XXXXXX";
static int dir_fd = -1;

static int group_setup(void **state) {
        (void) state;
        if (!mkdtemp(dir))
                return -1;
        dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return notify_new(&notify);
}

static int group_teardown(void **state) {
        (void) state;
        notify_free(notify);
        close(dir_fd);
        return rmdir(dir);
}

static void make(const char *name) {
        int fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        close(fd);
}

static void expect(int wd, uint32_t mask, const char *name) {
        Notice n;

        assert_int_equal(notify_next(notify, &n), 1);
        assert_int_equal(n.wd, wd);
        assert_int_equal(n.mask, mask);
        assert_string_equal(n.name, name);
        assert_int_equal(n.name_size, strlen(name));
}

static void expect_nothing(void) {
        Notice n;

        assert_int_equal(notify_next(notify, &n), 0);
}

static void remove_watch(int wd) {
        notify_remove(notify, wd);
        expect(wd, IN_IGNORED, "");
        expect_nothing();
        notify_remove(notify, wd);      /* twice does no harm */
        expect_nothing();
}

static void the_descriptor_is_ours_and_closes_on_exec(void **state) {
        bool namespaced;
        int fd = notify_fd(notify);

        (void) state;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(notify_watch_limit(&namespaced) > 0);
        expect_nothing();
}

static void the_same_directory_has_the_same_wd(void **state) {
        int other = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), wd = notify_add(notify, dir_fd);

        (void) state;
        assert_true(wd > 0);
        assert_int_equal(notify_add(notify, dir_fd), wd);
        assert_int_equal(notify_add(notify, other), wd);
        close(other);
        remove_watch(wd);
}

static void only_directories_are_watched(void **state) {
        int fd;

        (void) state;
        make("file");
        fd = openat(dir_fd, "file", O_PATH | O_CLOEXEC);
        assert_int_equal(notify_add(notify, fd), -ENOTDIR);
        close(fd);
        unlinkat(dir_fd, "file", 0);
        expect_nothing();
}

static void what_happens_comes_in_order_with_its_name(void **state) {
        struct pollfd pfd = { .fd = notify_fd(notify), .events = POLLIN };
        int wd = notify_add(notify, dir_fd);
        char longest[256];
        Notice from, to;

        (void) state;
        memset(longest, 0xff, 255);
        longest[255] = '\0';
        assert_int_equal(poll(&pfd, 1, 0), 0);
        make("a");
        assert_int_equal(poll(&pfd, 1, 0), 1);
        renameat(dir_fd, "a", dir_fd, longest);
        unlinkat(dir_fd, longest, 0);
        expect(wd, IN_CREATE, "a");
        expect(wd, IN_CLOSE_WRITE, "a");
        assert_int_equal(notify_next(notify, &from), 1);
        assert_int_equal(notify_next(notify, &to), 1);
        assert_int_equal(from.mask, IN_MOVED_FROM);
        assert_int_equal(to.mask, IN_MOVED_TO);
        assert_int_equal(from.cookie, to.cookie);
        assert_int_not_equal(from.cookie, 0);
        assert_string_equal(to.name, longest);
        assert_int_equal(to.name_size, 255);
        expect(wd, IN_DELETE, longest);
        remove_watch(wd);
}

static void a_directory_that_goes_says_so_itself(void **state) {
        int fd, wd;

        (void) state;
        mkdirat(dir_fd, "sub", 0700);
        fd = openat(dir_fd, "sub", O_PATH | O_DIRECTORY | O_CLOEXEC);
        wd = notify_add(notify, fd);
        close(fd);
        unlinkat(dir_fd, "sub", AT_REMOVEDIR);
        expect(wd, IN_DELETE_SELF, "");
        expect(wd, IN_IGNORED, "");
        expect_nothing();
}

static void a_mark_comes_behind_what_was_there_before_it(void **state) {
        int wd = notify_add(notify, dir_fd);
        Notice n;

        (void) state;
        make("before");
        assert_int_equal(notify_mark(notify), 0);
        make("after");
        expect(wd, IN_CREATE, "before");
        expect(wd, IN_CLOSE_WRITE, "before");
        assert_int_equal(notify_next(notify, &n), 1);
        assert_true(notify_is_mark(notify, &n));
        expect(wd, IN_CREATE, "after");
        expect(wd, IN_CLOSE_WRITE, "after");
        for (int i = 0; i < 3; i++) {           /* again and again */
                assert_int_equal(notify_mark(notify), 0);
                assert_int_equal(notify_next(notify, &n), 1);
                assert_true(notify_is_mark(notify, &n));
                expect_nothing();
        }
        unlinkat(dir_fd, "before", 0);
        unlinkat(dir_fd, "after", 0);
        expect(wd, IN_DELETE, "before");
        expect(wd, IN_DELETE, "after");
        remove_watch(wd);
}

/* It was behind the overflow all the same: what is asked for after it waits for a mark of its own. */
static void a_mark_that_was_given_up_is_not_taken_for_the_next_one(void **state) {
        int wd = notify_add(notify, dir_fd);
        Notice n;

        (void) state;
        for (int i = 0; i < 3; i++) {
                assert_int_equal(notify_mark(notify), 0);
                make("between");
                notify_mark_lost(notify);
                assert_int_equal(notify_mark(notify), 0);
                assert_int_equal(notify_next(notify, &n), 1);
                assert_false(notify_is_mark(notify, &n));
                expect(wd, IN_CREATE, "between");
                expect(wd, IN_CLOSE_WRITE, "between");
                assert_int_equal(notify_next(notify, &n), 1);
                assert_true(notify_is_mark(notify, &n));
                expect_nothing();
                unlinkat(dir_fd, "between", 0);
                expect(wd, IN_DELETE, "between");
        }
        remove_watch(wd);
}

/* The file may have other names, in other directories. */
static void writes_through_a_name_that_went_are_noticed_under_it(void **state) {
        int wd = notify_add(notify, dir_fd), fd;
        bool written = false;

        (void) state;
        fd = openat(dir_fd, "a", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        unlinkat(dir_fd, "a", 0);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
        expect(wd, IN_CREATE, "a");
        for (Notice n; notify_next(notify, &n) == 1;)
                written |= n.mask & IN_MODIFY && strcmp(n.name, "a") == 0;
        assert_true(written);
        remove_watch(wd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_descriptor_is_ours_and_closes_on_exec),
                cmocka_unit_test(the_same_directory_has_the_same_wd),
                cmocka_unit_test(only_directories_are_watched),
                cmocka_unit_test(what_happens_comes_in_order_with_its_name),
                cmocka_unit_test(a_directory_that_goes_says_so_itself),
                cmocka_unit_test(a_mark_comes_behind_what_was_there_before_it),
                cmocka_unit_test(a_mark_that_was_given_up_is_not_taken_for_the_next_one),
                cmocka_unit_test(writes_through_a_name_that_went_are_noticed_under_it),
        };

        return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
