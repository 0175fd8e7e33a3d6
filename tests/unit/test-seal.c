/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log as a tree within the store: tiles, checkpoints, keys. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/fsuid.h>

#include "daemon/store/private.h"
#include "tests/lib/merkle.h"
#include "tests/unit/store-fixture.h"

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
static const int64_t day = 24 * 3600 * (int64_t) USEC_PER_SEC;

static void path_in(const Fixture *f, const char *name, char ret[static 128]) {
        snprintf(ret, 128, "%s/%s", f->dir, name);
}

static bool there(const Fixture *f, const char *name) {
        char path[128];

        path_in(f, name, path);
        return access(path, F_OK) == 0;
}

static int64_t number(Fixture *f, const char *sql) {
        int64_t n;

        assert_int_equal(sql_number(f->store->sql.db, sql, &n), 0);
        return n;
}

static Checkpoint seal(Fixture *f) {
        StoreSeal seal;
        Checkpoint c;
        Bytes text;

        begin(f);
        assert_int_equal(store_seal(f->store, &seal), 0);
        commit(f);
        assert_int_equal(note_text(BYTES_STR(seal.note), &text), 0);
        assert_int_equal(checkpoint_parse(text, &c), 0);
        assert_int_equal(c.size, seal.size);
        assert_int_equal(c.number, seal.number);
        assert_string_equal(c.origin, seal.origin);
        store_seal_done(&seal);
        return c;
}

static Hash root_of_rows(Fixture *f, int64_t size) {
        Hash *leaves = calloc((size_t) size, sizeof(*leaves)), root;
        Reader *reader = NULL;
        uint8_t *bytes = NULL;
        size_t max = 0, n;
        Event e;

        assert_int_equal(reader_new(f->store->sql.db, &reader), 0);
        for (int64_t i = 0; i < size; i++) {
                assert_int_equal(reader_next(reader, &e), READER_EVENT);
                assert_int_equal(e.seq, i + 1);
                assert_int_equal(event_put(&e, 1, &bytes, &max, &n), 0);
                hash_leaf(bytes, n, &leaves[i]);
        }
        root = naive_root(leaves, (size_t) size);
        reader_free(reader);
        free(bytes);
        free(leaves);
        return root;
}

static void assert_root(Fixture *f, const Checkpoint *c) {
        Hash root = root_of_rows(f, c->size);

        assert_memory_equal(&root, &c->root, sizeof(root));
}

static void make_many(Fixture *f, int n) {
        char name[32];

        begin(f);
        for (int i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "f%lld", (long long) store_last_seq(f->store));
                make(f, f->root, name, i % 7 == 0 ? TYPE_SYMLINK : TYPE_FILE, i);
        }
        commit(f);
}

static void a_checkpoint_has_the_root_of_the_rows(void **state) {
        Fixture *f = *state;
        Checkpoint c = seal(f);

        assert_int_equal(c.size, 2);            /* dataset-add, and the key */
        assert_root(f, &c);
        make_many(f, 700);
        c = seal(f);
        assert_int_equal(c.size, 702);
        assert_int_equal(c.number, 2);
        assert_root(f, &c);
        assert_int_equal(number(f, "SELECT count(*) FROM tile WHERE level = 0 AND length(data) = 8192"), 2);
        assert_int_equal(number(f, "SELECT length(data) FROM tile WHERE level = 0 AND idx = 2"), (702 - 512) * 32);
        make_many(f, 767 - 702);
        seal(f);
        assert_int_equal(number(f, "SELECT length(data) FROM tile WHERE level = 0 AND idx = 2"), 255 * 32);
        assert_int_equal(number(f, "SELECT count(*) FROM tile_tail"), 3);
        fixture_reopen(f);
        make_many(f, 1);
        c = seal(f);
        assert_root(f, &c);
        assert_int_equal(number(f, "SELECT count(*) FROM tile WHERE level = 0 AND length(data) = 8192"), 3);
        /* Each in a page of its own, of which next to nothing is left. */
        assert_int_equal(number(f, "SELECT max(length(data)) FROM tile_head"), 254 * 32);
}

static void a_tree_goes_on_after_a_restart_and_after_a_rollback(void **state) {
        Fixture *f = *state;
        Checkpoint c;

        make_many(f, 300);
        fixture_reopen(f);
        make_many(f, 300);
        begin(f);
        make(f, f->root, "lost", TYPE_FILE, 1);
        store_rollback(f->store);
        make_many(f, 1);
        c = seal(f);
        assert_int_equal(c.size, 603);
        assert_root(f, &c);
}

static void a_tile_that_is_gone_is_made_of_its_rows_at_a_start(void **state) {
        Fixture *f = *state;
        Checkpoint c;

        make_many(f, 600);
        sql_exec(f->store->sql.db, "DELETE FROM tile_head WHERE id = 1; DELETE FROM tile_tail WHERE id = 0");
        fixture_reopen(f);
        c = seal(f);
        assert_root(f, &c);
}

static void it_is_due_when_events_came_or_a_day_has_gone(void **state) {
        Fixture *f = *state;

        assert_true(store_seal_due(f->store, f->now));
        seal(f);
        assert_false(store_seal_due(f->store, f->now));
        assert_false(store_seal_due(f->store, f->now + day - 2));
        assert_true(store_seal_due(f->store, f->now + day));
        make_many(f, 1);
        assert_true(store_seal_due(f->store, f->now));
}

static NoteKey key_of_epoch(Fixture *f, int64_t epoch) {
        CLEANUP(freep) char *sql = NULL;
        sqlite3_stmt *stmt = NULL;
        Takeover t;
        Bytes text;

        assert_true(asprintf(&sql, "SELECT detail FROM event WHERE kind = 21 ORDER BY seq LIMIT 1 OFFSET %d",
                             (int) epoch - 1) > 0);
        assert_int_equal(sqlite3_prepare_v2(f->store->sql.db, sql, -1, &stmt, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(note_text(sql_column_bytes(stmt, 0), &text), 0);
        assert_int_equal(takeover_parse(text, &t), 0);
        assert_int_equal(t.epoch, epoch);
        sqlite3_finalize(stmt);
        return t.key;
}

static int signed_by(Fixture *f, int64_t checkpoint, const NoteKey *key) {
        CLEANUP(freep) char *sql = NULL;
        sqlite3_stmt *stmt = NULL;
        int r;

        assert_true(asprintf(&sql, "SELECT note FROM checkpoint WHERE number = %d", (int) checkpoint) > 0);
        assert_int_equal(sqlite3_prepare_v2(f->store->sql.db, sql, -1, &stmt, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        r = note_check(sql_column_bytes(stmt, 0), key);
        sqlite3_finalize(stmt);
        return r;
}

static void read_key_file(Fixture *f, char ret[static 512]) {
        char path[128];
        FILE *file;

        path_in(f, "seal.key", path);
        file = fopen(path, "re");
        assert_non_null(file);
        memset(ret, 0, 512);
        assert_true(fread(ret, 1, 511, file) > 0);
        fclose(file);
}

static void each_week_another_key_takes_over_and_the_old_one_is_gone(void **state) {
        Fixture *f = *state;
        char before[512], after[512];
        NoteKey first, second;
        Checkpoint c;

        seal(f);
        read_key_file(f, before);
        f->now += 6 * day;
        make_many(f, 1);
        seal(f);
        assert_int_equal(number(f, "SELECT count(*) FROM event WHERE kind = 21"), 1);
        f->now += day;
        c = seal(f);
        assert_int_equal(number(f, "SELECT max(seq) FROM event WHERE kind = 21"), c.size);
        first = key_of_epoch(f, 1);
        second = key_of_epoch(f, 2);
        assert_int_equal(signed_by(f, 3, &first), 0);   /* the old key vouches for the event that names the new */
        read_key_file(f, after);
        assert_string_not_equal(before, after);
        assert_false(there(f, "seal.key.next"));
        make_many(f, 1);
        seal(f);
        assert_int_equal(signed_by(f, 4, &second), 0);
        assert_int_equal(signed_by(f, 4, &first), NOTE_E_UNSIGNED);
        fixture_reopen(f);
        seal(f);
        assert_int_equal(signed_by(f, 5, &second), 0);
}

/* At a time of the clock, so long after the boot. */
static void seal_at(Fixture *f, int64_t realtime, int64_t boottime, const uint8_t boot[static EVENT_ID_SIZE]) {
        StoreSeal seal;

        f->now = realtime;
        assert_int_equal(store_begin(f->store, realtime, boottime, boot), 0);
        make(f, f->root, "", TYPE_FILE, 1);     /* the same name each time: another file took it */
        assert_true(store_seal_due(f->store, realtime));
        assert_int_equal(store_seal(f->store, &seal), 0);
        assert_non_null(seal.note);
        commit(f);
        store_seal_done(&seal);
}

static void a_clock_that_is_set_makes_no_key_older(void **state) {
        static const char keys[] = "SELECT count(*) FROM event WHERE kind = 21";
        const uint8_t other_boot[EVENT_ID_SIZE] = { 7 };
        const int64_t hour = day / 24, start = ((Fixture *) *state)->now;
        Fixture *f = *state;

        for (int hours = 0; hours < 6; hours++) {
                static const int64_t set_days[] = { 0, 3650, 3650, -30, 0, -20000 };

                seal_at(f, start + set_days[hours] * day, hours * hour, fixture_boot);
                assert_int_equal(number(f, keys), 1);
        }
        seal_at(f, start - hour, 7 * day, fixture_boot);        /* a week has passed, whatever the clock says */
        assert_int_equal(number(f, keys), 2);
        fixture_reopen(f);
        seal_at(f, start + 8 * day, 8 * day, fixture_boot);
        assert_int_equal(number(f, keys), 2);
        for (int hours = 0; hours < 4; hours++) /* booted in 1970: one key, and seals go on */
                seal_at(f, hours * hour, hours * hour, other_boot);
        assert_int_equal(number(f, keys), 3);
        assert_int_equal(number(f, "SELECT count(*) FROM checkpoint"), 12);
        f->now = start;
        assert_true(store_seal_due(f->store, start));
}

static void an_idle_store_keeps_its_key(void **state) {
        Fixture *f = *state;

        seal(f);
        for (int i = 0; i < 20; i++) {
                f->now += day;
                seal(f);
        }
        assert_int_equal(number(f, "SELECT count(*) FROM event WHERE kind = 21"), 1);
}

static void a_takeover_that_was_rolled_back_leaves_the_old_key(void **state) {
        Fixture *f = *state;
        StoreSeal s;
        NoteKey first;

        seal(f);
        make_many(f, 1);
        f->now += 8 * day;
        begin(f);
        assert_int_equal(store_seal(f->store, &s), 0);
        store_seal_done(&s);
        assert_true(there(f, "seal.key.next"));
        store_rollback(f->store);
        fixture_reopen(f);
        f->now -= 8 * day;
        make_many(f, 1);
        seal(f);
        first = key_of_epoch(f, 1);
        assert_int_equal(signed_by(f, 2, &first), 0);
        assert_false(there(f, "seal.key.next"));
}

static void copy_file(const Fixture *f, const char *from, const char *to) {
        char a[128], b[128], data[1024];
        FILE *in, *out;
        size_t n;

        path_in(f, from, a);
        path_in(f, to, b);
        in = fopen(a, "re");
        out = fopen(b, "we");
        assert_true(in && out);
        while ((n = fread(data, 1, sizeof(data), in)) > 0)
                assert_int_equal(fwrite(data, 1, n, out), n);
        fclose(in);
        fclose(out);
}

/* Killed between the commit and the renaming: the log says which of the two it is. */
static void a_takeover_that_was_committed_is_ended_by_the_next_start(void **state) {
        Fixture *f = *state;
        NoteKey second;

        seal(f);
        make_many(f, 1);
        copy_file(f, "seal.key", "old");
        f->now += 8 * day;
        seal(f);
        copy_file(f, "seal.key", "seal.key.next");
        copy_file(f, "old", "seal.key");
        fixture_reopen(f);
        make_many(f, 1);
        seal(f);
        second = key_of_epoch(f, 2);
        assert_int_equal(signed_by(f, 3, &second), 0);
        assert_false(there(f, "seal.key.next"));
}

static void set_readable(const Fixture *f, const char *name, bool readable) {
        enum { NOBODY = 65534 };
        bool root = geteuid() == 0;
        char path[128];

        path_in(f, name, path);
        assert_int_equal(chmod(path, readable ? 0600 : 0200), 0);
        if (root)                       /* who may read all the same */
                assert_true(chown(f->dir, readable ? 0 : NOBODY, -1u) == 0 &&
                            chown(path, readable ? 0 : NOBODY, -1u) == 0);
}

/* The same; and that start has no memory, no descriptor, or a disk that fails once. */
static void a_takeover_whose_key_cannot_be_read_waits_for_it(void **state) {
        Fixture *f = *state;
        NoteKey second;
        StoreSeal s;
        int r;

        seal(f);
        make_many(f, 1);
        copy_file(f, "seal.key", "old");
        f->now += 8 * day;
        seal(f);
        copy_file(f, "seal.key", "seal.key.next");
        copy_file(f, "old", "seal.key");
        fixture_reopen(f);
        make_many(f, 1);
        set_readable(f, "seal.key.next", false);
        begin(f);
        if (geteuid() == 0)
                setfsuid(65534);
        r = store_seal(f->store, &s);
        setfsuid(geteuid());
        set_readable(f, "seal.key.next", true);
        store_seal_done(&s);
        commit(f);
        assert_int_equal(r, -EACCES);
        make_many(f, 1);
        seal(f);
        second = key_of_epoch(f, 2);
        assert_int_equal(signed_by(f, 3, &second), 0);
}

static void a_lost_key_is_said_and_another_begins(void **state) {
        Fixture *f = *state;
        NoteKey first, second;
        char path[128];
        StoreSeal s;

        seal(f);
        path_in(f, "seal.key", path);
        assert_int_equal(unlink(path), 0);
        fixture_reopen(f);
        begin(f);
        assert_int_equal(store_seal(f->store, &s), 0);
        commit(f);
        assert_true(s.key_lost);
        store_seal_done(&s);
        first = key_of_epoch(f, 1);
        second = key_of_epoch(f, 2);
        assert_string_equal(first.name, second.name);
        assert_false(note_key_equal(&first, &second));
        assert_int_equal(signed_by(f, 2, &second), 0);
}

static void what_was_changed_beneath_it_is_not_sealed(void **state) {
        Fixture *f = *state;
        StoreSeal s;

        seal(f);
        make_many(f, 10);
        sql_exec(f->store->sql.db, "UPDATE event SET name = x'78' WHERE seq = 7");
        begin(f);
        assert_int_equal(store_seal(f->store, &s), -EBADMSG);
        commit(f);
        assert_int_equal(number(f, "SELECT count(*) FROM checkpoint"), 1);
}

static void assert_seals(Fixture *f, int r) {
        StoreSeal s;

        begin(f);
        assert_int_equal(store_seal(f->store, &s), r);
        commit(f);
        store_seal_done(&s);
}

/* The leaf of a row that cannot be read is known as long as a checkpoint covers it. */
static void a_damaged_row_under_a_seal_holds_up_the_seals_of_its_tile(void **state) {
        Fixture *f = *state;
        Checkpoint c, then;

        make_many(f, 10);
        then = seal(f);
        make_many(f, 5);
        assert_int_equal(sql_exec(f->store->sql.db, "PRAGMA foreign_keys = OFF;"
                                                    "UPDATE event SET attr = 99 WHERE seq = 7"), 0);
        fixture_reopen(f);
        assert_seals(f, -EBADMSG);
        make_many(f, 300);
        c = seal(f);
        assert_int_equal(c.number, then.number + 1);
        fixture_reopen(f);
        make_many(f, 1);
        seal(f);
}

/* That of another is not: what is recorded from then on is not sealed, however much that is. */
static void a_damaged_row_without_a_seal_is_the_end_of_them(void **state) {
        Fixture *f = *state;
        int64_t before;

        seal(f);
        make_many(f, 10);
        assert_int_equal(sql_exec(f->store->sql.db, "PRAGMA foreign_keys = OFF;"
                                                    "UPDATE event SET attr = 99 WHERE seq = 7"), 0);
        for (int round = 0; round < 3; round++) {
                fixture_reopen(f);
                assert_seals(f, -EBADMSG);
                before = store_last_seq(f->store);
                make_many(f, 300);
                assert_int_equal(store_last_seq(f->store), before + 300);
        }
        assert_int_equal(number(f, "SELECT count(*) FROM checkpoint"), 1);
}

static void the_key_is_nobody_elses(void **state) {
        Fixture *f = *state;
        struct stat st;
        char path[128];

        seal(f);
        path_in(f, "seal.key", path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_STORE(a_checkpoint_has_the_root_of_the_rows),
                WITH_STORE(a_tree_goes_on_after_a_restart_and_after_a_rollback),
                WITH_STORE(a_tile_that_is_gone_is_made_of_its_rows_at_a_start),
                WITH_STORE(it_is_due_when_events_came_or_a_day_has_gone),
                WITH_STORE(each_week_another_key_takes_over_and_the_old_one_is_gone),
                WITH_STORE(a_clock_that_is_set_makes_no_key_older),
                WITH_STORE(an_idle_store_keeps_its_key),
                WITH_STORE(a_takeover_that_was_rolled_back_leaves_the_old_key),
                WITH_STORE(a_takeover_that_was_committed_is_ended_by_the_next_start),
                WITH_STORE(a_takeover_whose_key_cannot_be_read_waits_for_it),
                WITH_STORE(a_lost_key_is_said_and_another_begins),
                WITH_STORE(what_was_changed_beneath_it_is_not_sealed),
                WITH_STORE(a_damaged_row_under_a_seal_holds_up_the_seals_of_its_tile),
                WITH_STORE(a_damaged_row_without_a_seal_is_the_end_of_them),
                WITH_STORE(the_key_is_nobody_elses),
        };

        return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
