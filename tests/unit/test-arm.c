/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/watch/walk.h"

enum { MANY = 4 * HELD_MAX };

/* A descriptor of a file that no other one is of. */
static int open_one(ino_t *ret) {
        int fd = memfd_create("held", MFD_CLOEXEC);
        struct stat st;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        *ret = st.st_ino;
        return fd;
}

static bool is_open_as(int fd, ino_t inode) {
        struct stat st;

        return fstat(fd, &st) == 0 && st.st_ino == inode;
}

static Walk *walk_new(void) {
        Walk *k = calloc(1, sizeof(*k));

        assert_non_null(k);
        return k;
}

static void walk_end(Walk *k) {
        free(k->stack);
        free(k);
}

/* Each number that is let go is the next one opened, be it by another thread. */
static void what_waits_in_great_number_is_let_go_once(void **state) {
        Walk *k = walk_new();
        ino_t inodes[MANY];
        size_t held = 0;

        (void) state;
        for (int i = 0; i < MANY; i++) {
                int fd = open_one(&inodes[i]);

                assert_int_equal(arm_push(k, i + 1, fd), 0);
        }
        for (int i = 0; i < MANY; i++) {
                if (k->stack[i].fd >= 0)
                        assert_true(is_open_as(k->stack[i].fd, inodes[i]));
                held += k->stack[i].fd >= 0;
        }
        assert_int_equal(held, HELD_MAX);
        assert_int_equal(k->n_held, HELD_MAX);
        for (int i = MANY; i > 0; i--) {
                int fd = k->stack[i - 1].fd;

                assert_int_equal(fd >= 0, i > MANY - HELD_MAX);
                assert_int_equal(arm_pop(k), i);
                assert_true(fd < 0 || fcntl(fd, F_GETFD) < 0);
        }
        assert_int_equal(k->n_held, 0);
        walk_end(k);
}

/* Of a stack that shrank and grows again it is the lowest ones that go. */
static void a_stack_that_shrank_lets_the_lowest_go(void **state) {
        Walk *k = walk_new();
        ino_t inodes[MANY];

        (void) state;
        for (int i = 0; i < MANY; i++)
                assert_int_equal(arm_push(k, i + 1, open_one(&inodes[i])), 0);
        for (int i = MANY; i > MANY / 2; i--)
                assert_int_equal(arm_pop(k), i);
        for (int i = MANY / 2; i < MANY; i++)
                assert_int_equal(arm_push(k, i + 1, open_one(&inodes[i])), 0);
        for (int i = 0; i < MANY; i++) {
                assert_int_equal(k->stack[i].fd >= 0, i >= MANY - HELD_MAX);
                if (k->stack[i].fd >= 0)
                        assert_true(is_open_as(k->stack[i].fd, inodes[i]));
        }
        while (k->depth > 0)
                (void) arm_pop(k);
        walk_end(k);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_waits_in_great_number_is_let_go_once),
                cmocka_unit_test(a_stack_that_shrank_lets_the_lowest_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
