/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/identify/identify.h"
#include "daemon/identify/stat.h"
#include "tests/lib/identify.h"
#include "tests/lib/place.h"

enum { MIB = 1024 * 1024 };

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

/* In one go. */
static int read_file(int dir_fd, const char *name, int64_t budget, IdentifyPauseFn pause, void *userdata,
                     IdentifyState *state, uint8_t digest[32]) {
        IdentifyLimits limits = { budget, pause, userdata };
        IdentifyReading reading = { 0 };
        IdentifyContent content;
        int r = identify_name(dir_fd, name, &limits, &reading, state, &content);

        if (r == IDENTIFY_DONE || r == IDENTIFY_E_RACY)
                memcpy(digest, content.digest, 32);
        return r;
}

/* Files just written are racy for a tick of the clock; asked until they are not, as the caller would. */
static int identify_at_rest(int dir_fd, const char *name, int64_t budget, IdentifyState *state,
                            uint8_t digest[32]) {
        int64_t end = now_usec(CLOCK_MONOTONIC) + 5 * (int64_t) USEC_PER_SEC;
        int r;

        do
                r = read_file(dir_fd, name, budget, NULL, NULL, state, digest);
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

                place_write(p->fd, "f", data, sizes[i]);
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

        place_write(p->fd, "f", "abc", 3);
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
        place_write(p->fd, "d/f", "x", 1);
        assert_int_equal(identify_stat(p->fd, "d/f", &s), -EINVAL);
        assert_int_equal(identify_stat(p->fd, "..", &s), -EINVAL);
        assert_int_equal(read_file(p->fd, "d/f", 0, NULL, NULL, &s, digest), -EINVAL);
        assert_int_equal(identify_target(p->fd, "..", &target, &size), -EINVAL);
}

static void years_past_2262_stay_at_the_end(void **state) {
        const struct timespec far = { .tv_sec = INT64_C(10000000000) }, times[] = { far, far };
        Place *p = *state;
        IdentifyState s;
        struct stat st;

        place_write(p->fd, "f", "", 0);
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
        place_write(p->fd, name, "abc", 3);
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

        assert_int_equal(mkfifoat(p->fd, "fifo", 0600), 0);     /* no writer: an open would wait for ever */
        assert_int_equal(read_file(p->fd, "fifo", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", p->path) <
                    (int) sizeof(address.sun_path));
        assert_int_equal(bind(fd, (void *) &address, sizeof(address)), 0);
        close(fd);
        assert_int_equal(read_file(p->fd, "s", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);

        assert_int_equal(symlinkat("fifo", p->fd, "link"), 0);
        assert_int_equal(read_file(p->fd, "link", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);
        assert_int_equal(mkdirat(p->fd, "d", 0755), 0);
        assert_int_equal(read_file(p->fd, "d", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);
        assert_int_equal(read_file(p->fd, "absent", 0, NULL, NULL, &s, digest), -ENOENT);

        dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(read_file(dev, "zero", 0, NULL, NULL, &s, digest), IDENTIFY_E_NOT_FILE);
        close(dev);
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
        place_write(p->fd, "g", "another", 7);
        assert_int_equal(renameat(p->fd, "g", p->fd, "f"), 0);
}

static void what_changes_while_it_is_read_is_no_version(void **state) {
        void (*const ways[])(const Place *) = { append, overwrite_a_byte, overwrite_and_set_mtime_back,
                                                truncate_it, put_another_in_its_place };
        uint8_t *data = some_bytes(3 * MIB), digest[32];
        Place *p = *state;
        IdentifyState s;

        for (size_t i = 0; i < ELEMENTS(ways); i++) {
                Meddler m = { .place = p, .meddle = ways[i] };

                place_write(p->fd, "f", data, 3 * MIB);
                assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
                assert_int_equal(read_file(p->fd, "f", 0, meddle, &m, &s, digest), IDENTIFY_E_CHANGED);
                assert_null(m.meddle);
        }
        free(data);
}

static void a_file_just_written_is_racy_and_then_no_more(void **state) {
        uint8_t digest[32], again[32];
        Place *p = *state;
        IdentifyState s;

        place_write(p->fd, "f", "abc", 3);
        assert_int_equal(read_file(p->fd, "f", 0, NULL, NULL, &s, digest), IDENTIFY_E_RACY);
        assert_int_equal(s.size, 3);
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, again), IDENTIFY_DONE);
        assert_memory_equal(digest, again, 32);
}

static void a_time_is_young_around_the_read_alone(void **state) {
        (void) state;
        assert_true(stat_is_young(995, 10, 1000, 2000));
        assert_true(stat_is_young(1500, 10, 1000, 2000));
        assert_true(stat_is_young(2005, 10, 1000, 2000));
        assert_false(stat_is_young(990, 10, 1000, 2000));
        assert_false(stat_is_young(2010, 10, 1000, 2000));      /* the clock was set back: a change would show */
}

static int stop_at_three(void *userdata, int64_t done) {
        (*(int *) userdata)++;
        return done >= 3 * MIB;
}

static void a_read_can_be_ended_after_each_buffer(void **state) {
        Meddler m = { .place = *state };
        uint8_t *data = some_bytes(5 * MIB + 1), digest[32];
        Place *p = *state;
        IdentifyState s;
        int calls = 0;

        place_write(p->fd, "f", data, 5 * MIB + 1);
        free(data);
        assert_int_equal(read_file(p->fd, "f", 0, stop_at_three, &calls, &s, digest),
                         IDENTIFY_E_PAUSED);
        assert_int_equal(calls, 25);
        (void) read_file(p->fd, "f", 0, meddle, &m, &s, digest);
        assert_int_equal(m.calls, 41);

        /* in a hole too, of which nobody waits for the end */
        place_write(p->fd, "f", "", 0);
        assert_int_equal(set_size(p->fd, "f", INT64_C(64) << 30), 0);
        calls = 0;
        assert_int_equal(read_file(p->fd, "f", 0, stop_at_three, &calls, &s, digest),
                         IDENTIFY_E_PAUSED);
        assert_int_equal(calls, 25);
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

static void drop_pages(const Place *p) {
        int fd = openat(p->fd, "f", O_RDONLY | O_CLOEXEC);

        assert_int_equal(fsync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        close(fd);
}

/* The kernel lets go of a page when it can: of one that another processor has just taken up, it cannot. */
static void pages_stay_in_memory_only_if_they_were(void **state) {
        uint8_t *data = some_bytes(16 * MIB), digest[32];
        int percent = 100;
        Place *p = *state;
        IdentifyState s;

        place_write(p->fd, "f", data, 16 * MIB);
        free(data);
        assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
        assert_int_equal(resident(p->fd, "f", 16 * MIB), 100);

        drop_pages(p);
        if (resident(p->fd, "f", 16 * MIB) == 100)
                skip();                 /* tmpfs: memory is where it lives */
        for (int i = 0; i < 20 && percent >= 50; i++) {
                drop_pages(p);
                if (resident(p->fd, "f", 16 * MIB) > 0)
                        continue;
                assert_int_equal(identify_at_rest(p->fd, "f", 0, &s, digest), IDENTIFY_DONE);
                percent = (int) resident(p->fd, "f", 16 * MIB);
        }
        assert_true(percent < 50);
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
        assert_int_equal(read_file(p->fd, "f", INT64_C(1) << 30, NULL, NULL, &s, digest), -EFBIG);
        place_write(p->fd, "g", "abc", 3);
        assert_int_equal(read_file(p->fd, "g", 2, NULL, NULL, &s, digest), -EFBIG);
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
                assert_int_equal(read_file(p.fd, "f", INT64_C(1) << 30, NULL, NULL, &s, digest), -EFBIG);
        place_remove(&p);
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
                w->failures += read_file(w->place->fd, "f", 0, NULL, NULL, &s, digest) != IDENTIFY_DONE;
                w->failures += memcmp(digest, first, 32) != 0;
        }
        return NULL;
}

static void several_threads_digest_at_once(void **state) {
        const Worker worker = { .place = *state };
        Worker workers[] = { worker, worker, worker, worker };
        uint8_t *data = some_bytes(10000);
        Place *p = *state;

        place_write(p->fd, "f", data, 10000);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                PLACE_TEST(the_digest_is_that_of_sha256sum),
                PLACE_TEST(the_state_is_that_of_lstat),
                PLACE_TEST(a_mount_point_is_told),
                PLACE_TEST(a_path_is_not_a_name),
                PLACE_TEST(years_past_2262_stay_at_the_end),
                PLACE_TEST(any_bytes_are_a_name),
                PLACE_TEST(the_longest_target_comes_whole),
                PLACE_TEST(what_is_no_file_is_not_opened_and_nobody_waits),
                PLACE_TEST(what_changes_while_it_is_read_is_no_version),
                PLACE_TEST(a_file_just_written_is_racy_and_then_no_more),
                cmocka_unit_test(a_time_is_young_around_the_read_alone),
                PLACE_TEST(a_read_can_be_ended_after_each_buffer),
                PLACE_TEST(holes_are_digested_but_not_read),
                PLACE_TEST(pages_stay_in_memory_only_if_they_were),
                PLACE_TEST(a_budget_bounds_the_work),
                PLACE_TEST(an_exbibyte_of_nothing_is_refused),
                PLACE_TEST(several_threads_digest_at_once),
                PLACE_TEST(a_file_system_tells_its_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
