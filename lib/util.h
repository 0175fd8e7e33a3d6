/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_UTIL_H
#define SCITRACE_LIB_UTIL_H

/* util: the few words that every file uses: ownership, byte order, clocks.
 * May use: libc.  May not use: anything of ours. */

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/** CLEANUP(f) - calls f(&variable) when the variable's scope ends. */
#define CLEANUP(f) __attribute__((cleanup(f)))

/** STEAL(p) - hands the pointer over: yields its value and leaves NULL behind. */
#define STEAL(p) ({ __typeof__(p) stolen_ = (p); (p) = NULL; stolen_; })

/** STEAL_FD(fd) - the same for a descriptor, which leaves -1 behind. */
#define STEAL_FD(fd) ({ int stolen_ = (fd); (fd) = -1; stolen_; })

#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define NSEC_PER_USEC UINT64_C(1000)

static inline void freep(void *p) {
        free(*(void **) p);
}

/** closep(), fclosep() - close what is open, and leave nothing behind. A descriptor closed before may be
 *  another thread's by now, which then reads or looks into something else: that is no way to go on. */
static inline void closep(int *fd) {
        if (*fd >= 0 && close(*fd) < 0)
                assert(errno != EBADF);
        *fd = -1;
}

/** hold_standard_descriptors() - those of 0, 1 and 2 that are closed get /dev/null, for our children, too: a
 *  file opened as one of them would get what somebody prints. 0 or negative errno. */
static inline int hold_standard_descriptors(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR);
                if (fd < 0)
                        return -errno;
        } while (fd <= STDERR_FILENO);
        close(fd);
        return 0;
}

static inline void fclosep(FILE **f) {
        if (*f)
                fclose(*f);
        *f = NULL;
}

/** array_room() - an array of n members with room for one more: when all *max are taken it is made twice as
 *  large, or `least` members. NULL: out of memory, and the array is as it was. */
static inline void *array_room(void *array, size_t n, size_t *max, size_t least, size_t member_size) {
        size_t larger = *max ? 2 * *max : least;
        void *grown;

        if (n < *max)
                return array;
        grown = reallocarray(array, larger, member_size);
        if (grown)
                *max = larger;
        return grown;
}

/** now_usec() - microseconds of the given clock (clock_gettime(2)). */
static inline int64_t now_usec(clockid_t clock) {
        struct timespec ts;

        clock_gettime(clock, &ts);
        return (int64_t) ts.tv_sec * (int64_t) USEC_PER_SEC + ts.tv_nsec / (int64_t) NSEC_PER_USEC;
}

/** ctime_now() - ns since the epoch of the clock that file systems take their times from. */
static inline int64_t ctime_now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME_COARSE, &ts);
        return (int64_t) ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/** timespec_of() - so many microseconds, >= 0. */
static inline struct timespec timespec_of(int64_t usec) {
        return (struct timespec) { .tv_sec = usec / (int64_t) USEC_PER_SEC,
                                   .tv_nsec = usec % (int64_t) USEC_PER_SEC * (int64_t) NSEC_PER_USEC };
}

/** is_full() - whether a negative errno says that a volume is full, or what somebody may use of it. */
static inline bool is_full(int error) {
        return error == -ENOSPC || error == -EDQUOT;
}

/** Bytes: a borrowed run of bytes. File names, targets and digests are bytes; NUL ends nothing.
 *  data == NULL means absent, which differs from an empty run. */
typedef struct Bytes {
        const uint8_t *data;
        size_t size;
} Bytes;

#define BYTES(p, n) ((Bytes) { (const uint8_t *) (p), (n) })
#define BYTES_NONE ((Bytes) { NULL, 0 })
#define BYTES_STR(s) BYTES((s), strlen(s))

static inline int bytes_equal(Bytes a, Bytes b) {
        return a.size == b.size && (a.data == NULL) == (b.data == NULL) &&
               (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
