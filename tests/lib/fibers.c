/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "daemon/identify/identify.h"
#include "tests/lib/fibers.h"

enum { FIBERS = 16, STACK_SIZE = 1 << 20, STOPPED_MAX = 4000, STOPPED_ONE_IN = 3000 };

typedef struct Fiber {
        ucontext_t context;
        void *(*fn)(void *userdata);
        void *userdata;
        bool ended, waits, timed_out;   /* waits: for cond, or for fds */
        pthread_cond_t *cond;
        struct pollfd *fds;
        nfds_t n_fds;
        int64_t until;                  /* ns; INT64_MAX: for ever */
        unsigned stopped;               /* turns that it does not get */
} Fiber;

static Fiber fibers[FIBERS];
static unsigned n_fibers, current;
static uint64_t dice;
static int64_t now;                     /* ns */

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_identify_stat(int dir_fd, const char *name, IdentifyState *ret);
int __real_identify_directory(int root_fd, const char *path);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *userdata);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *until);
int __wrap_pthread_setname_np(pthread_t thread, const char *name);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_identify_stat(int dir_fd, const char *name, IdentifyState *ret);
int __wrap_identify_directory(int root_fd, const char *path);

unsigned fibers_random(unsigned below) {
        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (unsigned) ((dice >> 33) % below);
}

void fibers_start(uint64_t seed) {
        struct timespec ts;

        __real_clock_gettime(CLOCK_MONOTONIC, &ts);
        now = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
        dice = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        n_fibers = 1;
}

static bool is_ready(Fiber *f) {
        if (f->ended || (f->waits && f->cond && f->until > now))
                return false;
        if (!f->waits)
                return true;
        if (f->until <= now) {
                f->timed_out = true;
                if (f->fds)
                        (void) __real_poll(f->fds, f->n_fds, 0);
                return true;
        }
        return f->fds && __real_poll(f->fds, f->n_fds, 0) > 0;
}

static bool find_ready(unsigned *ret, bool stopped) {
        unsigned first = fibers_random(n_fibers);

        for (unsigned i = 0; i < n_fibers; i++) {
                Fiber *f = &fibers[(first + i) % n_fibers];

                if (f->stopped > 0 && !stopped) {
                        f->stopped--;
                        continue;
                }
                if (is_ready(f)) {
                        *ret = (first + i) % n_fibers;
                        return true;
                }
        }
        return false;
}

static void pass_time(void) {
        int64_t until = INT64_MAX;

        for (unsigned i = 0; i < n_fibers; i++) {
                fibers[i].stopped /= 2; /* who is stopped is so for some of the shortest waits */
                if (!fibers[i].ended && fibers[i].waits && fibers[i].until < until)
                        until = fibers[i].until;
        }
        if (until == INT64_MAX && !find_ready(&(unsigned) { 0 }, true)) {
                fprintf(stderr, "all threads wait for ever\n");
                abort();
        }
        if (until < INT64_MAX && until > now)
                now = until;
}

static void schedule(void) {
        unsigned from = current, to;
        int error = errno;

        if (fibers_random(STOPPED_ONE_IN) == 0)
                fibers[fibers_random(n_fibers)].stopped = fibers_random(STOPPED_MAX);
        while (!find_ready(&to, false) && (fibers_random(4) != 0 || !find_ready(&to, true)))
                pass_time();
        fibers[to].waits = false;
        current = to;
        if (to != from)
                swapcontext(&fibers[from].context, &fibers[to].context);
        errno = error;
}

void fibers_turn(void) {
        now += 1000;
        schedule();
}

static bool wait_until(pthread_cond_t *cond, struct pollfd *fds, nfds_t n_fds, int64_t until) {
        Fiber *f = &fibers[current];

        f->cond = cond;
        f->fds = fds;
        f->n_fds = n_fds;
        f->until = until;
        f->timed_out = false;
        f->waits = true;
        schedule();
        return !f->timed_out;
}

static void begin(void) {
        Fiber *f = &fibers[current];

        f->fn(f->userdata);
        f->ended = true;
        schedule();
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *userdata) {
        Fiber *f = &fibers[n_fibers];

        (void) attributes;
        if (n_fibers == FIBERS)
                return EAGAIN;
        *f = (Fiber) { .fn = fn, .userdata = userdata };
        getcontext(&f->context);
        f->context.uc_stack.ss_size = STACK_SIZE;
        f->context.uc_stack.ss_sp = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        makecontext(&f->context, begin, 0);
        *ret = n_fibers++;
        return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret) {
        (void) ret;
        while (!fibers[thread].ended)
                fibers_turn();
        return 0;
}

int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *until) {
        (void) until;
        return __wrap_pthread_join(thread, ret);
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name) {
        (void) thread;
        (void) name;
        return 0;
}

/* A mutex that is not locked is all zero; one that is says by whom. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) {
        unsigned *owner = (unsigned *) mutex;

        do
                fibers_turn();
        while (*owner != 0);
        *owner = current + 1;
        return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex) {
        *(unsigned *) mutex = 0;
        fibers_turn();
        return 0;
}

static int await(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until) {
        bool signalled;

        *(unsigned *) mutex = 0;
        signalled = wait_until(cond, NULL, 0, until);
        (void) __wrap_pthread_mutex_lock(mutex);
        return signalled ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex) {
        return await(cond, mutex, INT64_MAX);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
        return await(cond, mutex, until->tv_sec * INT64_C(1000000000) + until->tv_nsec);
}

static int wake(pthread_cond_t *cond, bool all) {
        unsigned first = fibers_random(n_fibers);

        for (unsigned i = 0; i < n_fibers; i++) {
                Fiber *f = &fibers[(first + i) % n_fibers];

                if (!f->waits || f->cond != cond)
                        continue;
                f->waits = false;
                if (!all)
                        break;
        }
        return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond) {
        return wake(cond, false);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond) {
        return wake(cond, true);
}

static int poll_until(struct pollfd *fds, nfds_t n, int64_t until) {
        (void) wait_until(NULL, fds, n, until);
        return __real_poll(fds, n, 0);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout) {
        return poll_until(fds, n, timeout < 0 ? INT64_MAX : now + timeout * INT64_C(1000000));
}

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
        (void) mask;
        return poll_until(fds, n, now + timeout->tv_sec * INT64_C(1000000000) + timeout->tv_nsec);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) {
        if (clock != CLOCK_MONOTONIC)
                return __real_clock_gettime(clock, ret);
        *ret = (struct timespec) { .tv_sec = now / 1000000000, .tv_nsec = now % 1000000000 };
        return 0;
}

int __wrap_identify_stat(int dir_fd, const char *name, IdentifyState *ret) {
        fibers_turn();
        return __real_identify_stat(dir_fd, name, ret);
}

int __wrap_identify_directory(int root_fd, const char *path) {
        fibers_turn();
        return __real_identify_directory(root_fd, path);
}
