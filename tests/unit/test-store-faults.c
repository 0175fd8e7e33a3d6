/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the store promises when others want it too, when it is killed, and when the disk is full or fails. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "daemon/store/private.h"
#include "tests/unit/store-fixture.h"

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* The disk is full: SQLite's calls to write go through here (xSetSystemCall is its own means for such tests). */
static struct {
        int after;                      /* writes that still succeed; < 0: all do */
        int error;
} disk = { -1, 0 };

static bool disk_refuses(void) {
        if (disk.after < 0)
                return false;
        if (disk.after > 0) {
                disk.after--;
                return false;
        }
        errno = disk.error;
        return true;
}

static ssize_t full_write(int fd, const void *data, size_t size) {
        return disk_refuses() ? -1 : write(fd, data, size);
}

static ssize_t full_pwrite(int fd, const void *data, size_t size, off_t at) {
        return disk_refuses() ? -1 : pwrite(fd, data, size, at);
}

static void between_sqlite_and_the_disk(bool on) {
        sqlite3_vfs *vfs = sqlite3_vfs_find("unix-excl");

        vfs->xSetSystemCall(vfs, "write", on ? (sqlite3_syscall_ptr) full_write : NULL);
        vfs->xSetSystemCall(vfs, "pwrite", on ? (sqlite3_syscall_ptr) full_pwrite : NULL);
        vfs->xSetSystemCall(vfs, "pwrite64", on ? (sqlite3_syscall_ptr) full_pwrite : NULL);
        disk.after = -1;
}

static int setup(void **state) {
        static Fixture f;

        fixture_open(&f);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        between_sqlite_and_the_disk(false);
        fixture_close(*state);
        return 0;
}

static void reopen(Fixture *f) {
        f->store = store_close(f->store);
        assert_int_equal(store_open(f->dir, &f->store), 0);
}

/* What another process gets. */
static int in_another_process(int (*fn)(const Fixture *f), const Fixture *f) {
        pid_t pid = fork();
        int status = 0;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(fn(f));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* The child inherits no lock, but it does inherit SQLite's memory of one: a program of its own is what counts. */
static int stranger_reads(const Fixture *f) {
        char path[128];

        snprintf(path, sizeof(path), "%s/scitrace.db", f->dir);
        execlp("sqlite3", "sqlite3", "-readonly", path, "SELECT count(*) FROM event", (char *) NULL);
        return 127;
}

static int stranger_writes(const Fixture *f) {
        char path[128];

        snprintf(path, sizeof(path), "%s/scitrace.db", f->dir);
        execlp("sqlite3", "sqlite3", path, "DELETE FROM event", (char *) NULL);
        return 127;
}

static void assert_strangers_are_locked_out(const Fixture *f) {
        int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(STDERR_FILENO), reads, writes;

        dup2(fd, STDERR_FILENO);
        reads = in_another_process(stranger_reads, f);
        writes = in_another_process(stranger_writes, f);
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(fd);
        assert_int_equal(reads, 5);     /* SQLITE_BUSY: database is locked */
        assert_int_equal(writes, 5);
}

static bool has_sqlite3(void) {
        return system("command -v sqlite3 >/dev/null") == 0;
}

static void no_other_program_can_open_it(void **state) {
        Fixture *f = *state;
        CLEANUP(closep) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        sqlite3 *reader = NULL;

        if (!has_sqlite3()) {
                print_message("# the sqlite3 program is not installed\n");
                skip();
        }
        assert_strangers_are_locked_out(f);
        assert_int_equal(sqlite3_open_v2(store_path(f->store), &reader, SQLITE_OPEN_READONLY, "unix-excl"),
                         SQLITE_OK);
        assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM event", NULL, NULL, NULL), SQLITE_OK);
        assert_strangers_are_locked_out(f);
        begin(f);
        make(f, f->root, "a", TYPE_FILE, 0);
        assert_strangers_are_locked_out(f);
        commit(f);
        sqlite3_close(reader);
        assert_strangers_are_locked_out(f);
        assert_int_equal(store_backup(f->store, fd, NULL, NULL), 0);
        assert_strangers_are_locked_out(f);
        /* the writer is opened anew after a fault, while readers stay */
        assert_int_equal(sqlite3_open_v2(store_path(f->store), &reader, SQLITE_OPEN_READONLY, "unix-excl"), SQLITE_OK);
        assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM event", NULL, NULL, NULL), SQLITE_OK);
        reopen(f);
        assert_strangers_are_locked_out(f);
        begin(f);
        make(f, f->root, "b", TYPE_FILE, 0);
        commit(f);
        assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM event", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(reader);
        assert_strangers_are_locked_out(f);
}

/* Opens the store as another daemon would; the exit code is the outcome. */
static int open_again(const char *dir) {
        Store *s = NULL;
        int r = store_open(dir, &s);

        store_close(s);
        return r < 0 ? 100 : r;
}

static void a_second_daemon_is_told_that_it_is_locked(void **state) {
        Fixture f;
        int ready[2], done[2], status;
        char byte = 0;
        pid_t pid;

        (void) state;
        fixture_dir(&f);
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(done), 0);
        pid = fork();
        if (pid == 0) {                 /* the first daemon; nothing of SQLite was used before the fork */
                Store *s = NULL;

                if (store_open(f.dir, &s) != 0 || write(ready[1], "x", 1) != 1 ||
                    read(done[0], &byte, 1) != 1)
                        _exit(1);
                store_close(s);
                _exit(0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(open_again(f.dir), STORE_E_LOCKED);
        assert_int_equal(write(done[1], "x", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(open_again(f.dir), 0);
        for (int i = 0; i < 2; i++) {
                close(ready[i]);
                close(done[i]);
        }
        fixture_remove(&f);
}

/* Durability. */

static int64_t quick_number(const char *dir, const char *text) {
        sqlite3 *db = NULL;
        sqlite3_stmt *stmt = NULL;
        char path[128];
        int64_t n = -1;

        snprintf(path, sizeof(path), "%s/scitrace.db", dir);
        assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, "unix-excl"), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
        if (sqlite3_step(stmt) == SQLITE_ROW)
                n = sqlite3_column_int64(stmt, 0);
        sqlite3_finalize(stmt);
        sqlite3_close(db);
        return n;
}

/* Appends and commits for ever, and says each seq only after its commit. */
static void write_for_ever(Fixture *f, int fd, unsigned per_commit) {
        assert_int_equal(store_open(f->dir, &f->store), 0);
        f->dataset = 1;
        f->root = 1;
        f->inode = 1000000 + (uint64_t) store_last_seq(f->store);
        for (;;) {
                int64_t seq;
                char name[32];

                begin(f);
                for (unsigned i = 0; i < per_commit; i++) {
                        snprintf(name, sizeof(name), "%lld", (long long) store_next_node(f->store));
                        make(f, f->root, name, TYPE_FILE, 1);
                }
                commit(f);
                seq = store_last_seq(f->store);
                if (write(fd, &seq, sizeof(seq)) != sizeof(seq))
                        _exit(1);
        }
}

static void what_was_acknowledged_survives_kill(void **state) {
        Fixture f;
        int64_t acked = 0;

        (void) state;
        fixture_open(&f);
        f.store = store_close(f.store);
        srand(4711);
        for (int round = 0; round < 15; round++) {
                int fds[2], acks = 1 + rand() % 12;
                pid_t pid;

                assert_int_equal(pipe(fds), 0);
                pid = fork();
                if (pid == 0) {
                        close(fds[0]);
                        write_for_ever(&f, fds[1], 1 + (unsigned) round * 5);
                }
                close(fds[1]);
                for (int i = 0; i < acks; i++)
                        assert_int_equal(read(fds[0], &acked, sizeof(acked)), sizeof(acked));
                kill(pid, SIGKILL);
                while (read(fds[0], &acked, sizeof(acked)) == sizeof(acked))
                        ;               /* said before it died */
                close(fds[0]);
                waitpid(pid, NULL, 0);
                assert_int_equal(store_open(f.dir, &f.store), 0);
                assert_true(store_last_seq(f.store) >= acked);
                assert_int_equal(quick_number(f.dir, "SELECT count(*) FROM event"), store_last_seq(f.store));
                assert_int_equal(quick_number(f.dir, "SELECT files FROM counter"),
                                 quick_number(f.dir, "SELECT count(*) FROM link WHERE until = 0"));
                f.store = store_close(f.store);
        }
        fixture_remove(&f);
}

static void make_some(Fixture *f, const char *prefix) {
        char name[32];

        for (int i = 0; i < 50; i++) {
                snprintf(name, sizeof(name), "%s%d", prefix, i);
                make(f, f->root, name, TYPE_FILE, 1);
        }
}

static void a_full_disk_keeps_nothing_of_the_transaction_and_all_before_it(void **state) {
        Fixture *f = *state;
        int64_t before;
        int refused = 0;
        StoreLink l;

        between_sqlite_and_the_disk(true);
        for (int n = 0;; n++) {
                char name[16];
                int r;

                snprintf(name, sizeof(name), "kept%d.", n);
                begin(f);
                make_some(f, name);
                commit(f);
                before = store_last_seq(f->store);
                snprintf(name, sizeof(name), "lost%d.", n);
                begin(f);
                make_some(f, name);
                disk.after = n;
                disk.error = n % 2 ? ENOSPC : EDQUOT;
                r = store_commit(f->store);
                disk.after = -1;
                if (r == 0)
                        break;          /* as many writes as there are */
                refused++;
                assert_int_equal(r, STORE_E_FULL);
                assert_int_equal(store_last_seq(f->store), before);
                assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("lost0.0"), &l), STORE_E_NONE);
        }
        between_sqlite_and_the_disk(false);
        assert_true(refused >= 2);
        reopen(f);
        assert_int_equal(store_last_seq(f->store), before + 50);
        assert_int_equal(quick_number(f->dir, "SELECT count(*) FROM event"), before + 50);
}

static void half_a_transaction_is_never_committed(void **state) {
        Fixture *f = *state;
        int64_t before = store_last_seq(f->store), seq = 0;
        int r = 0;

        between_sqlite_and_the_disk(true);
        assert_int_equal(sql_exec(f->store->sql.db, "PRAGMA cache_size = 8"), 0);       /* spills soon */
        begin(f);
        make_some(f, "a");
        disk.after = 1;
        disk.error = ENOSPC;
        while (r == 0) {
                char name[32];
                Event e = { .kind = KIND_CREATE,
                            .origin = ORIGIN_LIVE,
                            .dataset = f->dataset,
                            .parent = f->root,
                            .node = store_next_node(f->store),
                            .introduces = true,
                            .has_state = true,
                            .type = TYPE_FILE };

                snprintf(name, sizeof(name), "%lld", (long long) e.node);
                e.name = BYTES_STR(name);
                r = store_append(f->store, &e, &seq);
                assert_true(seq < before + 100000);
        }
        between_sqlite_and_the_disk(false);     /* there is space again, but not for a half */
        assert_int_equal(r, STORE_E_FULL);
        assert_int_equal(store_append(f->store, &(Event){ .kind = KIND_PRUNE, .origin = ORIGIN_LIVE }, &seq),
                         STORE_E_FULL);
        assert_int_equal(store_commit(f->store), STORE_E_FULL);
        assert_int_equal(store_last_seq(f->store), before);
        begin(f);
        make_some(f, "b");
        commit(f);
}

static void a_disk_that_fails_is_not_a_full_one(void **state) {
        Fixture *f = *state;
        int64_t before = store_last_seq(f->store);

        between_sqlite_and_the_disk(true);
        begin(f);
        make_some(f, "a");
        disk.after = 0;
        disk.error = EIO;
        assert_int_equal(store_commit(f->store), STORE_E_FAILED);
        between_sqlite_and_the_disk(false);
        assert_int_equal(store_last_seq(f->store), before);
        begin(f);
        make_some(f, "b");
        commit(f);
}

static void a_database_that_was_removed_acknowledges_nothing(void **state) {
        Fixture *f = *state;

        begin(f);
        make(f, f->root, "a", TYPE_FILE, 1);
        assert_int_equal(unlink(store_path(f->store)), 0);
        assert_int_equal(store_commit(f->store), STORE_E_FAILED);
}

static void what_was_acknowledged_and_is_not_there_is_told(void **state) {
        Fixture *f = *state;
        int64_t last;

        begin(f);
        make_some(f, "a");
        commit(f);
        last = store_last_seq(f->store);
        assert_int_equal(store_reopen(f->store), 0);
        assert_int_equal(store_lost(f->store), 0);
        f->store->acked.leaf.bytes[0] ^= 1;
        assert_int_equal(store_reopen(f->store), 0);
        assert_int_equal(store_lost(f->store), last);
        f->store->acked.size = last + 7;
        assert_int_equal(store_reopen(f->store), 0);
        assert_int_equal(store_lost(f->store), last + 7);
        assert_int_equal(store_reopen(f->store), 0);    /* it was told */
        assert_int_equal(store_lost(f->store), 0);
}

/* Backup. */

typedef struct Reader {
        char path[128];
        atomic_bool stop, broken;
        atomic_int rounds;
} Reader;

static void *read_all_the_time(void *userdata) {
        Reader *r = userdata;
        sqlite3 *db = NULL;

        if (sqlite3_open_v2(r->path, &db, SQLITE_OPEN_READONLY, "unix-excl") != SQLITE_OK)
                atomic_store(&r->broken, true);
        while (!atomic_load(&r->stop) && !atomic_load(&r->broken)) {
                if (sqlite3_exec(db, "SELECT sum(length(name)) FROM event", NULL, NULL, NULL) != SQLITE_OK)
                        atomic_store(&r->broken, true);
                atomic_fetch_add(&r->rounds, 1);
        }
        sqlite3_close(db);
        return NULL;
}

static void check_backup(Fixture *f, int round) {
        Fixture copy;
        char path[128];
        uint8_t versions[2];
        int64_t bytes, seq;
        struct stat st;
        int fd;

        fixture_dir(&copy);
        snprintf(path, sizeof(path), "%s/scitrace.db", copy.dir);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, 1 << 26), 0);    /* what was there before is gone afterwards */
        assert_int_equal(store_backup(f->store, fd, &bytes, &seq), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(pread(fd, versions, 2, 18), 2);
        close(fd);
        assert_int_equal(versions[0], 1);       /* a file that needs no -wal */
        assert_int_equal(versions[1], 1);
        assert_int_equal(st.st_size, bytes);
        assert_int_equal(seq, store_last_seq(f->store));
        assert_int_equal(quick_number(copy.dir, "SELECT count(*) FROM pragma_integrity_check WHERE"
                                                " integrity_check = 'ok'"), 1);
        assert_int_equal(store_open(copy.dir, &copy.store), 0);
        assert_int_equal(store_last_seq(copy.store), seq);
        assert_int_equal(quick_number(copy.dir, "SELECT files FROM counter"), 50 * (round + 1));
        fixture_close(&copy);
}

static void a_backup_beside_a_reader_is_a_whole_store(void **state) {
        Fixture *f = *state;
        Reader reader = { .rounds = 0 };
        pthread_t thread;

        snprintf(reader.path, sizeof(reader.path), "%s", store_path(f->store));
        assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &reader), 0);
        for (int i = 0; i < 4; i++) {
                char name[16];

                snprintf(name, sizeof(name), "%d.", i);
                begin(f);
                make_some(f, name);
                commit(f);
                check_backup(f, i);
        }
        while (atomic_load(&reader.rounds) == 0 && !atomic_load(&reader.broken))
                ;
        atomic_store(&reader.stop, true);
        pthread_join(thread, NULL);
        assert_false(reader.broken);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_second_daemon_is_told_that_it_is_locked),
                WITH_STORE(no_other_program_can_open_it),
                cmocka_unit_test(what_was_acknowledged_survives_kill),
                WITH_STORE(a_full_disk_keeps_nothing_of_the_transaction_and_all_before_it),
                WITH_STORE(half_a_transaction_is_never_committed),
                WITH_STORE(a_disk_that_fails_is_not_a_full_one),
                WITH_STORE(a_database_that_was_removed_acknowledges_nothing),
                WITH_STORE(what_was_acknowledged_and_is_not_there_is_told),
                WITH_STORE(a_backup_beside_a_reader_is_a_whole_store),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
