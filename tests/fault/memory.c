/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory: preloaded into a program (LD_PRELOAD), it lets its N-th allocation fail.
 *
 *   MEMORY_OF=NAME       the program that is meant; its children are, if they have that name
 *   MEMORY_AT=N          the allocation that fails, from 1; 0: none
 *   MEMORY_ONCE=FILE     only in the first process that comes so far: it makes FILE
 *   MEMORY_COUNT=FILE    at its end the program leaves the number of its allocations there */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long allocations;
static long meant;
static bool armed;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_reallocarray)(void *, size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);

/* What dlsym() itself asks for; never freed: free() is not ours. */
static char early[4096];
static size_t early_used;

static void find(void) {
        static bool finding;

        if (finding || real_posix_memalign)
                return;
        finding = true;
        real_malloc = (void *(*) (size_t)) dlsym(RTLD_NEXT, "malloc");
        real_calloc = (void *(*) (size_t, size_t)) dlsym(RTLD_NEXT, "calloc");
        real_realloc = (void *(*) (void *, size_t)) dlsym(RTLD_NEXT, "realloc");
        real_reallocarray = (void *(*) (void *, size_t, size_t)) dlsym(RTLD_NEXT, "reallocarray");
        real_posix_memalign = (int (*)(void **, size_t, size_t)) dlsym(RTLD_NEXT, "posix_memalign");
        finding = false;
}

static void *early_bytes(size_t n) {
        void *bytes = early + early_used;

        n = (n + 15) & ~(size_t) 15;
        if (n > sizeof(early) - early_used)
                return NULL;
        early_used += n;
        return bytes;
}

static __thread bool spared __attribute__((tls_model("initial-exec")));

static bool is_first(void) {
        const char *path = getenv("MEMORY_ONCE");
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

        if (fd >= 0)
                close(fd);
        return !path || fd >= 0;
}

static bool fails(void) {
        return armed && !spared && atomic_fetch_add(&allocations, 1) + 1 == meant && is_first();
}

void *malloc(size_t n) {
        find();
        if (!real_malloc)
                return early_bytes(n);
        if (!fails())
                return real_malloc(n);
        errno = ENOMEM;
        return NULL;
}

void *calloc(size_t n, size_t size) {
        find();
        if (!real_calloc)
                return early_bytes(n * size);
        if (!fails())
                return real_calloc(n, size);
        errno = ENOMEM;
        return NULL;
}

void *realloc(void *p, size_t n) {
        find();
        if (n == 0 || !fails())         /* what becomes smaller may as well fail */
                return real_realloc(p, n);
        errno = ENOMEM;
        return NULL;
}

void *reallocarray(void *p, size_t n, size_t size) {
        find();
        if (!fails())
                return real_reallocarray(p, n, size);
        errno = ENOMEM;
        return NULL;
}

int posix_memalign(void **ret, size_t alignment, size_t n) {
        find();
        return fails() ? ENOMEM : real_posix_memalign(ret, alignment, n);
}

/* A sanitizer asks for this in each new thread, and aborts when it has no answer. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *ret) {
        int (*real)(pthread_t, pthread_attr_t *) =
                (int (*)(pthread_t, pthread_attr_t *)) dlsym(RTLD_NEXT, "pthread_getattr_np");
        int r;

        spared = true;
        r = real(thread, ret);
        spared = false;
        return r;
}

static void __attribute__((constructor)) arm(void) {
        const char *of = getenv("MEMORY_OF"), *at = getenv("MEMORY_AT");

        find();
        meant = at ? atol(at) : 0;
        armed = of && strcmp(of, program_invocation_short_name) == 0;
}

static void __attribute__((destructor)) leave_count(void) {
        const char *path = getenv("MEMORY_COUNT");
        FILE *f;

        if (!armed)
                return;
        armed = false;
        f = path ? fopen(path, "w") : NULL;
        if (!f)
                return;
        fprintf(f, "%ld\n", atomic_load(&allocations));
        fclose(f);
}
