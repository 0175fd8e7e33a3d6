/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "daemon/identify/identify.h"
#include "tests/lib/identify.h"
#include "tests/lib/place.h"

enum { RACE_TRIES = 300000 };

static void no_symbolic_link_is_followed(void **state) {
        Place *p = *state;
        char path[512];

        assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "d/e", 0755), 0);
        assert_int_equal(symlinkat("d", p->fd, "inside"), 0);
        assert_int_equal(symlinkat("/", p->fd, "outside"), 0);
        assert_int_equal(identify_directory(p->fd, "inside"), -ELOOP);
        assert_int_equal(identify_directory(p->fd, "inside/e"), -ELOOP);
        assert_int_equal(identify_directory(p->fd, "outside"), -ELOOP);
        assert_int_equal(identify_directory(p->fd, "outside/etc"), -ELOOP);
        assert_int_equal(identify_directory(p->fd, "d/../.."), -EXDEV);
        assert_int_equal(identify_directory(p->fd, "/etc"), -EXDEV);
        snprintf(path, sizeof(path), "%s/inside/e", p->path);
        assert_int_equal(identify_root(path), -ELOOP);
        assert_int_equal(identify_root("etc"), -EINVAL);
        snprintf(path, sizeof(path), "%s/absent", p->path);
        assert_int_equal(identify_root(path), -ENOENT);
}

static void a_root_and_its_directories_open(void **state) {
        Place *p = *state;
        IdentifyState a, b;
        char path[512];
        int root, fd;

        assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
        snprintf(path, sizeof(path), "%s/d", p->path);
        root = identify_root(p->path);
        assert_true(root >= 0);
        assert_true(fcntl(root, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(identify_stat(root, "d", &a), 0);
        static const char *const same[] = { "d", "d/", "./d", "d/." };
        for (size_t i = 0; i < ELEMENTS(same); i++) {
                fd = identify_directory(root, same[i]);
                assert_true(fd >= 0);
                assert_int_equal(identify_stat(fd, "", &b), 0);
                assert_int_equal(a.inode, b.inode);
                close(fd);
        }
        fd = identify_directory(root, "");
        assert_int_equal(identify_stat(fd, "d", &b), 0);
        assert_int_equal(a.inode, b.inode);
        close(fd);
        close(root);
        fd = identify_root("/");
        assert_true(fd >= 0);
        close(fd);
}

/* 30 folders with names of 200 bytes, a link among the last. */
static void a_path_beyond_path_max_is_opened_piecewise(void **state) {
        char name[201], path[30 * 201 + 16] = "";
        Place *p = *state;
        int fd = dup(p->fd), next;

        memset(name, 'n', 200);
        name[200] = '\0';
        for (int i = 0; i < 30; i++) {
                assert_int_equal(mkdirat(fd, name, 0755), 0);
                next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                close(fd);
                fd = next;
                strcat(strcat(path, i ? "/" : ""), name);
        }
        place_write(fd, "f", "deep", 4);
        assert_int_equal(symlinkat(".", fd, "link"), 0);
        close(fd);
        assert_true(strlen(path) > PATH_MAX);

        IdentifyState s;

        fd = identify_directory(p->fd, path);
        assert_true(fd >= 0);
        assert_int_equal(identify_stat(fd, "f", &s), 0);
        assert_int_equal(s.size, 4);
        close(fd);
        strcat(path, "/link");
        assert_int_equal(identify_directory(p->fd, path), -ELOOP);
        memset(path, 'y', sizeof(path) - 1);
        assert_int_equal(identify_directory(p->fd, path), -ENAMETOOLONG);
}

/* An exchanger swaps d/, which holds our f, with a symbolic link to a folder outside that holds another. */
typedef struct Exchanger {
        const Place *place;
        const char *a, *b;
        atomic_bool stop;
} Exchanger;

static void *exchange(void *userdata) {
        Exchanger *e = userdata;

        while (!e->stop)
                (void) renameat2(e->place->fd, e->a, e->place->fd, e->b, RENAME_EXCHANGE);
        return NULL;
}

static void a_swapped_directory_never_leads_outside(void **state) {
        Exchanger e = { .place = *state, .a = "root/d", .b = "root/link" };
        int root, refused = 0, opened = 0, outside = 0;
        IdentifyState ours, other, s;
        Place *p = *state;
        pthread_t thread;
        char path[512];

        assert_int_equal(mkdirat(p->fd, "root", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "root/d", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "root/d/e", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "outside", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "outside/e", 0755), 0);
        assert_int_equal(symlinkat("../outside", p->fd, "root/link"), 0);
        snprintf(path, sizeof(path), "%s/root", p->path);
        root = identify_root(path);
        assert_true(root >= 0);
        int fd = identify_directory(root, "d/e");
        assert_int_equal(identify_stat(fd, "", &ours), 0);
        close(fd);
        fd = identify_directory(p->fd, "outside/e");
        assert_int_equal(identify_stat(fd, "", &other), 0);
        close(fd);

        assert_int_equal(pthread_create(&thread, NULL, exchange, &e), 0);
        for (int i = 0; i < RACE_TRIES; i++) {
                fd = identify_directory(root, "d/e");
                if (fd < 0) {
                        refused++;
                        continue;
                }
                opened++;
                assert_int_equal(identify_stat(fd, "", &s), 0);
                outside += s.inode != ours.inode;
                close(fd);
        }
        e.stop = true;
        pthread_join(thread, NULL);
        close(root);
        print_message("# %d opened, %d refused, %d outside\n", opened, refused, outside);
        assert_true(ours.inode != other.inode);
        assert_int_equal(outside, 0);
        assert_true(opened > 0 && refused > 0);         /* else nothing was raced */
}

/* A file swapped with a FIFO: nobody is made to wait, and the FIFO never gets a reader. */
static void a_file_swapped_with_a_fifo_never_opens_the_fifo(void **state) {
        Exchanger e = { .place = *state, .a = "f", .b = "fifo" };
        int done = 0, refused = 0, readers = 0;
        IdentifyContent content;
        Place *p = *state;
        IdentifyState s;
        pthread_t thread;

        place_write(p->fd, "f", "abc", 3);
        assert_int_equal(mkfifoat(p->fd, "fifo", 0600), 0);
        assert_int_equal(pthread_create(&thread, NULL, exchange, &e), 0);
        for (int i = 0; i < RACE_TRIES / 10; i++) {
                IdentifyReading reading = { 0 };
                int r = identify_name(p->fd, "f", &(IdentifyLimits) { 0 }, &reading, &s, &content);

                assert_true(r >= 0 || r == -EAGAIN);
                *(r == IDENTIFY_E_NOT_FILE ? &refused : &done) += 1;
                readers += r != IDENTIFY_E_NOT_FILE && !S_ISREG(s.mode);
        }
        e.stop = true;
        pthread_join(thread, NULL);
        assert_int_equal(readers, 0);
        assert_true(done > 0 && refused > 0);
}

/* What is held is read, whatever has its name by then. */
static void a_file_that_is_held_is_read_though_a_fifo_has_its_name(void **state) {
        static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea };
        IdentifyReading reading = { 0 };
        IdentifyContent content;
        IdentifyState before, after;
        Place *p = *state;
        int held, r;

        place_write(p->fd, "f", "abc", 3);
        assert_int_equal(mkfifoat(p->fd, "fifo", 0600), 0);
        held = identify_hold(p->fd, "f", &before);
        assert_true(held >= 0);
        assert_int_equal(renameat(p->fd, "fifo", p->fd, "f"), 0);
        r = identify_file(held, &before, &(IdentifyLimits) { 0 }, &reading, &after, &content);
        close(held);
        assert_true(r == IDENTIFY_E_CHANGED || r == IDENTIFY_E_RACY);  /* it lost its name */
        assert_int_equal(after.inode, before.inode);
        assert_memory_equal(content.digest, abc, sizeof(abc));
        held = identify_hold(p->fd, "f", &after);
        assert_true(held >= 0 && S_ISFIFO(after.mode));
        assert_int_equal(identify_file(held, &after, &(IdentifyLimits) { 0 }, &reading, &before, &content),
                         IDENTIFY_E_NOT_FILE);
        close(held);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PLACE_TEST(no_symbolic_link_is_followed),
                PLACE_TEST(a_root_and_its_directories_open),
                PLACE_TEST(a_path_beyond_path_max_is_opened_piecewise),
                PLACE_TEST(a_swapped_directory_never_leads_outside),
                PLACE_TEST(a_file_swapped_with_a_fifo_never_opens_the_fifo),
                PLACE_TEST(a_file_that_is_held_is_read_though_a_fifo_has_its_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
