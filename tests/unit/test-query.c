/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <pthread.h>

#include "daemon/query/query.h"
#include "tests/unit/store-fixture.h"

/* Answers as text, one line a row, so that a test reads like what it expects. */
typedef struct Lines {
        char text[16384];
        size_t size;
        int rows, stop_after;
} Lines;

static Fixture f;
static Query *q;

static int setup(void **state) {
        (void) state;
        fixture_open(&f);
        assert_int_equal(query_open(store_path(f.store), false, &q), 0);
        return 0;
}

static int teardown(void **state) {
        (void) state;
        q = query_close(q);
        fixture_close(&f);
        return 0;
}

static void PRINTF_LIKE(2, 3) put(Lines *l, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        l->size += (size_t) vsnprintf(l->text + l->size, sizeof(l->text) - l->size, format, ap);
        va_end(ap);
        assert_true(l->size < sizeof(l->text));
}

static int event_line(void *userdata, const QueryEvent *e) {
        Lines *l = userdata;

        put(l, "%s", kind_to_word(e->event.kind));
        if (e->path.data)
                put(l, " %.*s", (int) e->path.size, (const char *) e->path.data);
        if (e->old_path.data)
                put(l, " <- %.*s", (int) e->old_path.size, (const char *) e->old_path.data);
        if (e->event.replaces)
                put(l, " replaces %d", (int) e->event.replaces);
        if (e->commit)
                put(l, " @%.4s", e->commit);
        put(l, "\n");
        return ++l->rows == l->stop_after;
}

static int file_line(void *userdata, const QueryFile *file) {
        Lines *l = userdata;

        put(l, "%.*s %s", (int) file->path.size, (const char *) file->path.data, type_to_word(file->type));
        if (file->type == TYPE_FILE)
                put(l, " %d", (int) file->size);
        if (file->links != 1)
                put(l, " links %d", (int) file->links);
        if (file->target.data)
                put(l, " -> %.*s", (int) file->target.size, (const char *) file->target.data);
        put(l, "\n");
        return ++l->rows == l->stop_after;
}

static void expect_history(const char *path, const char *lines) {
        Lines l = { 0 };

        assert_int_equal(query_history(q, BYTES_STR(path), 0, event_line, &l), 0);
        assert_string_equal(l.text, lines);
}

static void expect_events(QueryEvents filter, const char *path, const char *lines) {
        Bytes p = BYTES_STR(path ? path : "");
        Lines l = { 0 };

        if (path) {
                filter.paths = &p;
                filter.n_paths = 1;
        }
        assert_int_equal(query_events(q, &filter, event_line, &l), 0);
        assert_string_equal(l.text, lines);
}

static void expect_files(const char *directory, const char *lines) {
        Lines l = { 0 };

        assert_int_equal(query_files(q, directory ? NULL : "one", directory ? BYTES_STR(directory) : BYTES_NONE, 0,
                                     file_line, &l), 0);
        assert_string_equal(l.text, lines);
}

static int64_t modify(int64_t node, int64_t parent, const char *name, int64_t size) {
        return append(&f, (Event) { .kind = KIND_MODIFY, .node = node, .parent = parent, .name = BYTES_STR(name),
                                    .has_state = true, .type = TYPE_FILE, .mode = 0644, .size = size, .mtime = f.now });
}

/* Another node takes the name in one move. */
static int64_t save(int64_t parent, const char *name, int64_t replaces, Kind kind) {
        int64_t node = store_next_node(f.store);

        append(&f, (Event) { .kind = kind, .count = 1, .node = node, .parent = parent, .name = BYTES_STR(name),
                             .introduces = true, .inode = f.inode++, .has_state = true, .type = TYPE_FILE,
                             .mode = 0644, .size = 3, .replaces = replaces });
        return node;
}

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
        expect_files("/data/one", "B fifo\na file 1\nb directory\nb/z directory\nb/z/deep file 7\nb/\xff file 2\n"
                                  "b.txt symlink -> target\n");
}

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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(files_come_depth_first_in_the_order_of_their_bytes, setup, teardown),
                cmocka_unit_test_setup_teardown(events_of_a_file_and_of_a_directory, setup, teardown),
                cmocka_unit_test_setup_teardown(history_goes_back_through_renames, setup, teardown),
                cmocka_unit_test_setup_teardown(history_goes_through_atomic_saves, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
