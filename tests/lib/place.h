/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_LIB_PLACE_H
#define SCITRACE_TESTS_LIB_PLACE_H

/* place: a folder for each test that wants real files. After "tests/lib/unit.h". */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/** Place: the folder of one test, on the file system of TMPDIR; made and removed by PLACE_TEST(). */
typedef struct Place {
        char path[256];
        int fd;
} Place;

static inline int place_make(Place *p, const char *where) {
        snprintf(p->path, sizeof(p->path), "%s/scitrace-test-XXXXXX", where);
        if (!mkdtemp(p->path))
                return -1;
        p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return p->fd < 0 ? -1 : 0;
}

static inline void place_remove(Place *p) {
        char command[512];

        close(p->fd);
        snprintf(command, sizeof(command), "rm -rf '%s'", p->path);
        assert_int_equal(system(command), 0);
}

static inline int place_setup(void **state) {
        static Place place;
        const char *where = getenv("TMPDIR");

        *state = &place;
        return place_make(&place, where ? where : "/tmp");
}

static inline int place_teardown(void **state) {
        place_remove(*state);
        return 0;
}

static inline void place_write(int dir_fd, const char *name, const void *data, size_t size) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, size), size);
        close(fd);
}

#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

#endif
