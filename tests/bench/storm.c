/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/util.h"

/* The writers of B2, as fast as the file system takes it. Prints the microseconds from the first operation to the
 * last.
 *   storm creates DIR WRITERS FILES   each writer makes FILES files in the directories d0, d1, ... of DIR, in turn
 *   storm nested DIR N                N times: mkdir aI; mkdir aI/e; mkdir aI/e/f; write aI/e/f/b */

enum { SIZE = 100 };

/* The content tells its own number: no two are alike. */
static void write_file(int dir, const char *name, int64_t number) {
        char content[SIZE + 1];
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        snprintf(content, sizeof(content), "%0*" PRId64 "\n", SIZE - 1, number);
        if (fd < 0 || write(fd, content, SIZE) != SIZE || close(fd) < 0)
                err(1, "%s", name);
}

static int64_t count_directories(int top) {
        char name[32];
        int64_t n = 0;

        for (;; n++) {
                snprintf(name, sizeof(name), "d%" PRId64, n);
                if (faccessat(top, name, F_OK, 0) < 0)
                        return n;
        }
}

static void write_files(int top, int64_t directories, int64_t writer, int64_t files) {
        char name[64];

        for (int64_t i = 0; i < files; i++) {
                int64_t number = writer * files + i;

                snprintf(name, sizeof(name), "d%" PRId64 "/f%" PRId64, number % directories, number);
                write_file(top, name, number);
        }
}

static void creates(int top, int64_t writers, int64_t files) {
        int64_t directories = count_directories(top);
        int status;

        if (directories == 0)
                errx(1, "there is no d0");
        for (int64_t w = 0; w < writers; w++) {
                pid_t pid = fork();

                if (pid < 0)
                        err(1, "fork");
                if (pid == 0) {
                        write_files(top, directories, w, files);
                        _exit(0);
                }
        }
        for (int64_t w = 0; w < writers; w++)
                if (wait(&status) < 0 || status != 0)
                        errx(1, "a writer failed");
}

static void make(int top, const char *name) {
        if (mkdirat(top, name, 0755) < 0)
                err(1, "%s", name);
}

static void nested(int top, int64_t n) {
        char name[64];

        for (int64_t i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "a%" PRId64, i);
                make(top, name);
                snprintf(name, sizeof(name), "a%" PRId64 "/e", i);
                make(top, name);
                snprintf(name, sizeof(name), "a%" PRId64 "/e/f", i);
                make(top, name);
                snprintf(name, sizeof(name), "a%" PRId64 "/e/f/b", i);
                write_file(top, name, i);
        }
}

int main(int argc, char *argv[]) {
        int top = argc > 2 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        int64_t began = now_usec(CLOCK_MONOTONIC);

        if (argc > 2 && top < 0)
                err(1, "%s", argv[2]);
        if (argc == 5 && strcmp(argv[1], "creates") == 0)
                creates(top, strtoll(argv[3], NULL, 10), strtoll(argv[4], NULL, 10));
        else if (argc == 4 && strcmp(argv[1], "nested") == 0)
                nested(top, strtoll(argv[3], NULL, 10));
        else
                errx(2, "usage: storm creates DIR WRITERS FILES | storm nested DIR N");
        printf("%" PRId64 "\n", now_usec(CLOCK_MONOTONIC) - began);
        return 0;
}
