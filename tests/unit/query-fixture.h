/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_UNIT_QUERY_FIXTURE_H
#define SCITRACE_TESTS_UNIT_QUERY_FIXTURE_H

/* query-fixture: a store with a Query on it, and answers as lines of text. Include after tests/lib/unit.h. */

#include "daemon/query/private.h"
#include "tests/unit/store-fixture.h"

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Answers as text, one line a row, so that a test reads like what it expects. */
typedef struct Lines {
        char text[16384];
        size_t size;
        int rows, stop_after;
} Lines;

static Fixture f;
static Query *q;

static UNUSED int setup(void **state) {
        (void) state;
        fixture_open(&f);
        assert_int_equal(query_open(store_path(f.store), false, &q), 0);
        return 0;
}

static UNUSED int teardown(void **state) {
        (void) state;
        q = query_close(q);
        fixture_close(&f);
        return 0;
}

static UNUSED void PRINTF_LIKE(2, 3) put(Lines *l, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        l->size += (size_t) vsnprintf(l->text + l->size, sizeof(l->text) - l->size, format, ap);
        va_end(ap);
        assert_true(l->size < sizeof(l->text));
}

static UNUSED int event_line(void *userdata, const QueryEvent *e) {
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

static UNUSED int file_line(void *userdata, const QueryFile *file) {
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

/* What SQLite's machine did since this was last asked: in thousands of steps. */
static UNUSED int kilosteps(void) {
        int n = 0;

        for (sqlite3_stmt *stmt = NULL; (stmt = sqlite3_next_stmt(q->sql.db, stmt));)
                n += sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
        return n / 1000;
}

static UNUSED void expect_history(const char *path, const char *lines) {
        Lines l = { 0 };

        assert_int_equal(query_history(q, BYTES_STR(path), 0, event_line, &l), 0);
        assert_string_equal(l.text, lines);
}

static UNUSED void expect_events(QueryEvents filter, const char *path, const char *lines) {
        Bytes p = BYTES_STR(path ? path : "");
        Lines l = { 0 };

        if (path) {
                filter.paths = &p;
                filter.n_paths = 1;
        }
        assert_int_equal(query_events(q, &filter, event_line, &l), 0);
        assert_string_equal(l.text, lines);
}

static UNUSED void expect_files(const char *directory, const char *lines) {
        Lines l = { 0 };

        assert_int_equal(query_files(q, directory ? NULL : "one",
                                     directory ? BYTES_STR(directory) : BYTES_NONE, 0, 0, file_line, &l),
                         0);
        assert_string_equal(l.text, lines);
}

static UNUSED int64_t modify(int64_t node, int64_t parent, const char *name, int64_t size) {
        return append(&f, (Event){ .kind = KIND_MODIFY,
                                   .node = node,
                                   .parent = parent,
                                   .name = BYTES_STR(name),
                                   .has_state = true,
                                   .type = TYPE_FILE,
                                   .mode = 0644,
                                   .size = size,
                                   .mtime = f.now });
}

/* Another node takes the name in one move. */
static UNUSED int64_t save(int64_t parent, const char *name, int64_t replaces, Kind kind) {
        int64_t node = store_next_node(f.store);

        append(&f, (Event){ .kind = kind,
                            .count = 1,
                            .node = node,
                            .parent = parent,
                            .name = BYTES_STR(name),
                            .introduces = true,
                            .inode = f.inode++,
                            .has_state = true,
                            .type = TYPE_FILE,
                            .mode = 0644,
                            .size = 3,
                            .replaces = replaces });
        return node;
}

#endif
