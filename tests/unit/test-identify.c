/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/identify/identify.h"

enum { MIB = 1024 * 1024, RACE_TRIES = 30000 };

/* A folder of its own for each test, on the file system of TMPDIR. */
typedef struct Place {
        char path[256];
        int fd;
} Place;

static int place_make(Place *p, const char *where) {
        snprintf(p->path, sizeof(p->path), "%s/scitrace-identify-XXXXXX", where);
        if (!mkdtemp(p->path))
                return -1;
        p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return p->fd < 0 ? -1 : 0;
}

static void place_remove(Place *p) {
        char command[512];

        close(p->fd);
        snprintf(command, sizeof(command), "rm -rf '%s'", p->path);
        assert_int_equal(system(command), 0);
}

static int setup(void **state) {
        static Place place;
        const char *where = getenv("TMPDIR");

        *state = &place;
        return place_make(&place, where ? where : "/tmp");
}

static int teardown(void **state) {
        place_remove(*state);
        return 0;
}

static void write_file(int dir_fd, const char *name, const void *data, size_t size) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, size), size);
        close(fd);
}

static int set_size(int dir_fd, const char *name, int64_t size) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), r;

        assert_true(fd >= 0);
        r = ftruncate(fd, size) < 0 ? -errno : 0;
        close(fd);
        return r;
}

static uint8_t *some_bytes(size_t size) {
        uint8_t *data = malloc(size ? size : 1);
        uint32_t x = 12345;

        assert_non_null(data);
        for (size_t i = 0; i < size; i++) {
                x = x * 1664525 + 1013904223;
                data[i] = (uint8_t) (x >> 24);
        }
        return data;
}

/* Files just written are racy for a tick of the clock; asked until they are not, as the caller would. */
static int identify_at_rest(int dir_fd, const char *name, int64_t budget, IdentifyState *state, uint8_t digest[32]) {
        int64_t end = now_usec(CLOCK_MONOTONIC) + 5 * (int64_t) USEC_PER_SEC;
        int r;

        do
                r = identify_file(dir_fd, name, budget, NULL, NULL, state, digest);
        while (r == IDENTIFY_E_RACY && now_usec(CLOCK_MONOTONIC) < end);
        return r;
}

/* The oracle: coreutils' sha256sum. */
static void assert_sha256(const Place *p, const char *name, const uint8_t digest[32]) {
        char command[512], expected[65] = "", hex[65];
        FILE *f;

        snprintf(command, sizeof(command), "sha256sum < '%s/%s'", p->path, name);
        f = popen(command, "re");
        assert_non_null(f);
        assert_int_equal(fread(expected, 1, 64, f), 64);
        pclose(f);
        for (int i = 0; i < 32; i++)
                snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        assert_string_equal(hex, expected);
}

static void the_digest_is_that_of_sha256sum(void **state) {
        static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 131071, 131072, 131073, MIB, 3 * MIB + 7 };
        Place *p = *state;

        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                uint8_t *data = some_bytes(sizes[i]), digest[32];
                IdentifyState s;

                write_file(p->fd, "f", data, sizes[i]);
                free(data);
                assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
                assert_int_equal(s.size, sizes[i]);
                assert_sha256(p, "f", digest);
        }
}

static void the_state_is_that_of_lstat(void **state) {
        Place *p = *state;
        IdentifyState s;
        struct stat st;

        write_file(p->fd, "f", "abc", 3);
        assert_int_equal(fchmodat(p->fd, "f", 0640, 0), 0);
        assert_int_equal(linkat(p->fd, "f", p->fd, "g", 0), 0);
        assert_int_equal(fstatat(p->fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(identify_stat(p->fd, "f", &s), 0);
        assert_int_equal(s.device, st.st_dev);
        assert_int_equal(s.inode, st.st_ino);
        assert_int_equal(s.mode, S_IFREG | 0640);
        assert_int_equal(s.uid, st.st_uid);
        assert_int_equal(s.gid, st.st_gid);
        assert_int_equal(s.nlink, 2);
        assert_int_equal(s.size, 3);
        assert_int_equal(s.mtime, st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec);
        assert_int_equal(s.ctime, st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec);
        assert_true(s.btime == 0 || (s.btime > 0 && s.btime <= s.ctime));
        assert_false(s.mount_root);

        assert_int_equal(identify_stat(p->fd, "", &s), 0);
        assert_int_equal(fstat(p->fd, &st), 0);
        assert_int_equal(s.inode, st.st_ino);
        assert_true(S_ISDIR(s.mode));
        assert_int_equal(identify_stat(p->fd, "absent", &s), -ENOENT);
}

static void a_mount_point_is_told(void **state) {
        int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        IdentifyState s;

        (void) state;
        assert_true(top >= 0);
        assert_int_equal(identify_stat(top, "proc", &s), 0);
        assert_true(s.mount_root);
        close(top);
}

/* Two names a look, or a way out: not an entry of the directory. */
static void a_path_is_not_a_name(void **state) {
        Place *p = *state;
        uint8_t digest[32], *target;
        IdentifyState s;
        size_t size;

        assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
        write_file(p->fd, "d/f", "x", 1);
        assert_int_equal(identify_stat(p->fd, "d/f", &s), -EINVAL);
        assert_int_equal(identify_stat(p->fd, "..", &s), -EINVAL);
        assert_int_equal(identify_file(p->fd, "d/f", 0, NULL, NULL, &s, digest), -EINVAL);
        assert_int_equal(identify_target(p->fd, "..", &target, &size), -EINVAL);
}

static void years_past_2262_stay_at_the_end(void **state) {
        const struct timespec times[2] = { { .tv_sec = INT64_C(10000000000) }, { .tv_sec = INT64_C(10000000000) } };
        Place *p = *state;
        IdentifyState s;
        struct stat st;

        write_file(p->fd, "f", "", 0);
        assert_int_equal(utimensat(p->fd, "f", times, 0), 0);
        assert_int_equal(fstatat(p->fd, "f", &st, 0), 0);
        if (st.st_mtim.tv_sec != times[1].tv_sec)
                skip();                 /* this file system keeps no such year */
        assert_int_equal(identify_stat(p->fd, "f", &s), 0);
        assert_true(s.mtime == INT64_MAX);
}

static void any_bytes_are_a_name(void **state) {
        Place *p = *state;
        uint8_t digest[32];
        char name[256];
        IdentifyState s;

        memset(name, 0xE9, 255);
        name[255] = '\0';
        name[1] = '\n';
        name[2] = '\x1b';
        write_file(p->fd, name, "abc", 3);
        assert_int_equal(identify_stat(p->fd, name, &s), 0);
        assert_int_equal(identify_at_rest(p->fd, name, 0, &s, digest), IDENTIFY_DONE);
        assert_int_equal(symlinkat(name, p->fd, "link"), 0);

        uint8_t *target = NULL;
        size_t size = 0;

        assert_int_equal(identify_target(p->fd, "link", &target, &size), 0);
        assert_int_equal(size, 255);
        assert_memory_equal(target, name, 256);
        free(target);
        assert_int_equal(identify_target(p->fd, name, &target, &size), -EINVAL);
}

static void the_longest_target_comes_whole(void **state) {
        Place *p = *state;
        char target[PATH_MAX];
        uint8_t *got = NULL;
        size_t size = 0;

        memset(target, 'x', sizeof(target) - 1);
        target[sizeof(target) - 1] = '\0';
        assert_int_equal(symlinkat(target, p->fd, "link"), 0);
        assert_int_equal(identify_target(p->fd, "link", &got, &size), 0);
        assert_int_equal(size, PATH_MAX - 1);
        assert_memory_equal(got, target, PATH_MAX);
        free(got);
}

static void what_is_no_file_is_not_opened_and_nobody_waits(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Place *p = *state;
        uint8_t digest[32];
        IdentifyState s;
        int fd, dev;

        assert_int_equal(mkfifoat(p->fd, "fifo", 0600), 0);     /* no writer: a plain open would wait for ever */
        assert_int_equal(identify_file(p->fd, "fifo", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", p->path) <
                    (int) sizeof(address.sun_path));
        assert_int_equal(bind(fd, (void *) &address, sizeof(address)), 0);
        close(fd);
        assert_int_equal(identify_file(p->fd, "s", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);

        assert_int_equal(symlinkat("fifo", p->fd, "link"), 0);
        assert_int_equal(identify_file(p->fd, "link", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);
        assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
        assert_int_equal(identify_file(p->fd, "d", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);
        assert_int_equal(identify_file(p->fd, "absent", 0, NULL, NULL, &s, digest), -ENOENT);

        dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(identify_file(dev, "zero", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);
        close(dev);
}

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
        write_file(fd, "f", "deep", 4);
        assert_int_equal(symlinkat(".", fd, "link"), 0);
        close(fd);
        assert_true(strlen(path) > PATH_MAX);

        IdentifyState s;
        uint8_t digest[32];

        fd = identify_directory(p->fd, path);
        assert_true(fd >= 0);
        assert_int_equal(identify_at_rest(fd, "f", 0, &s, digest), IDENTIFY_DONE);
        close(fd);
        strcat(path, "/link");
        assert_int_equal(identify_directory(p->fd, path), -ELOOP);
        memset(path, 'y', sizeof(path) - 1);
        assert_int_equal(identify_directory(p->fd, path), -ENAMETOOLONG);
}

/* What happens to the file while it is read, from the pause callback after the first mebibyte. */
typedef struct Meddler {
        const Place *place;
        void (*meddle)(const Place *p);
        int64_t last;
        size_t calls;
} Meddler;

static int meddle(void *userdata, int64_t done) {
        Meddler *m = userdata;

        assert_true(done - m->last <= MIB);
        m->last = done;
        m->calls++;
        if (done > 0 && m->meddle) {
                m->meddle(m->place);
                m->meddle = NULL;
        }
        return 0;
}

static void append(const Place *p) {
        int fd = openat(p->fd, "f", O_WRONLY | O_APPEND | O_CLOEXEC);

        assert_int_equal(write(fd, "more", 4), 4);
        close(fd);
}

static void overwrite_a_byte(const Place *p) {
        int fd = openat(p->fd, "f", O_WRONLY | O_CLOEXEC);

        assert_int_equal(pwrite(fd, "!", 1, 5), 1);
        close(fd);
}

static void overwrite_and_set_mtime_back(const Place *p) {
        struct stat st;

        assert_int_equal(fstatat(p->fd, "f", &st, 0), 0);
        overwrite_a_byte(p);
        assert_int_equal(utimensat(p->fd, "f", (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
}

static void truncate_it(const Place *p) {
        int fd = openat(p->fd, "f", O_WRONLY | O_CLOEXEC);

        assert_int_equal(ftruncate(fd, MIB + 1), 0);
        close(fd);
}

static void put_another_in_its_place(const Place *p) {
        write_file(p->fd, "g", "another", 7);
        assert_int_equal(renameat(p->fd, "g", p->fd, "f"), 0);
}

static void what_changes_while_it_is_read_is_no_version(void **state) {
        void (*const ways[])(const Place *) = { append, overwrite_a_byte, overwrite_and_set_mtime_back, truncate_it,
                                                put_another_in_its_place };
        uint8_t *data = some_bytes(3 * MIB), digest[32];
        Place *p = *state;
        IdentifyState s;

        for (size_t i = 0; i < ELEMENTS(ways); i++) {
                Meddler m = { .place = p, .meddle = ways[i] };

                write_file(p->fd, "f", data, 3 * MIB);
                assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
                assert_int_equal(identify_file(p->fd, "f", 0, meddle, &m, &s, digest), IDENTIFY_E_CHANGED);
                assert_null(m.meddle);
        }
        free(data);
}

static void a_file_just_written_is_racy_and_then_no_more(void **state) {
        uint8_t digest[32], again[32];
        Place *p = *state;
        IdentifyState s;

        write_file(p->fd, "f", "abc", 3);
        assert_int_equal(identify_file(p->fd, "f", 0, NULL, NULL, &s, digest), IDENTIFY_E_RACY);
        assert_int_equal(s.size, 3);
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, again), IDENTIFY_DONE);
        assert_memory_equal(digest, again, 32);
}

static int stop_at_three(void *userdata, int64_t done) {
        (*(int *) userdata)++;
        return done >= 3 * MIB;
}

static void a_read_can_be_cancelled_each_mebibyte(void **state) {
        Meddler m = { .place = *state };
        uint8_t *data = some_bytes(5 * MIB + 1), digest[32];
        Place *p = *state;
        IdentifyState s;
        int calls = 0;

        write_file(p->fd, "f", data, 5 * MIB + 1);
        free(data);
        assert_int_equal(identify_file(p->fd, "f", 0, stop_at_three, &calls, &s, digest), IDENTIFY_E_CANCELLED);
        assert_int_equal(calls, 4);
        (void) identify_file(p->fd, "f", 0, meddle, &m, &s, digest);
        assert_int_equal(m.calls, 6);

        /* in a hole too, of which nobody waits for the end */
        write_file(p->fd, "f", "", 0);
        assert_int_equal(set_size(p->fd, "f", INT64_C(64) << 30), 0);
        calls = 0;
        assert_int_equal(identify_file(p->fd, "f", 0, stop_at_three, &calls, &s, digest), IDENTIFY_E_CANCELLED);
        assert_int_equal(calls, 4);
}

/* Bytes that this process has read by read(2) and its like. */
static int64_t bytes_read(void) {
        FILE *f = fopen("/proc/self/io", "re");
        int64_t n = 0;

        assert_non_null(f);
        assert_int_equal(fscanf(f, "rchar: %" PRId64, &n), 1);
        fclose(f);
        return n;
}

static void holes_are_digested_but_not_read(void **state) {
        static const int64_t places[] = { 0, 7 * MIB + 3, 40 * MIB, 100 * MIB - 5 };
        uint8_t digest[32];
        Place *p = *state;
        IdentifyState s;
        int64_t before;
        int fd;

        assert_int_equal(set_size(p->fd, "f", 100 * MIB), 0);
        for (size_t i = 0; i < ELEMENTS(places); i++) {
                fd = openat(p->fd, "f", O_WRONLY | O_CLOEXEC);
                assert_int_equal(pwrite(fd, "data!", 5, places[i]), 5);
                close(fd);
                before = bytes_read();
                assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
                assert_true(bytes_read() - before < 50 * MIB);
                assert_sha256(p, "f", digest);
        }
        assert_int_equal(set_size(p->fd, "f", 200 * MIB), 0);
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
        assert_sha256(p, "f", digest);
}

/* Pages of a file in memory, in percent. */
static int resident(int dir_fd, const char *name, size_t size) {
        size_t page = (size_t) sysconf(_SC_PAGESIZE), pages = size / page, count = 0;
        int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        uint8_t *in = malloc(pages);

        assert_true(map != MAP_FAILED && in);
        assert_int_equal(mincore(map, size, in), 0);
        for (size_t i = 0; i < pages; i++)
                count += in[i] & 1;
        free(in);
        munmap(map, size);
        close(fd);
        return (int) (100 * count / pages);
}

static void pages_stay_in_memory_only_if_they_were(void **state) {
        uint8_t *data = some_bytes(16 * MIB), digest[32];
        Place *p = *state;
        IdentifyState s;
        int fd;

        write_file(p->fd, "f", data, 16 * MIB);
        free(data);
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
        assert_int_equal(resident(p->fd, "f", 16 * MIB), 100);

        fd = openat(p->fd, "f", O_RDONLY | O_CLOEXEC);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        close(fd);
        if (resident(p->fd, "f", 16 * MIB) > 0)
                skip();                 /* tmpfs: memory is where it lives */
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
        assert_true(resident(p->fd, "f", 16 * MIB) < 50);
        assert_sha256(p, "f", digest);
        assert_int_equal(resident(p->fd, "f", 16 * MIB), 100);
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
        assert_int_equal(resident(p->fd, "f", 16 * MIB), 100);
}

static void a_budget_bounds_the_work(void **state) {
        uint8_t digest[32];
        Place *p = *state;
        IdentifyState s;

        assert_int_equal(set_size(p->fd, "f", INT64_C(64) << 30), 0);
        assert_int_equal(identify_file(p->fd, "f", INT64_C(1) << 30, NULL, NULL, &s, digest), -EFBIG);
        write_file(p->fd, "g", "abc", 3);
        assert_int_equal(identify_file(p->fd, "g", 2, NULL, NULL, &s, digest), -EFBIG);
        assert_int_equal(identify_at_rest(p->fd, "g", 3, &s, digest), IDENTIFY_DONE);
}

/* tmpfs takes a file of 1 EiB. */
static void an_exbibyte_of_nothing_is_refused(void **state) {
        uint8_t digest[32];
        IdentifyState s;
        Place p;

        (void) state;
        if (place_make(&p, "/dev/shm") < 0)
                skip();
        if (set_size(p.fd, "f", INT64_C(1) << 60) == 0)
                assert_int_equal(identify_file(p.fd, "f", INT64_C(1) << 30, NULL, NULL, &s, digest), -EFBIG);
        place_remove(&p);
}

/* An exchanger swaps d/, which holds our f, with a symbolic link to a folder outside that holds another f. */
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
        uint8_t digest[32];
        Place *p = *state;
        IdentifyState s;
        pthread_t thread;

        write_file(p->fd, "f", "abc", 3);
        assert_int_equal(mkfifoat(p->fd, "fifo", 0600), 0);
        assert_int_equal(pthread_create(&thread, NULL, exchange, &e), 0);
        for (int i = 0; i < RACE_TRIES / 10; i++) {
                int r = identify_file(p->fd, "f", 0, NULL, NULL, &s, digest);

                assert_true(r >= 0 || r == -EAGAIN);
                *(r == IDENTIFY_E_NOT_FILE ? &refused : &done) += 1;
                readers += r != IDENTIFY_E_NOT_FILE && !S_ISREG(s.mode);
        }
        e.stop = true;
        pthread_join(thread, NULL);
        assert_int_equal(readers, 0);
        assert_true(done > 0 && refused > 0);
}

typedef struct Worker {
        const Place *place;
        pthread_t thread;
        int failures;
} Worker;

static void *digest_many(void *userdata) {
        Worker *w = userdata;
        uint8_t digest[32], first[32];
        IdentifyState s;

        w->failures += identify_at_rest(w->place->fd, "f", 0, &s, first) != IDENTIFY_DONE;
        for (int i = 0; i < 200; i++) {
                w->failures += identify_file(w->place->fd, "f", 0, NULL, NULL, &s, digest) != IDENTIFY_DONE;
                w->failures += memcmp(digest, first, 32) != 0;
        }
        return NULL;
}

static void several_threads_digest_at_once(void **state) {
        Worker workers[4] = { { .place = *state }, { .place = *state }, { .place = *state }, { .place = *state } };
        uint8_t *data = some_bytes(10000);
        Place *p = *state;

        write_file(p->fd, "f", data, 10000);
        free(data);
        for (size_t i = 0; i < ELEMENTS(workers); i++)
                assert_int_equal(pthread_create(&workers[i].thread, NULL, digest_many, &workers[i]), 0);
        for (size_t i = 0; i < ELEMENTS(workers); i++) {
                pthread_join(workers[i].thread, NULL);
                assert_int_equal(workers[i].failures, 0);
        }
}

static void a_file_system_tells_its_type(void **state) {
        bool network = true, has_uuid = true;
        const char *type = NULL;
        uint8_t uuid[16];
        Place *p = *state;
        int proc;

        assert_int_equal(identify_filesystem(p->fd, &type, &network, uuid, &has_uuid), 0);
        assert_non_null(type);
        assert_false(network);
        proc = identify_root("/proc");
        assert_int_equal(identify_filesystem(proc, &type, &network, uuid, &has_uuid), 0);
        assert_string_equal(type, "unknown");
        close(proc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(the_digest_is_that_of_sha256sum),
                TEST(the_state_is_that_of_lstat),
                TEST(a_mount_point_is_told),
                TEST(a_path_is_not_a_name),
                TEST(years_past_2262_stay_at_the_end),
                TEST(any_bytes_are_a_name),
                TEST(the_longest_target_comes_whole),
                TEST(what_is_no_file_is_not_opened_and_nobody_waits),
                TEST(no_symbolic_link_is_followed),
                TEST(a_root_and_its_directories_open),
                TEST(a_path_beyond_path_max_is_opened_piecewise),
                TEST(what_changes_while_it_is_read_is_no_version),
                TEST(a_file_just_written_is_racy_and_then_no_more),
                TEST(a_read_can_be_cancelled_each_mebibyte),
                TEST(holes_are_digested_but_not_read),
                TEST(pages_stay_in_memory_only_if_they_were),
                TEST(a_budget_bounds_the_work),
                TEST(an_exbibyte_of_nothing_is_refused),
                TEST(a_swapped_directory_never_leads_outside),
                TEST(a_file_swapped_with_a_fifo_never_opens_the_fifo),
                TEST(several_threads_digest_at_once),
                TEST(a_file_system_tells_its_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
