/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>

#include "daemon/identify/identify.h"
#include "daemon/identify/open.h"
#include "daemon/identify/sha256.h"
#include "daemon/identify/stat.h"
#include "lib/annex.h"

enum {
        BUFFER_SIZE = 128 * 1024,
        DROP_EVERY = 1024 * 1024,
        PROBES = 16,                    /* places of a large file that are asked for in the page cache */
};

/* A hole is worth finding where it saves this much; below, SEEK_DATA costs more than it saves. */
static const int64_t hole_min = 1024 * 1024;
/* Files from this size on are read ahead of, and their pages dropped again if nobody had them in memory. */
static const int64_t large_min = 1024 * 1024;
static const int64_t coarse_nsec = INT64_C(2000000000); /* of file systems that keep whole seconds, or two */

/* A thread keeps its buffer between files: allocating it would cost more than digesting a small file. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t buffer_key;
static int once_error;
static int descriptors = -1;            /* /proc/self/fd: finding it takes as long as opening a file in it */
static uid_t self;
static const uint8_t zeros[BUFFER_SIZE];

static void init_once(void) {
        self = geteuid();
        once_error = -pthread_key_create(&buffer_key, free);
        descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (descriptors < 0 && once_error == 0)
                once_error = -errno;
}

static int buffer_get(uint8_t **ret) {
        uint8_t *buffer;

        pthread_once(&once, init_once);
        if (once_error < 0)
                return once_error;
        buffer = pthread_getspecific(buffer_key);
        if (!buffer) {
                buffer = malloc(BUFFER_SIZE);
                if (!buffer || pthread_setspecific(buffer_key, buffer) != 0) {
                        free(buffer);
                        return -ENOMEM;
                }
        }
        *ret = buffer;
        return 0;
}

typedef struct Job {
        const IdentifyLimits *limits;
        SHA256_CTX context;
        uint8_t *buffer;
        int fd;
        int64_t size, done;
        bool sparse;                    /* it has a hole that is worth finding */
        bool drop;
        int64_t dropped;
        unsigned reads;
} Job;

/* Opens what an O_PATH descriptor holds, known by now to be a regular file. */
static int open_again(int held, uid_t owner) {
        int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, fd = -1;
        char link[3 * sizeof(int)];

        snprintf(link, sizeof(link), "%d", held);
        /* Others' files want CAP_FOWNER, which a watcher has not; nor need root in a user namespace. */
        if (self == owner || self == 0)
                fd = openat(descriptors, link, flags | O_NOATIME);
        if (fd < 0)
                fd = openat(descriptors, link, flags);
        return fd < 0 ? -errno : fd;
}

/* Whether none of some pages, spread over the file, is in memory. Dropping what somebody has just written or
 * reads all the time would make their next access slow, so when in doubt the pages stay; and small files
 * always do. Told by reads that do not wait; without read-ahead, else a probe would bring in the next one's
 * page. */
static bool is_cold(int fd, int64_t size) {
        uint8_t byte;
        struct iovec one = { &byte, 1 };
        bool cold = true;

        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        for (int i = 0; i < PROBES && cold; i++)
                cold = preadv2(fd, &one, 1, size / PROBES * i, RWF_NOWAIT) < 0 && errno == EAGAIN;
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return cold;
}

/* From the beginning each time: a page may be larger than a step and then stays at the first try. */
static void drop_behind(const Job *j) {
        if (j->done > 0)                /* a length of 0 would be all of it */
                (void) posix_fadvise(j->fd, 0, j->done, POSIX_FADV_DONTNEED);
}

static void take(Job *j, const uint8_t *data, size_t n) {
        SHA256_Update(&j->context, data, n);
        j->done += (int64_t) n;
}

/* How much comes next: to the end of a buffer counted from the file's beginning, so that a slice can end
 * there with whole blocks whatever a file system says about holes. */
static size_t next_size(const Job *j, int64_t end) {
        return (size_t) MIN_OF(end - j->done, BUFFER_SIZE - j->done % BUFFER_SIZE);
}

static int ask_pause(Job *j) {
        if (j->done % BUFFER_SIZE != 0)
                return 0;
        if (j->drop && j->done - j->dropped >= DROP_EVERY) {
                drop_behind(j);
                j->dropped = j->done;
        }
        return j->limits->pause && j->limits->pause(j->limits->userdata, j->done) != 0 ? IDENTIFY_E_PAUSED
                                                                                       : 0;
}

static int take_zeros(Job *j, int64_t end) {
        int r = 0;

        while (j->done < end && r == 0) {
                r = ask_pause(j);
                if (r == 0)
                        take(j, zeros, next_size(j, end));
        }
        return r;
}

/* Reads on to `end`; *ret_eof when the file ends before: it has shrunk. */
static int take_data(Job *j, int64_t end, bool *ret_eof) {
        while (j->done < end) {
                ssize_t n;
                int r = ask_pause(j);

                if (r != 0)
                        return r;
                n = pread(j->fd, j->buffer, next_size(j, end), j->done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        *ret_eof = true;
                        return 0;
                }
                j->reads++;
                take(j, j->buffer, (size_t) n);
        }
        return 0;
}

/* Where the next hole and the data behind it begin, as far as the file system tells: both `size` when there
 * is none. */
static void next_hole(const Job *j, int64_t *ret_hole, int64_t *ret_data) {
        int64_t hole = lseek(j->fd, j->done, SEEK_HOLE), data;

        *ret_hole = *ret_data = j->size;
        if (hole < j->done || hole >= j->size)
                return;
        data = lseek(j->fd, hole, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
                return;                 /* told of a hole, not of its end: read it */
        *ret_hole = hole;
        if (data > hole && data < j->size)
                *ret_data = data;
}

static int take_all(Job *j) {
        bool eof = false;
        int r = j->size == 0 ? ask_pause(j) : 0;        /* once at least, for an empty file too */

        while (j->done < j->size && !eof && r == 0) {
                int64_t hole = j->size, data = j->size;

                if (j->sparse)
                        next_hole(j, &hole, &data);
                r = take_data(j, hole, &eof);
                if (r == 0 && !eof)
                        r = take_zeros(j, data);
        }
        if (j->drop)
                drop_behind(j);
        return r;
}

/* A change after the read began has a ctime of the clock's tick then or later. If the ctime that we saw is
 * older than that tick, a change would show; else a second one in the same tick would not. */
static bool is_racy(const IdentifyState *state, int64_t began) {
        int64_t granule = state->ctime % INT64_C(1000000000) == 0 ? coarse_nsec : STAT_TICK_NSEC;

        return stat_is_young(state->ctime, granule, began, ctime_now());
}

static bool same_version(const IdentifyState *a, const IdentifyState *b) {
        return a->size == b->size && a->mtime == b->mtime && a->ctime == b->ctime && a->inode == b->inode &&
               a->btime == b->btime;
}

/* The content of a small file is all in the buffer, if it came in one piece. */
static void find_pointer(const Job *j, IdentifyContent *ret) {
        bool small = j->reads == 1 && j->done <= ANNEX_POINTER_MAX;
        Bytes key = small ? annex_key_of_pointer(BYTES(j->buffer, (size_t) j->done)) : BYTES_NONE;

        ret->key_size = (uint8_t) key.size;
        if (key.size > 0)
                memcpy(ret->key, key.data, key.size);
}

static void begin(Job *j, const IdentifyState *now, IdentifyReading *ret) {
        *ret = (IdentifyReading) { .begun = true, .before = *now, .began = ctime_now() };
        ret->drop = now->size >= large_min && is_cold(j->fd, now->size);
        SHA256_Init(&j->context);
}

static void go_on(Job *j, const IdentifyReading *reading) {
        sha256_resume(&j->context, reading->hash, reading->done);
        j->done = j->dropped = reading->done;
        (void) posix_fadvise(j->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

static void put_off(const Job *j, IdentifyReading *ret) {
        ret->done = j->done;
        memcpy(ret->hash, j->context.h, sizeof(ret->hash));
}

int identify_hold(int dir_fd, const char *name, IdentifyState *ret) {
        CLEANUP(closep) int held = -1;
        struct statx stx;
        int r;

        assert(name && ret);
        if (!name_is_entry(name))
                return -EINVAL;
        held = open_beneath(dir_fd, name, O_PATH | O_NOFOLLOW);
        if (held < 0)
                return held;
        r = stat_entry(held, "", &stx);
        if (r < 0)
                return r;
        *ret = state_from(&stx);
        return STEAL_FD(held);
}

/* The state before the read is that of the descriptor, so no other node can come between. The size as it was
 * then is what is read: if it is another afterwards, the outcome is CHANGED whatever was read. */
int identify_file(int held, const IdentifyState *held_state, const IdentifyLimits *limits,
                  IdentifyReading *reading, IdentifyState *ret_state, IdentifyContent *ret) {
        IdentifyState now = *held_state;
        Job job = { .limits = limits };
        CLEANUP(closep) int fd = -1;
        int r;

        assert(held >= 0 && limits && reading && ret_state && ret);
        if (!S_ISREG(now.mode))
                return IDENTIFY_E_NOT_FILE;
        if (limits->budget > 0 && now.size > limits->budget)
                return -EFBIG;
        if (reading->begun && !same_version(&reading->before, &now)) {
                *ret_state = now;
                return IDENTIFY_E_CHANGED;
        }
        r = buffer_get(&job.buffer);
        if (r < 0)
                return r;
        fd = open_again(held, now.uid);
        if (fd < 0)
                return fd;
        job.fd = fd;
        job.size = now.size;
        job.sparse = now.size - now.allocated >= hole_min;
        if (reading->begun)
                go_on(&job, reading);
        else
                begin(&job, &now, reading);
        job.drop = reading->drop;
        r = take_all(&job);
        if (r == IDENTIFY_E_PAUSED)
                put_off(&job, reading);
        if (r != 0)
                return r;
        find_pointer(&job, ret);
        SHA256_Final(ret->digest, &job.context);
        r = identify_stat(fd, "", ret_state);
        if (r < 0)
                return r;
        if (!same_version(&reading->before, ret_state) || job.done != now.size)
                return IDENTIFY_E_CHANGED;
        return is_racy(ret_state, reading->began) ? IDENTIFY_E_RACY : IDENTIFY_DONE;
}
