/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/uio.h>

#include "daemon/identify/identify.h"
#include "daemon/identify/open.h"
#include "daemon/identify/stat.h"

enum {
        BUFFER_SIZE = 128 * 1024,
        PAUSE_EVERY = 1024 * 1024,
        PROBES = 16,                    /* places of a large file that are asked for in the page cache */
};

/* A hole is worth finding where it saves this much; below, SEEK_DATA costs more than it saves. */
static const int64_t hole_min = 1024 * 1024;
/* Files from this size on are read ahead of, and their pages dropped again if nobody had them in memory. */
static const int64_t large_min = 1024 * 1024;
static const int64_t coarse_nsec = INT64_C(2000000000); /* of file systems that keep whole seconds, or two */

/* What a thread keeps between files: allocating and fetching them cost more than digesting a small file. */
typedef struct Reader {
        EVP_MD_CTX *context;
        uint8_t *buffer;
} Reader;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t reader_key;
static EVP_MD *sha256;
static int once_error;
static uid_t self;
static const uint8_t zeros[BUFFER_SIZE];

static void reader_free(void *p) {
        Reader *r = p;

        if (!r)
                return;
        EVP_MD_CTX_free(r->context);
        free(r->buffer);
        free(r);
}

static void init_once(void) {
        self = geteuid();
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        once_error = sha256 ? -pthread_key_create(&reader_key, reader_free) : -ENOTSUP;
}

static int reader_get(Reader **ret) {
        Reader *r;

        pthread_once(&once, init_once);
        if (once_error < 0)
                return once_error;
        r = pthread_getspecific(reader_key);
        if (!r) {
                r = calloc(1, sizeof(*r));
                if (!r)
                        return -ENOMEM;
                r->context = EVP_MD_CTX_new();
                r->buffer = malloc(BUFFER_SIZE);
                if (!r->context || !r->buffer || pthread_setspecific(reader_key, r) != 0) {
                        reader_free(r);
                        return -ENOMEM;
                }
        }
        *ret = r;
        return 0;
}

typedef struct Job {
        Reader *reader;
        int fd;
        int64_t size, done;
        bool sparse;                    /* it has a hole that is worth finding */
        bool drop;                      /* nobody had it in memory: leave it so */
        int64_t pause_at;
        IdentifyPauseFn pause;
        void *userdata;
} Job;

/* Opens what an O_PATH descriptor holds, known by now to be a regular file. */
static int open_again(int path_fd, uid_t owner) {
        char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, fd = -1;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
        /* Others' files want CAP_FOWNER, which a watcher has not; nor need root in a user namespace. */
        if (self == owner || self == 0)
                fd = open(link, flags | O_NOATIME);
        if (fd < 0)
                fd = open(link, flags);
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

static int take(Job *j, const uint8_t *data, size_t n) {
        if (EVP_DigestUpdate(j->reader->context, data, n) != 1)
                return -EIO;
        j->done += (int64_t) n;
        return 0;
}

/* Before each mebibyte. 0 to go on, else the outcome. */
static int ask_pause(Job *j) {
        if (j->done < j->pause_at)
                return 0;
        j->pause_at = j->done + PAUSE_EVERY;
        if (j->drop)
                drop_behind(j);
        return j->pause && j->pause(j->userdata, j->done) != 0 ? IDENTIFY_E_CANCELLED : 0;
}

static int take_zeros(Job *j, int64_t end) {
        int r = 0;

        while (j->done < end && r == 0) {
                r = ask_pause(j);
                if (r == 0)
                        r = take(j, zeros, (size_t) MIN_OF(end - j->done, (int64_t) BUFFER_SIZE));
        }
        return r;
}

/* Reads on to `end`; *ret_eof when the file ends before: it has shrunk. */
static int take_data(Job *j, int64_t end, bool *ret_eof) {
        while (j->done < end) {
                size_t want = (size_t) MIN_OF(end - j->done, (int64_t) BUFFER_SIZE);
                ssize_t n;
                int r = ask_pause(j);

                if (r != 0)
                        return r;
                n = pread(j->fd, j->reader->buffer, want, j->done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        *ret_eof = true;
                        return 0;
                }
                r = take(j, j->reader->buffer, (size_t) n);
                if (r < 0)
                        return r;
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
        int r = 0;

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

static int digest_fd(Job *j, uint8_t ret_digest[32]) {
        int r;

        if (EVP_DigestInit_ex2(j->reader->context, sha256, NULL) != 1)
                return -ENOMEM;
        r = ask_pause(j);               /* once at least, for an empty file too */
        if (r == 0)
                r = take_all(j);
        if (r != 0)
                return r;
        return EVP_DigestFinal_ex(j->reader->context, ret_digest, NULL) == 1 ? 0 : -EIO;
}

/* A change after the read began has a ctime of the clock's tick then or later. If the ctime that we saw is
 * older than that tick, a change would show; else a second one in the same tick would not. */
static bool is_racy(const IdentifyState *state, int64_t began) {
        int64_t granule = state->ctime % INT64_C(1000000000) == 0 ? coarse_nsec : STAT_TICK_NSEC;

        return stat_is_young(state->ctime, granule, began, stat_clock());
}

static bool same_version(const IdentifyState *a, const IdentifyState *b) {
        return a->size == b->size && a->mtime == b->mtime && a->ctime == b->ctime && a->inode == b->inode;
}

/* The state before the read is that of the descriptor, so no other node can come between. The size as it was
 * then is what is read: if it is another afterwards, the outcome is CHANGED whatever was read. */
static int digest_held(int held, const struct statx *stx, Job *job, IdentifyState *ret_state,
                       uint8_t digest[32]) {
        IdentifyState before = state_from(stx);
        CLEANUP(closep) int fd = -1;
        int64_t began;
        int r;

        r = reader_get(&job->reader);
        if (r < 0)
                return r;
        fd = open_again(held, stx->stx_uid);
        if (fd < 0)
                return fd;
        began = stat_clock();
        job->fd = fd;
        job->size = before.size;
        job->sparse = before.size - (int64_t) stx->stx_blocks * 512 >= hole_min;
        job->drop = before.size >= large_min && is_cold(fd, before.size);
        r = digest_fd(job, digest);
        if (r != 0)
                return r;
        r = identify_stat(fd, "", ret_state);
        if (r < 0)
                return r;
        if (!same_version(&before, ret_state) || job->done != before.size)
                return IDENTIFY_E_CHANGED;
        return is_racy(ret_state, began) ? IDENTIFY_E_RACY : IDENTIFY_DONE;
}

int identify_file(int dir_fd, const char *name, int64_t budget, IdentifyPauseFn pause, void *userdata,
                  IdentifyState *ret_state, uint8_t ret_digest[32]) {
        Job job = { .pause = pause, .userdata = userdata };
        CLEANUP(closep) int held = -1;
        IdentifyState state;
        uint8_t digest[32];
        struct statx stx;
        int r;

        assert(name && ret_state && ret_digest);
        if (!name_is_entry(name))
                return -EINVAL;
        /* O_PATH first: opening a FIFO or a device for reading is an act of its own, which others see. */
        held = open_beneath(dir_fd, name, O_PATH | O_NOFOLLOW);
        if (held < 0)
                return held == -ELOOP ? IDENTIFY_E_NOT_FILE : held;
        r = stat_entry(held, "", &stx);
        if (r < 0)
                return r;
        if (!S_ISREG(stx.stx_mode))
                return IDENTIFY_E_NOT_FILE;
        if (budget > 0 && stx.stx_size > (uint64_t) budget)
                return -EFBIG;
        r = digest_held(held, &stx, &job, &state, digest);
        if (r < 0 || r == IDENTIFY_E_CANCELLED)
                return r;
        *ret_state = state;
        memcpy(ret_digest, digest, sizeof(digest));
        return r;
}
