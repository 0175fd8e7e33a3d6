/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What intake says and does while the store refuses. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "tests/unit/intake-fixture.h"

/* SQLite's writes go through here, on the store thread; the rest of the disk is as it is. */
static atomic_int refuses;              /* the errno; 0: it does not */
static atomic_int refused;

static bool disk_refuses(void) {
        if (refuses == 0)
                return false;
        refused++;
        errno = refuses;
        return true;
}

static ssize_t full_write(int fd, const void *data, size_t size) {
        return disk_refuses() ? -1 : write(fd, data, size);
}

static ssize_t full_pwrite(int fd, const void *data, size_t size, off_t at) {
        return disk_refuses() ? -1 : pwrite(fd, data, size, at);
}

static void between_sqlite_and_the_disk(void) {
        sqlite3_vfs *vfs = sqlite3_vfs_find("unix-excl");

        vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr) full_write);
        vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr) full_pwrite);
        vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr) full_pwrite);
}

static void wait_degraded(Fixture *f, bool degraded) {
        struct pollfd pfd = { .fd = intake_fd(f->intake), .events = POLLIN };

        while ((intake_degraded(f->intake) != NULL) != degraded) {
                assert_int_equal(poll(&pfd, 1, 60000), 1);
                intake_dispatch(f->intake);
        }
}

static void wait_refused(Fixture *f, int times) {
        struct pollfd pfd = { .fd = intake_fd(f->intake), .events = POLLIN };
        int until = refused + times;

        while (refused < until) {
                (void) poll(&pfd, 1, 60000);
                intake_dispatch(f->intake);
        }
}

/* What is said goes to a file from here on. */
static int said_fd, real_stderr;

static void listen_to(void) {
        said_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        assert_true(said_fd >= 0);
        real_stderr = dup(STDERR_FILENO);
        dup2(said_fd, STDERR_FILENO);
}

static int how_often(const char *text, const char *sentence) {
        int n = 0;

        for (const char *at = text; (at = strstr(at, sentence)); at++)
                n++;
        return n;
}

/* Each once, and no more than these. */
static void expect_said(const char *began, const char *ended) {
        static char text[65536];
        ssize_t n = pread(said_fd, text, sizeof(text) - 1, 0);

        dup2(real_stderr, STDERR_FILENO);
        close(real_stderr);
        close(said_fd);
        text[n > 0 ? n : 0] = '\0';
        print_message("# it said: %s", text);
        assert_int_equal(how_often(text, began), 1);
        assert_int_equal(how_often(text, ended), 1);
        assert_int_equal(how_often(text, "may have gone unseen"), 0);
}

static int64_t newest_told;

static void on_commit(void *userdata, int64_t seq) {
        (void) userdata;
        newest_told = seq;
}

static void store_refuses(Fixture *f, int error, const char *began) {
        Answer scan = { 0 };
        int64_t told;

        with_dataset(f);
        put_file(f, ROOT_DIR, "a", 10, 'a');
        pass(f);
        intake_on_commit(f->intake, on_commit, NULL);
        expect_events(f, "dataset-add \ncreate a x1\n");
        told = f->told;
        listen_to();
        refuses = error;
        put_file(f, ROOT_DIR, "b", 11, 'b');
        feed_frame(f);
        wait_degraded(f, true);
        wait_refused(f, 1);
        assert_true(newest_told <= told);
        expect_events(f, "");
        assert_int_equal(intake_scan(f->intake, "data", on_answer, &scan), 0);
        wait_for(f, &scan.times, 1);
        assert_int_equal(scan.result.outcome, INTAKE_E_FAILED);
        assert_int_equal(scan.result.error, error == ENOSPC ? -ENOSPC : -EIO);
        refuses = 0;
        wait_degraded(f, false);
        expect_said(began, "The store can be written again");
        f->consumed = f->fed;
        sync_queue(f);
        assert_int_equal(f->resets, 1);
        expect_events(f, "gap-open  store-full\n");
        expect_files(f, "a ");
        assert_int_equal(newest_told, f->told);
}

static void a_full_store_is_said_once_and_is_a_gap(void **state) {
        store_refuses(*state, ENOSPC, "The store has no space left on its volume");
}

static void a_store_that_fails_is_said_once_and_is_a_gap(void **state) {
        store_refuses(*state, EIO, "The store could not be written");
}

static void a_start_on_a_full_store_answers_and_records_the_gap_later(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        expect_events(f, "dataset-add \n");
        fixture_stop(f, true);
        listen_to();
        refuses = ENOSPC;
        fixture_start(f);
        wait_degraded(f, true);
        wait_refused(f, 1);
        expect_files(f, "");
        expect_events(f, "");
        refuses = 0;
        wait_degraded(f, false);
        expect_said("The store has no space left on its volume", "The store can be written again");
        sync_queue(f);
        expect_events(f, "gap-open  stopped\ngap-open  store-full\n");
}

static void who_ends_it_while_the_store_refuses_waits_for_nothing(void **state) {
        Fixture *f = *state;

        with_dataset(f);
        refuses = EIO;
        put_file(f, ROOT_DIR, "b", 11, 'b');
        feed_frame(f);
        wait_degraded(f, true);
        fixture_stop(f, true);
        refuses = 0;
        fixture_start(f);
        sync_queue(f);
        expect_events(f, "dataset-add \ngap-open  crashed\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_full_store_is_said_once_and_is_a_gap),
                TEST(a_store_that_fails_is_said_once_and_is_a_gap),
                TEST(a_start_on_a_full_store_answers_and_records_the_gap_later),
                TEST(who_ends_it_while_the_store_refuses_waits_for_nothing),
        };

        between_sqlite_and_the_disk();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
