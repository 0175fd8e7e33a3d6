/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "tests/unit/query-fixture.h"

static void history_goes_back_through_renames(void **state) {
        int64_t d, a;

        (void) state;
        begin(&f);
        d = make(&f, f.root, "d", TYPE_DIRECTORY, 0);
        a = make(&f, d, "a", TYPE_FILE, 1);
        modify(a, d, "a", 2);
        rename_node(&f, d, f.root, "d", f.root, "e");
        rename_node(&f, a, d, "a", f.root, "b");
        modify(a, f.root, "b", 3);
        commit(&f);
        expect_history("/data/one/b", "modify b\nrename b <- e/a\nmodify d/a\ncreate d/a\n");
        expect_history("/data/one/e/a", "rename b <- e/a\nmodify d/a\ncreate d/a\n");
        expect_history("/data/one/d/a", "rename e <- d\nmodify d/a\ncreate d/a\n");
}

static void history_goes_through_atomic_saves(void **state) {
        int64_t a, first, second, third;

        (void) state;
        begin(&f);
        make(&f, f.root, "f", TYPE_FILE, 1);
        first = store_last_seq(f.store);
        save(f.root, "f", first, KIND_MODIFY);
        second = store_last_seq(f.store);
        a = save(f.root, "f", second, KIND_MODIFY);
        modify(a, f.root, "f", 9);
        third = store_last_seq(f.store);
        unlink_name(&f, a, f.root, "f");
        save(f.root, "f", third + 1, KIND_CREATE);
        commit(&f);
        expect_history("/data/one/f", "create f replaces 6\nunlink f\nmodify f\nmodify f replaces 3\n"
                                      "modify f replaces 2\ncreate f\n");
}

static void events_of_a_file_and_of_a_directory(void **state) {
        int64_t d, a;

        (void) state;
        begin(&f);
        d = make(&f, f.root, "d", TYPE_DIRECTORY, 0);
        a = make(&f, d, "a", TYPE_FILE, 1);
        make(&f, f.root, "dd", TYPE_FILE, 1);
        modify(a, d, "a", 2);
        append(&f, (Event) { .kind = KIND_TRANSIENT, .count = 2, .parent = d, .name = BYTES_STR("t") });
        append(&f, (Event) { .kind = KIND_TRANSIENT, .count = 2, .parent = d, .name = BYTES_STR("a") });
        rename_node(&f, a, d, "a", f.root, "b");
        modify(a, f.root, "b", 3);
        make(&f, d, "a", TYPE_FILE, 1);
        commit(&f);
        expect_events((QueryEvents) { 0 }, "/data/one/d/a",
                      "create d/a\nmodify d/a\ntransient d/a\nrename b <- d/a\ncreate d/a\n");
        expect_events((QueryEvents) { .reverse = true }, "/data/one/d/a",
                      "create d/a\nrename b <- d/a\ntransient d/a\nmodify d/a\ncreate d/a\n");
        expect_events((QueryEvents) { .reverse = true, .limit = 2 }, "/data/one/d/",
                      "create d/a\nrename b <- d/a\n");
        expect_events((QueryEvents) { .after = 1, .before = 8 }, "/data/one/d",
                      "create d\ncreate d/a\nmodify d/a\ntransient d/t\ntransient d/a\n");
        expect_events((QueryEvents) { .kinds = 1 << KIND_MODIFY }, NULL, "modify d/a\nmodify b\n");
        expect_events((QueryEvents) { .origins = 1 << ORIGIN_SCAN }, NULL, "");
        expect_events((QueryEvents) { .dataset = "one", .limit = 1 }, "/data/one", "dataset-add\n");
}

static void history_goes_through_the_backup_dance_of_editors(void **state) {
        int64_t old, moved;

        (void) state;
        begin(&f);
        old = make(&f, f.root, "f", TYPE_FILE, 1);
        modify(old, f.root, "f", 2);
        moved = rename_node(&f, old, f.root, "f", f.root, "f~");
        save(f.root, "f", moved, KIND_CREATE);
        unlink_name(&f, old, f.root, "f~");
        commit(&f);
        expect_history("/data/one/f", "create f replaces 4\nrename f~ <- f\nmodify f\ncreate f\n");
        expect_history("/data/one/f~", "unlink f~\nrename f~ <- f\nmodify f\ncreate f\n");
}

static void history_ends_where_another_file_was_overwritten(void **state) {
        int64_t a, b, victim;

        (void) state;
        begin(&f);
        b = make(&f, f.root, "b", TYPE_FILE, 1);
        modify(b, f.root, "b", 2);
        victim = store_last_seq(f.store);
        a = make(&f, f.root, "a", TYPE_FILE, 1);
        append(&f, (Event){ .kind = KIND_LINK,
                            .count = 1,
                            .node = b,
                            .parent = f.root,
                            .name = BYTES_STR("keep") });
        append(&f, (Event){ .kind = KIND_RENAME,
                            .count = 1,
                            .node = a,
                            .parent = f.root,
                            .name = BYTES_STR("b"),
                            .old_parent = f.root,
                            .old_name = BYTES_STR("a"),
                            .replaces = victim });
        commit(&f);
        expect_history("/data/one/b", "rename b <- a replaces 3\ncreate a\n");
        expect_history("/data/one/a", "rename b <- a replaces 3\ncreate a\n");
        expect_history("/data/one/keep", "link keep\nmodify b\ncreate b\n");
}

static void history_knows_an_exchange_from_both_sides(void **state) {
        int64_t a, b;

        (void) state;
        begin(&f);
        a = make(&f, f.root, "a", TYPE_FILE, 1);
        b = make(&f, f.root, "b", TYPE_FILE, 2);
        append(&f, (Event){ .kind = KIND_EXCHANGE,
                            .count = 1,
                            .node = a,
                            .parent = f.root,
                            .name = BYTES_STR("b"),
                            .old_parent = f.root,
                            .old_name = BYTES_STR("a"),
                            .replaces = 3 });
        modify(b, f.root, "a", 3);
        commit(&f);
        expect_history("/data/one/a", "modify a\nexchange b <- a replaces 3\ncreate b\n");
        expect_history("/data/one/b", "exchange b <- a replaces 3\ncreate a\n");
        expect_files(NULL, "a file 3\nb file 1\n");
}

static void history_of_what_went_with_its_directory(void **state) {
        int64_t d, a;
        Lines l = { 0 };

        (void) state;
        begin(&f);
        d = make(&f, f.root, "d", TYPE_DIRECTORY, 0);
        a = make(&f, d, "a", TYPE_FILE, 1);
        append(&f, (Event) { .kind = KIND_IDENTIFY, .node = a });
        unlink_name(&f, d, f.root, "d");
        make(&f, f.root, "d", TYPE_DIRECTORY, 0);
        commit(&f);
        expect_history("/data/one/d/a", "unlink d\nidentify d/a\ncreate d/a\n");
        expect_history("/data/one/d", "create d\n");
        expect_history("/data/one", "dataset-add\n");
        assert_int_equal(query_history(q, BYTES_STR("/data/one/d/b"), 0, event_line, &l), QUERY_E_NO_FILE);
        assert_int_equal(query_history(q, BYTES_STR("/data/on"), 0, event_line, &l), QUERY_E_NO_DATASET);
        assert_int_equal(query_history(q, BYTES_STR("d/a"), 0, event_line, &l), QUERY_E_NO_DATASET);
        assert_int_equal(query_show(q, BYTES_STR("/data/one/d/a"), 0, file_line, &l), QUERY_E_NO_FILE);
        assert_int_equal(l.rows, 0);
}

static void history_stops_at_its_limit(void **state) {
        Lines l = { .stop_after = 2 };
        int64_t a;

        (void) state;
        begin(&f);
        a = make(&f, f.root, "a", TYPE_FILE, 1);
        for (int i = 0; i < 10; i++)
                modify(a, f.root, "a", i);
        commit(&f);
        assert_int_equal(query_history(q, BYTES_STR("/data/one/a"), 0, event_line, &l), 0);
        assert_int_equal(l.rows, 2);
        l = (Lines) { 0 };
        assert_int_equal(query_history(q, BYTES_STR("/data/one/a"), 3, event_line, &l), 0);
        assert_int_equal(l.rows, 3);
}

static void times_bound_the_events(void **state) {
        int64_t second = (int64_t) USEC_PER_SEC, at[6];
        char name[] = "0";

        (void) state;
        for (int i = 0; i < 6; i++) {
                if (i == 4)
                        f.now -= 3600 * second;         /* the clock is set back by an hour */
                begin(&f);
                name[0] = (char) ('0' + i);
                make(&f, f.root, name, TYPE_FIFO, 0);
                commit(&f);
                at[i] = f.now;
        }
        expect_events((QueryEvents) { .since = at[1] - 1000, .until = at[2] }, NULL, "create 1\ncreate 2\n");
        expect_events((QueryEvents){ .since = at[1] - 999, .until = at[3] - 1000 }, NULL,
                      "create 2\ncreate 3\n");
        expect_events((QueryEvents) { .since = at[3] + 1 }, NULL, "");
        expect_events((QueryEvents) { .since = at[4] - 1000, .until = at[5] }, NULL, "create 4\ncreate 5\n");
        expect_events((QueryEvents) { .until = at[5], .reverse = true }, NULL, "create 5\ncreate 4\n");
        expect_events((QueryEvents) { .since = at[3] - 1000 }, "/data/one/3", "create 3\n");
        expect_events((QueryEvents) { .since = at[3] }, "/data/one/3", "");
}

static void an_event_may_be_stored_long_after_it_was_noticed(void **state) {
        int64_t second = (int64_t) USEC_PER_SEC, noticed, a;

        (void) state;
        begin(&f);
        a = make(&f, f.root, "a", TYPE_FILE, 0);
        commit(&f);
        noticed = f.now + second;
        f.now += 5 * 3600 * second;                     /* it took five hours to read */
        begin(&f);
        append(&f, (Event){ .kind = KIND_MODIFY,
                            .node = a,
                            .parent = f.root,
                            .name = BYTES_STR("a"),
                            .last = noticed });
        commit(&f);
        f.now += 100 * 24 * 3600 * second;
        begin(&f);
        make(&f, f.root, "b", TYPE_FILE, 0);
        commit(&f);
        expect_events((QueryEvents) { .since = noticed, .until = noticed }, NULL, "modify a\n");
        expect_events((QueryEvents){ .since = noticed, .until = noticed, .reverse = true }, NULL,
                      "modify a\n");
}

static void events_carry_the_commit_before_them(void **state) {
        static const char *const heads[] = { "aaaa000000000000000000000000000000000000",
                                             "bbbb000000000000000000000000000000000000" };

        (void) state;
        begin(&f);
        make(&f, f.root, "a", TYPE_FIFO, 0);
        append(&f, (Event) { .kind = KIND_COMMIT, .detail = BYTES_STR(heads[0]) });
        make(&f, f.root, "b", TYPE_FIFO, 0);
        append(&f, (Event) { .kind = KIND_COMMIT, .detail = BYTES_STR(heads[1]) });
        make(&f, f.root, "c", TYPE_FIFO, 0);
        commit(&f);
        expect_events((QueryEvents){ .after = 1 }, NULL,
                      "create a\ncommit\ncreate b @aaaa\ncommit @aaaa\ncreate c @bbbb\n");
        expect_events((QueryEvents) { .after = 1, .reverse = true }, NULL,
                      "create c @bbbb\ncommit @aaaa\ncreate b @aaaa\ncommit\ncreate a\n");
        begin(&f);
        make(&f, f.root, "d", TYPE_FIFO, 0);
        commit(&f);
        expect_events((QueryEvents) { .after = 6 }, NULL, "create d @bbbb\n");
}

static void a_name_that_is_free_again_belongs_to_the_new_dataset(void **state) {
        int64_t old = f.dataset, old_root = f.root;

        (void) state;
        begin(&f);
        make(&f, f.root, "old", TYPE_FIFO, 0);
        append(&f, (Event) { .kind = KIND_DATASET_REMOVE, .detail = BYTES("one\0/data/one", 13) });
        f.dataset = add_dataset(&f, "two", "/data", &f.root);
        make(&f, f.root, "new", TYPE_FIFO, 0);
        commit(&f);
        expect_files("/data", "new fifo\n");
        expect_events((QueryEvents) { .dataset = "75756964-2e6f-6e65-002e-2e2e2e2e2e2e" }, NULL,
                      "dataset-add\ncreate old\ndataset-remove\n");
        /* the outer one now lists the old root: what was said of the old dataset stays said */
        begin(&f);
        append(&f,
               (Event){ .kind = KIND_LINK, .node = old_root, .parent = f.root, .name = BYTES_STR("one") });
        commit(&f);
        expect_events((QueryEvents){ .dataset = "75756964-2e6f-6e65-002e-2e2e2e2e2e2e",
                                     .kinds = 1 << KIND_CREATE },
                      NULL, "create old\n");
        assert_true(old != f.dataset);
}

/* So many events of another dataset. */
static void pass_time(int64_t dataset, int64_t node, int64_t parent, int n) {
        begin(&f);
        for (int i = 0; i < n; i++)
                append(&f, (Event) { .dataset = dataset, .kind = KIND_MODIFY, .count = 1, .node = node,
                                     .parent = parent, .name = BYTES_STR("busy"), .has_state = true,
                                     .type = TYPE_FILE, .mode = 0644, .size = i, .mtime = f.now + i });
        commit(&f);
}

/* What skips the events of others must not skip what left the dataset for one of them. */
static void a_dataset_that_rests_has_its_few_events_far_apart(void **state) {
        int64_t two, root, busy, a;

        (void) state;
        begin(&f);
        two = add_dataset(&f, "two", "/data/two", &root);
        a = make(&f, f.root, "a", TYPE_FIFO, 0);
        f.dataset = two;
        busy = make(&f, root, "busy", TYPE_FILE, 1);
        commit(&f);
        pass_time(two, busy, root, 3 * STORE_SPAN);
        begin(&f);
        append(&f, (Event) { .kind = KIND_RENAME, .count = 1, .node = a, .parent = root, .name = BYTES_STR("b"),
                             .old_parent = 1, .old_name = BYTES_STR("a") });
        commit(&f);
        pass_time(two, busy, root, 3 * STORE_SPAN);
        expect_events((QueryEvents) { .dataset = "one" }, NULL, "dataset-add\ncreate a\nrename b <- a\n");
        expect_events((QueryEvents) { .dataset = "one", .reverse = true }, NULL,
                      "rename b <- a\ncreate a\ndataset-add\n");
        expect_events((QueryEvents) { .kinds = 1U << KIND_RENAME | 1U << KIND_DATASET_ADD, .reverse = true }, NULL,
                      "rename b <- a\ndataset-add\ndataset-add\n");
        expect_events((QueryEvents) { .dataset = "two", .kinds = 1U << KIND_CREATE }, NULL, "create busy\n");
        expect_events((QueryEvents) { .dataset = "one", .after = 2 + STORE_SPAN }, NULL, "rename b <- a\n");
        expect_events((QueryEvents) { .dataset = "one", .before = 2 + STORE_SPAN, .reverse = true }, NULL,
                      "create a\ndataset-add\n");
}

/* Of what was written in the day after, only the blocks that have what was noticed by then are read. */
static void what_came_by_a_time_is_found_without_reading_the_day_after(void **state) {
        int64_t second = (int64_t) USEC_PER_SEC, busy, until, late;

        (void) state;
        begin(&f);
        make(&f, f.root, "a", TYPE_FIFO, 0);
        busy = make(&f, f.root, "busy", TYPE_FILE, 1);
        commit(&f);
        until = f.now + second;
        f.now += 3600 * second;
        for (int i = 0; i < 10; i++)
                pass_time(f.dataset, busy, f.root, STORE_SPAN);
        begin(&f);
        late = append(&f, (Event) { .kind = KIND_ATTRIBUTE, .node = busy, .parent = f.root, .name = BYTES_STR("busy"),
                                    .has_state = true, .type = TYPE_FILE, .mode = 0600, .last = until });
        commit(&f);
        for (int i = 0; i < 10; i++)
                pass_time(f.dataset, busy, f.root, STORE_SPAN);
        kilosteps();
        expect_events((QueryEvents) { .dataset = "one", .until = until, .reverse = true }, NULL,
                      "attribute busy\ncreate busy\ncreate a\ndataset-add\n");
        expect_events((QueryEvents) { .dataset = "one", .until = until }, NULL,
                      "dataset-add\ncreate a\ncreate busy\nattribute busy\n");
        expect_events((QueryEvents) { .dataset = "one", .until = until, .after = 3, .before = late }, NULL, "");
        expect_events((QueryEvents) { .until = until, .reverse = true, .limit = 2 }, NULL,
                      "attribute busy\ncreate busy\n");
        assert_in_range(kilosteps(), 1, 300);
        expect_events((QueryEvents) { .until = until, .reverse = true }, "/data/one/busy",
                      "attribute busy\ncreate busy\n");
        expect_events((QueryEvents) { .until = until }, "/data/one/busy", "create busy\nattribute busy\n");
        assert_in_range(kilosteps(), 1, 400);
}

/* Renames within another dataset are none that left this one. */
static void renames_of_others_are_passed_over(void **state) {
        int64_t root, one = f.dataset, two, node;

        (void) state;
        begin(&f);
        two = add_dataset(&f, "two", "/data/two", &root);
        make(&f, f.root, "a", TYPE_FIFO, 0);
        f.dataset = two;
        node = make(&f, root, "0", TYPE_FIFO, 0);
        for (int i = 0; i < 900; i++) {
                char old[8], name[8];

                snprintf(old, sizeof(old), "%d", i);
                snprintf(name, sizeof(name), "%d", i + 1);
                rename_node(&f, node, root, old, root, name);
        }
        f.dataset = one;
        make(&f, f.root, "b", TYPE_FIFO, 0);
        commit(&f);
        kilosteps();
        expect_events((QueryEvents) { .dataset = "one" }, NULL, "dataset-add\ncreate a\ncreate b\n");
        assert_in_range(kilosteps(), 1, 25);
}

/* Of a time that a clock shows twice, as of it is the later; a step within a step is found among the newest. */
static void as_of_a_time_that_the_clock_showed_twice(void **state) {
        int64_t second = (int64_t) USEC_PER_SEC, at[8];
        char name[] = "0";

        (void) state;
        for (int i = 0; i < 8; i++) {
                if (i == 3 || i == 6)
                        f.now -= 10 * second;
                begin(&f);
                name[0] = (char) ('0' + i);
                make(&f, f.root, name, TYPE_FIFO, 0);
                commit(&f);
                at[i] = f.now;
        }
        expect_events((QueryEvents) { .as_of = at[2], .reverse = true, .limit = 1 }, NULL, "create 7\n");
        expect_events((QueryEvents) { .as_of = at[0], .reverse = true, .limit = 1 }, NULL, "create 7\n");
        expect_events((QueryEvents) { .as_of = at[5], .reverse = true, .limit = 1 }, NULL, "create 7\n");
        expect_events((QueryEvents) { .as_of = at[6], .reverse = true, .limit = 1 }, NULL, "create 6\n");
        expect_events((QueryEvents) { .as_of = at[6] - 1, .reverse = true, .limit = 1 }, NULL, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_STORE(history_goes_back_through_renames),
                WITH_STORE(history_goes_through_atomic_saves),
                WITH_STORE(events_of_a_file_and_of_a_directory),
                WITH_STORE(history_goes_through_the_backup_dance_of_editors),
                WITH_STORE(history_ends_where_another_file_was_overwritten),
                WITH_STORE(history_knows_an_exchange_from_both_sides),
                WITH_STORE(history_of_what_went_with_its_directory),
                WITH_STORE(history_stops_at_its_limit),
                WITH_STORE(a_dataset_that_rests_has_its_few_events_far_apart),
                WITH_STORE(what_came_by_a_time_is_found_without_reading_the_day_after),
                WITH_STORE(renames_of_others_are_passed_over),
                WITH_STORE(as_of_a_time_that_the_clock_showed_twice),
                WITH_STORE(times_bound_the_events),
                WITH_STORE(an_event_may_be_stored_long_after_it_was_noticed),
                WITH_STORE(events_carry_the_commit_before_them),
                WITH_STORE(a_name_that_is_free_again_belongs_to_the_new_dataset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
