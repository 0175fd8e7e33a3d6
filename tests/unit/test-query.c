/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <pthread.h>

#include "tests/unit/query-fixture.h"

static void files_come_depth_first_in_the_order_of_their_bytes(void **state) {
        int64_t b, bb;

        (void) state;
        begin(&f);
        b = make(&f, f.root, "b", TYPE_DIRECTORY, 0);
        make(&f, f.root, "a", TYPE_FILE, 1);
        make(&f, f.root, "b.txt", TYPE_SYMLINK, 0);
        make(&f, f.root, "B", TYPE_FIFO, 0);
        bb = make(&f, b, "z", TYPE_DIRECTORY, 0);
        make(&f, bb, "deep", TYPE_FILE, 7);
        make(&f, b, "\xff", TYPE_FILE, 2);
        make(&f, b, "gone", TYPE_FILE, 2);
        unlink_name(&f, store_next_node(f.store) - 1, b, "gone");
        commit(&f);
        expect_files(NULL, "B fifo\na file 1\nb directory\nb/z directory\nb/z/deep file 7\nb/\xff file 2\n"
                           "b.txt symlink -> target\n");
        expect_files("/data/one/b/z/", "b/z directory\nb/z/deep file 7\n");
        expect_files("/data/one//a", "a file 1\n");
        expect_files("/data/one",
                     "B fifo\na file 1\nb directory\nb/z directory\nb/z/deep file 7\nb/\xff file 2\n"
                     "b.txt symlink -> target\n");
}

/* vim's way: f becomes f~, a new f is written, f~ goes. */
static void show_answers_one_row(void **state) {
        Lines l = { 0 };

        (void) state;
        begin(&f);
        make(&f, f.root, "a", TYPE_SYMLINK, 1);
        commit(&f);
        assert_int_equal(query_show(q, BYTES_STR("/data/one/a"), 0, file_line, &l), 0);
        assert_int_equal(query_show(q, BYTES_STR("/data/one/"), 0, file_line, &l), 0);
        assert_string_equal(l.text, "a symlink -> target\n. directory links 0\n");
}

/* Each batch is a second later than the one before; an event was noticed a millisecond before its batch. */
static int count_events(void *userdata, const QueryEvent *e) {
        int64_t *last = userdata;

        assert_true(e->event.seq == *last + 1);
        *last = e->event.seq;
        return 0;
}

static int release_now_and_then(void *userdata, const QueryEvent *e) {
        int64_t seq = e->event.seq;
        int r = count_events(userdata, e);

        if (seq % 100 == 7)
                query_release(q);
        return r;
}

static int count_files(void *userdata, const QueryFile *file) {
        int *n = userdata;
        char name[32];

        snprintf(name, sizeof(name), "%06d", *n);
        assert_int_equal(file->path.size, 6);
        assert_memory_equal(file->path.data, name, 6);
        (*n)++;
        if (*n % 100 == 7)
                query_release(q);
        return 0;
}

static void pages_leave_nothing_out(void **state) {
        int64_t last = 0;
        int n = 0;
        char name[32];

        (void) state;
        for (int i = 0; i < 3 * QUERY_PAGE + 5; i++) {
                if (i % 100 == 0)
                        begin(&f);
                snprintf(name, sizeof(name), "%06d", i);
                make(&f, f.root, name, TYPE_FILE, 1);
                if (i % 100 == 99)
                        commit(&f);
        }
        commit(&f);
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, count_events, &last), 0);
        assert_int_equal(last, 3 * QUERY_PAGE + 6);
        last = 0;
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, release_now_and_then, &last), 0);
        assert_int_equal(last, 3 * QUERY_PAGE + 6);
        assert_int_equal(query_files(q, "one", BYTES_NONE, 0, 0, count_files, &n), 0);
        assert_int_equal(n, 3 * QUERY_PAGE + 5);
        /* seldom matches, over more seqs than one statement looks at */
        expect_events((QueryEvents){ .kinds = 1 << KIND_DATASET_ADD, .reverse = true }, NULL,
                      "dataset-add\n");
}

static int count_depth(void *userdata, const QueryFile *file) {
        int *n = userdata;

        (*n)++;
        assert_int_equal(file->path.size, 4 * *n - 1);
        return 0;
}

static void deep_trees_need_no_stack(void **state) {
        int64_t at = f.root;
        int n = 0;

        (void) state;
        begin(&f);
        for (int i = 0; i < 3000; i++)
                at = make(&f, at, "dir", TYPE_DIRECTORY, 0);
        commit(&f);
        assert_int_equal(query_files(q, "one", BYTES_NONE, 0, 0, count_depth, &n), 0);
        assert_int_equal(n, 3000);
        n = 0;
        begin(&f);
        make(&f, at, "end", TYPE_FILE, 0);
        commit(&f);
        assert_int_equal(query_events(q, &(QueryEvents){ .after = 3001 }, count_events, &(int64_t){ 3001 }),
                         0);
}

static int write_and_go_on(void *userdata, const QueryFile *file) {
        int *n = userdata;

        if ((*n)++ == 0) {
                begin(&f);
                make(&f, f.root, "zzz", TYPE_FILE, 0);
                commit(&f);
                query_release(q);
        }
        (void) file;
        return 0;
}

static void a_released_call_sees_what_came_meanwhile(void **state) {
        int n = 0;

        (void) state;
        begin(&f);
        make(&f, f.root, "a", TYPE_FILE, 0);
        make(&f, f.root, "b", TYPE_FILE, 0);
        commit(&f);
        assert_int_equal(query_files(q, "one", BYTES_NONE, 0, 0, write_and_go_on, &n), 0);
        assert_int_equal(n, 3);
}

static void *cancel_from_aside(void *userdata) {
        query_cancel(userdata);
        return NULL;
}

static int cancel_at_first(void *userdata, const QueryEvent *e) {
        pthread_t thread;

        if (++*(int *) userdata == 1) {
                assert_int_equal(pthread_create(&thread, NULL, cancel_from_aside, q), 0);
                pthread_join(thread, NULL);
        }
        (void) e;
        return 0;
}

static int count_rows(void *userdata, const QueryEvent *e) {
        (void) e;
        ++*(int *) userdata;
        return 0;
}

static void a_call_ends_at_its_deadline_or_when_cancelled(void **state) {
        int n = 0;

        (void) state;
        for (int b = 0; b < 20; b++) {
                begin(&f);
                for (int i = 0; i < 100; i++) {
                        char name[32];

                        snprintf(name, sizeof(name), "%d.%d", b, i);
                        make(&f, f.root, name, TYPE_FILE, 1);
                }
                commit(&f);
        }
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, cancel_at_first, &n), QUERY_E_DEADLINE);
        assert_in_range(n, 1, QUERY_PAGE);
        n = 0;
        query_deadline(q, 1);
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, count_rows, &n), QUERY_E_DEADLINE);
        n = 0;                          /* and the next one knows nothing of it */
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, count_rows, &n), 0);
        assert_int_equal(n, 2001);
}

static int stretch_line(void *userdata, const QueryStretch *s) {
        Lines *l = userdata;

        put(l, "%d-%d", (int) (s->from / 1000000 - T0), s->until ? (int) (s->until / 1000000 - T0) : 0);
        if (s->gap)
                put(l, " %s %.*s %d", cause_to_word(s->cause), (int) s->path.size,
                    (const char *) s->path.data, (int) s->closed_by);
        put(l, "\n");
        return 0;
}

static void expect_coverage(const char *dataset, const char *lines) {
        Lines l = { 0 };

        assert_int_equal(query_coverage(q, dataset, stretch_line, &l), 0);
        assert_string_equal(l.text, lines);
}

/* At second n from the dataset's add at 1. */
static int64_t gap_at(int second, int from, Event e) {
        int64_t s = (int64_t) USEC_PER_SEC;

        f.now = (T0 + second - 1) * s;
        begin(&f);
        e.last = (T0 + second) * s;
        e.first = (T0 + from) * s;
        append(&f, e);
        commit(&f);
        return store_last_seq(f.store);
}

static void coverage_is_cut_by_gaps_of_the_whole_dataset(void **state) {
        int64_t d, sub, one, two;

        (void) state;
        f.now = T0 * (int64_t) USEC_PER_SEC;
        begin(&f);
        append(&f,
               (Event){ .kind = KIND_DATASET_REMOVE, .last = f.now, .detail = BYTES("one\0/data/one", 13) });
        f.dataset = add_dataset(&f, "two", "/data/two", &f.root); /* added a millisecond before second 1 */
        d = make(&f, f.root, "d", TYPE_DIRECTORY, 0);
        commit(&f);
        expect_coverage("two", "0-0\n");
        sub = gap_at(10, 10, (Event) { .kind = KIND_GAP_OPEN, .cause = CAUSE_PERMISSION, .node = d });
        one = gap_at(20, 15, (Event) { .kind = KIND_GAP_OPEN, .cause = CAUSE_CRASHED });
        expect_coverage("two", "0-15\n10-0 permission d 0\n15-0 crashed . 0\n");
        gap_at(30, 30, (Event) { .kind = KIND_GAP_CLOSE, .gap = one, .cause = CAUSE_CRASHED });
        two = gap_at(40, 25, (Event) { .kind = KIND_GAP_OPEN, .cause = CAUSE_OVERFLOW, .node = f.root });
        gap_at(50, 50, (Event) { .kind = KIND_GAP_CLOSE, .gap = two, .cause = CAUSE_OVERFLOW });
        gap_at(60, 60, (Event) { .kind = KIND_GAP_CLOSE, .gap = sub, .cause = CAUSE_PERMISSION });
        expect_coverage("two", "0-15\n10-60 permission d 10\n15-30 crashed . 7\n25-50 overflow . 9\n50-0\n");
        gap_at(70, 70, (Event) { .kind = KIND_DATASET_REMOVE, .detail = BYTES("two\0/data/two", 13) });
        expect_coverage("75756964-2e74-776f-002e-2e2e2e2e2e2e",
                        "0-15\n10-60 permission d 10\n15-30 crashed . 7\n25-50 overflow . 9\n50-70\n");
        assert_int_equal(query_coverage(q, "two", stretch_line, &(Lines) { 0 }), QUERY_E_NO_DATASET);
}

static int dataset_line(void *userdata, const QueryDataset *d) {
        put(userdata, "%s %.*s %s %d files %d bytes %d gaps%s\n", d->name, (int) d->root.size,
            (const char *) d->root.data, d->uuid, (int) d->files, (int) d->bytes, (int) d->gaps_open,
            d->removed ? " removed" : "");
        return 0;
}

static void datasets_and_totals_come_from_counters(void **state) {
        int64_t other, other_root, a;
        QueryTotals t = { 0 };
        Lines l = { 0 };

        (void) state;
        begin(&f);
        other = add_dataset(&f, "two", "/data/two", &other_root);
        a = make(&f, f.root, "a", TYPE_FILE, 10);
        make(&f, f.root, "l", TYPE_SYMLINK, 10);
        append(&f, (Event){ .kind = KIND_LINK,
                            .dataset = other,
                            .node = a,
                            .parent = other_root,
                            .name = BYTES_STR("a") });
        modify(a, f.root, "a", 7);
        append(&f, (Event) { .kind = KIND_GAP_OPEN, .cause = CAUSE_OVERFLOW });
        append(&f, (Event){ .kind = KIND_DATASET_REMOVE,
                            .dataset = other,
                            .detail = BYTES("two\0/data/two", 13) });
        commit(&f);
        assert_int_equal(query_datasets(q, NULL, true, dataset_line, &l), 0);
        assert_string_equal(
                l.text,
                "one /data/one 75756964-2e6f-6e65-002e-2e2e2e2e2e2e 1 files 7 bytes 1 gaps\n"
                "two /data/two 75756964-2e74-776f-002e-2e2e2e2e2e2e 1 files 7 bytes 0 gaps removed\n");
        l = (Lines) { 0 };
        assert_int_equal(query_datasets(q, NULL, false, dataset_line, &l), 0);
        assert_non_null(strstr(l.text, "one"));
        assert_null(strstr(l.text, "two"));
        assert_int_equal(query_datasets(q, "two", false, dataset_line, &l), QUERY_E_NO_DATASET);
        assert_int_equal(query_datasets(q, "75756964-2E74-776F-002E-2e2e2e2e2e2e", false, dataset_line, &l),
                         0);
        assert_int_equal(query_totals(q, &t), 0);
        assert_int_equal(t.datasets, 1);
        assert_int_equal(t.events, store_last_seq(f.store));
        assert_int_equal(t.gaps_open, 1);
        assert_int_equal(t.schema, STORE_FORM);
        assert_true(t.store_bytes > 0 && t.wal_bytes > 0);
}

static int chunk_line(void *userdata, const QueryChunk *c) {
        put(userdata, "%s{%s} %s %d-%d %.*s\n", c->name, c->labels, c->unit, (int) c->from, (int) c->until,
            (int) c->data.size, (const char *) c->data.data);
        return 0;
}

static void chunks_come_by_labels_then_time(void **state) {
        int64_t a, b, c;
        Lines l = { 0 };

        (void) state;
        begin(&f);
        assert_int_equal(store_series(f.store, "load", "n=5", "", &a), 0);
        assert_int_equal(store_series(f.store, "load", "", "", &b), 0);
        assert_int_equal(store_series(f.store, "loads", "", "", &c), 0);
        store_chunk_put(f.store, a, 10, 19, 1, BYTES_STR("a1"));
        store_chunk_put(f.store, a, 20, 29, 1, BYTES_STR("a2"));
        store_chunk_put(f.store, b, 10, 19, 1, BYTES_STR("b1"));
        store_chunk_put(f.store, c, 10, 19, 1, BYTES_STR("c1"));
        store_chunk_put(f.store, b, 20, 29, 1, BYTES_STR("b2"));
        commit(&f);
        assert_int_equal(query_chunks(q, "load", 0, 0, chunk_line, &l), 0);
        assert_string_equal(
                l.text, "load{}  10-19 b1\nload{}  20-29 b2\nload{n=5}  10-19 a1\nload{n=5}  20-29 a2\n");
        l = (Lines) { 0 };
        assert_int_equal(query_chunks(q, "load", 19, 20, chunk_line, &l), 0);
        assert_int_equal(
                strlen(l.text),
                strlen("load{}  10-19 b1\nload{}  20-29 b2\nload{n=5}  10-19 a1\nload{n=5}  20-29 a2\n"));
        l = (Lines) { 0 };
        assert_int_equal(query_chunks(q, "load", 20, 30, chunk_line, &l), 0);
        assert_string_equal(l.text, "load{}  20-29 b2\nload{n=5}  20-29 a2\n");
        assert_int_equal(query_chunks(q, "loa", 0, 0, chunk_line, &l), QUERY_E_NO_SERIES);
}

static void a_copy_is_read_without_a_writer(void **state) {
        Fixture copy;
        char path[128], command[256];
        QueryTotals t;
        Query *offline = NULL;
        Lines l = { 0 };

        (void) state;
        begin(&f);
        make(&f, f.root, "a", TYPE_FIFO, 0);
        commit(&f);
        query_close(q);
        q = NULL;
        f.store = store_close(f.store);
        fixture_dir(&copy);
        snprintf(command, sizeof(command), "cp %s/scitrace.db %s/scitrace.db-wal %s/", f.dir, f.dir,
                 copy.dir);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/scitrace.db", copy.dir);
        assert_int_equal(query_open(path, true, &offline), 0);
        assert_int_equal(query_totals(offline, &t), 0);
        assert_int_equal(t.events, 2);
        assert_int_equal(query_files(offline, "one", BYTES_NONE, 0, 0, file_line, &l), 0);
        assert_string_equal(l.text, "a fifo\n");
        query_close(offline);
        fixture_remove(&copy);

        snprintf(path, sizeof(path), "%s/not-there.db", f.dir);
        assert_true(query_open(path, true, &offline) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_STORE(files_come_depth_first_in_the_order_of_their_bytes),
                WITH_STORE(show_answers_one_row),
                WITH_STORE(pages_leave_nothing_out),
                WITH_STORE(deep_trees_need_no_stack),
                WITH_STORE(a_released_call_sees_what_came_meanwhile),
                WITH_STORE(a_call_ends_at_its_deadline_or_when_cancelled),
                WITH_STORE(coverage_is_cut_by_gaps_of_the_whole_dataset),
                WITH_STORE(datasets_and_totals_come_from_counters),
                WITH_STORE(chunks_come_by_labels_then_time),
                WITH_STORE(a_copy_is_read_without_a_writer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
