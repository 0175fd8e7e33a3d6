/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shim: preloaded into a program (LD_PRELOAD), it makes the N-th change to files beneath one folder the last one, or
 * lets it fail. A change is a write, a sync, a truncation, an allocation, a renaming or a removal.
 *
 *   FAULT_DIR=/path      the folder; nothing else is counted
 *   FAULT_AT=N           the change that is meant, from 1; 0: none
 *   FAULT_HOW=kill       the program is killed before it (SIGKILL)
 *             torn       it is killed when half of it is written
 *             stop       it is stopped before it (SIGSTOP)
 *             NUMBER     it fails with this errno, once
 *             NUMBER+    so do all that follow
 *   FAULT_WHAT=sync      only functions with such a name are counted
 *   FAULT_WHEN=FILE      nothing is counted while this file is missing
 *   FAULT_COUNT=FILE     at its end a program that made some leaves their number there */

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long changes;

typedef enum Fate { GOES_ON, FAILS, IS_TORN } Fate;

static bool is_beneath(const char *path) {
        const char *dir = getenv("FAULT_DIR");
        size_t n = dir ? strlen(dir) : 0;

        return n > 0 && strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_ours(int fd) {
        char link[64], path[PATH_MAX];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return false;
        path[n] = '\0';
        return is_beneath(path);
}

static bool counts(const char *name) {
        const char *what = getenv("FAULT_WHAT"), *when = getenv("FAULT_WHEN");

        return (!what || strstr(name, what)) && (!when || access(when, F_OK) == 0);
}

static Fate fate(const char *name) {
        const char *at = getenv("FAULT_AT"), *how = getenv("FAULT_HOW");
        long n, meant = at ? atol(at) : 0;

        if (!counts(name))
                return GOES_ON;
        n = atomic_fetch_add(&changes, 1) + 1;
        if (meant == 0 || !how || n < meant)
                return GOES_ON;
        if (n == meant && strcmp(how, "kill") == 0)
                raise(SIGKILL);
        if (n == meant && strcmp(how, "stop") == 0)
                raise(SIGSTOP);
        if (n == meant && strcmp(how, "torn") == 0)
                return IS_TORN;
        if (atoi(how) == 0 || (n > meant && !strchr(how, '+')))
                return GOES_ON;
        errno = atoi(how);
        return FAILS;
}

static void *next(const char *name) {
        return dlsym(RTLD_NEXT, name);
}

/* One function that changes the file of a descriptor; half: what of it is done when it is torn. */
#define CHANGE(type, name, parameters, arguments, half)                         \
        type name parameters;                                                   \
        type name parameters {                                                  \
                type (*real) parameters = (type (*) parameters) next(#name);    \
                int saved = errno;                                              \
                bool ours = is_ours(fd);                                        \
                Fate f = ours ? fate(#name) : GOES_ON;                          \
                                                                                \
                if (f == FAILS)                                                 \
                        return -1;                                              \
                errno = saved;                                                  \
                if (f == IS_TORN) {                                             \
                        (void) half;                                            \
                        raise(SIGKILL);                                         \
                }                                                               \
                return real arguments;                                          \
        }

CHANGE(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), real(fd, data, size / 2))
CHANGE(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
       real(fd, data, size / 2, at))
CHANGE(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at),
       real(fd, data, size / 2, at))
CHANGE(int, fsync, (int fd), (fd), 0)
CHANGE(int, fdatasync, (int fd), (fd), 0)
CHANGE(int, ftruncate, (int fd, off_t size), (fd, size), 0)
CHANGE(int, ftruncate64, (int fd, off64_t size), (fd, size), 0)

int rename(const char *from, const char *to) {
        int (*real)(const char *, const char *) = (int (*)(const char *, const char *)) next("rename");

        return is_beneath(to) && fate("rename") == FAILS ? -1 : real(from, to);
}

int unlink(const char *path) {
        int (*real)(const char *) = (int (*)(const char *)) next("unlink");

        return is_beneath(path) && fate("unlink") == FAILS ? -1 : real(path);
}

#define ALLOCATE(name, type)                                                            \
        int name(int fd, type at, type size) {                                          \
                int (*real)(int, type, type) = (int (*)(int, type, type)) next(#name);  \
                                                                                        \
                return is_ours(fd) && fate(#name) == FAILS ? errno : real(fd, at, size); \
        }

ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

static void __attribute__((destructor)) leave_count(void) {
        const char *path = getenv("FAULT_COUNT");
        FILE *f = path && atomic_load(&changes) > 0 ? fopen(path, "w") : NULL;

        if (!f)
                return;
        fprintf(f, "%ld\n", (long) atomic_load(&changes));
        fclose(f);
}
