/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <sqlite3.h>

#include "daemon/store/private.h"
#include "tests/unit/store-fixture.h"

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static void a_new_name_is_a_node_and_an_open_link(void **state) {
        Fixture *f = *state;
        StoreNode n = { 0 };
        StoreLink l;
        int64_t node;

        begin(f);
        node = make(f, f->root, "a", TYPE_FILE, 5);
        commit(f);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("a"), &l), 0);
        assert_int_equal(l.node, node);
        assert_int_equal(l.dataset, f->dataset);
        assert_int_equal(l.since, store_last_seq(f->store));
        assert_int_equal(l.until, 0);
        assert_int_equal(l.type, TYPE_FILE);
        assert_int_equal(store_node_get(f->store, node, &n), 0);
        assert_int_equal(n.size, 5);
        assert_int_equal(n.mode, 0644);
        assert_int_equal(n.links, 1);
        assert_true(n.wanted);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("b"), &l), STORE_E_NONE);
        store_node_done(&n);
}

static void what_was_committed_is_there_after_reopening(void **state) {
        Fixture *f = *state;
        StoreLink l;
        int64_t node, seq, next;

        begin(f);
        node = make(f, f->root, "a", TYPE_SYMLINK, 0);
        commit(f);
        seq = store_last_seq(f->store);
        next = store_next_node(f->store);
        begin(f);
        make(f, f->root, "b", TYPE_FILE, 0);
        store_rollback(f->store);
        assert_int_equal(store_last_seq(f->store), seq);
        assert_int_equal(store_next_node(f->store), next);
        fixture_reopen(f);
        assert_int_equal(store_last_seq(f->store), seq);
        assert_int_equal(store_next_node(f->store), next);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("a"), &l), 0);
        assert_int_equal(l.node, node);
        assert_int_equal(store_link_find(f->store, f->root, BYTES_STR("b"), &l), STORE_E_NONE);
}

static void a_modify_without_a_digest_leaves_the_content_unknown(void **state) {
        Fixture *f = *state;
        uint8_t digest[EVENT_DIGEST_SIZE] = { 1 };
        Event e = { .kind = KIND_MODIFY, .parent = f->root, .name = BYTES_STR("a"), .has_state = true,
                    .type = TYPE_FILE, .size = 5, .mode = 0644, .mtime = 77 };
        StoreNode n = { 0 };

        begin(f);
        e.node = make(f, f->root, "a", TYPE_FILE, 5);
        e.digest = BYTES(digest, sizeof(digest));
        e.digest_source = DIGEST_SOURCE_READ;
        append(f, e);
        assert_int_equal(store_node_get(f->store, e.node, &n), 0);
        assert_true(n.has_digest);
        assert_memory_equal(n.digest, digest, sizeof(digest));
        assert_false(n.wanted);

        e.kind = KIND_ATTRIBUTE;        /* describes the node, says nothing of its content */
        e.digest = BYTES_NONE;
        e.digest_source = 0;
        e.mtime = 78;
        append(f, e);
        assert_int_equal(store_node_get(f->store, e.node, &n), 0);
        assert_true(n.has_digest);

        e.kind = KIND_MODIFY;           /* same size and mtime, other content */
        append(f, e);
        assert_int_equal(store_node_get(f->store, e.node, &n), 0);
        assert_false(n.has_digest);
        assert_true(n.wanted);
        commit(f);
}

static void the_newest_node_of_an_identity_is_found(void **state) {
        Fixture *f = *state;
        Event e = { .kind = KIND_CREATE,
                    .parent = f->root,
                    .introduces = true,
                    .inode = UINT64_MAX,
                    .btime = -5,
                    .has_state = true,
                    .type = TYPE_FILE };
        StoreNode n = { 0 };

        begin(f);
        e.name = BYTES_STR("a");
        e.node = store_next_node(f->store);
        append(f, e);
        e.name = BYTES_STR("b");
        e.node = store_next_node(f->store);
        append(f, e);
        commit(f);
        assert_int_equal(store_node_find(f->store, f->filesystem, UINT64_MAX, -5, &n), 0);
        assert_int_equal(n.id, e.node);
        assert_int_equal(n.inode, UINT64_MAX);
        assert_int_equal(store_node_find(f->store, f->filesystem, UINT64_MAX, -4, &n), STORE_E_NONE);
        assert_int_equal(store_node_find(f->store, f->filesystem + 1, UINT64_MAX, -5, &n), STORE_E_NONE);
}

static void the_names_of_a_directory_come_in_pages(void **state) {
        Fixture *f = *state;
        char longest[256];
        StoreLink l[2];

        memset(longest, 'x', 255);
        longest[255] = 0;
        begin(f);
        make(f, f->root, longest, TYPE_FILE, 0);
        make(f, f->root, "\xff", TYPE_FILE, 0);
        make(f, f->root, "b", TYPE_FILE, 0);
        commit(f);
        assert_int_equal(store_links(f->store, f->root, BYTES_NONE, l, 2), 2);
        assert_string_equal(l[0].name, "b");
        assert_int_equal(l[1].name_size, 255);
        assert_string_equal(l[1].name, longest);
        assert_int_equal(store_links(f->store, f->root, BYTES(l[1].name, l[1].name_size), l, 2), 1);
        assert_string_equal(l[0].name, "\xff");
        assert_int_equal(store_links(f->store, f->root, BYTES_STR("\xff"), l, 2), 0);
}

static void the_last_link_of_a_name_is_the_open_or_the_newest_closed_one(void **state) {
        Fixture *f = *state;
        int64_t first, second;
        StoreLink l;

        begin(f);
        first = make(f, f->root, "a", TYPE_FILE, 0);
        unlink_name(f, first, f->root, "a");
        second = make(f, f->root, "a", TYPE_FILE, 0);
        assert_int_equal(store_link_last(f->store, f->root, BYTES_STR("a"), &l), 0);
        assert_int_equal(l.node, second);
        assert_int_equal(l.until, 0);
        unlink_name(f, second, f->root, "a");
        commit(f);
        assert_int_equal(store_link_last(f->store, f->root, BYTES_STR("a"), &l), 0);
        assert_int_equal(l.node, second);
        assert_int_equal(l.until, store_last_seq(f->store));
        assert_int_equal(store_link_last(f->store, f->root, BYTES_STR("b"), &l), STORE_E_NONE);
}

static int64_t number(Fixture *f, const char *sql) {
        int64_t n;

        assert_int_equal(sql_number(f->store->sql.db, sql, &n), 0);
        return n;
}

static void wanted_nodes_have_a_name_and_no_digest(void **state) {
        Fixture *f = *state;
        int64_t a, b, c;
        StoreWanted l[8];

        begin(f);
        a = make(f, f->root, "a", TYPE_FILE, 1);
        b = make(f, f->root, "b", TYPE_FILE, 1);
        c = make(f, f->root, "c", TYPE_FILE, 1);
        make(f, f->root, "d", TYPE_DIRECTORY, 0);
        append(f, (Event) { .kind = KIND_LINK, .node = a, .parent = f->root, .name = BYTES_STR("a2") });
        assert_int_equal(store_wanted(f->store, 0, l, 8), 3);
        assert_int_equal(store_wanted_count(f->store), 3);
        unlink_name(f, b, f->root, "b");
        assert_int_equal(store_node_want(f->store, c, false), 0);
        assert_int_equal(store_wanted(f->store, 0, l, 8), 1);
        assert_int_equal(l[0].link.node, a);
        assert_int_equal(store_wanted(f->store, a, l, 8), 0);
        assert_int_equal(store_wanted_count(f->store), 1);
        commit(f);
        assert_true(number(f, "SELECT count(*) FROM wanted") > 0);
}

static void of_what_is_wanted_nothing_is_left_behind(void **state) {
        Fixture *f = *state;
        int64_t a;

        begin(f);
        a = make(f, f->root, "a", TYPE_FILE, 1);
        commit(f);
        assert_int_equal(number(f, "SELECT count(*) FROM wanted"), 1);
        begin(f);
        assert_int_equal(store_node_want(f->store, a, false), 0);
        commit(f);
        assert_int_equal(number(f, "SELECT count(*) FROM wanted"), 0);
}

static void an_impossible_event_is_refused_and_changes_nothing(void **state) {
        Fixture *f = *state;
        Event bad[] = {
                { .kind = KIND_MODIFY, .node = 4711 }, /* no such node */
                { .kind = KIND_CREATE,
                  .node = 4711,
                  .introduces = true,
                  .has_state = true,
                  .type = TYPE_FILE },
                { .kind = KIND_CREATE,
                  .node = f->root + 1,
                  .introduces = true }, /* a new node needs a state */
                { .kind = (Kind) 99 },
                { .kind = KIND_COMMIT, .dataset = 4711 },
                { .kind = KIND_ATTRIBUTE, .node = f->root, .has_state = true }, /* no type */
        };
        int64_t before = store_last_seq(f->store);

        begin(f);
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                if (bad[i].dataset == 0)
                        bad[i].dataset = f->dataset;
                bad[i].origin = ORIGIN_LIVE;
                assert_int_equal(store_append(f->store, &bad[i], NULL), -EINVAL);
        }
        assert_int_equal(store_last_seq(f->store), before);
        make(f, f->root, "a", TYPE_FILE, 1);
        commit(f);
        assert_int_equal(store_last_seq(f->store), before + 1);
}

static void a_run_that_did_not_end_was_not_clean(void **state) {
        Fixture *f = *state;
        bool clean, first;

        assert_int_equal(store_run_start(f->store, &clean, &first), 0);
        assert_true(first);
        fixture_reopen(f);
        assert_int_equal(store_run_start(f->store, &clean, &first), 0);
        assert_false(first);
        assert_false(clean);
        assert_int_equal(store_run_end(f->store), 0);
        fixture_reopen(f);
        assert_int_equal(store_run_start(f->store, &clean, &first), 0);
        assert_true(clean);
}

static int one_gap(void *userdata, const StoreGap *g) {
        *(StoreGap *) userdata = *g;
        return 0;
}

static void a_gap_is_open_until_it_is_closed(void **state) {
        Fixture *f = *state;
        StoreGap g = { 0 };
        int64_t gap;

        begin(f);
        gap = append(f,
                     (Event){ .kind = KIND_GAP_OPEN, .cause = CAUSE_CRASHED, .first = 123, .last = f->now });
        commit(f);
        assert_int_equal(store_gaps(f->store, one_gap, &g), 0);
        assert_int_equal(g.id, gap);
        assert_int_equal(g.from, 123);
        assert_int_equal(g.cause, CAUSE_CRASHED);
        assert_int_equal(g.dataset, f->dataset);
        begin(f);
        append(f, (Event) { .kind = KIND_GAP_CLOSE, .cause = CAUSE_CRASHED, .gap = gap });
        commit(f);
        g.id = 0;
        assert_int_equal(store_gaps(f->store, one_gap, &g), 0);
        assert_int_equal(g.id, 0);
}

static int one_dataset(void *userdata, const StoreDataset *d) {
        StoreDataset *ret = userdata;

        *ret = *d;
        ret->name = strdup(d->name);
        ret->root = (uint8_t *) strdup((char *) d->root);
        return 1;
}

static void a_dataset_is_added_removed_and_resumed(void **state) {
        static const char detail[] = "uno\0/data/uno";
        Fixture *f = *state;
        StoreDataset d = { 0 }, again = {
                .name = (char *) "one", .root = (uint8_t *) "/x", .root_size = 2, .filesystem = 1
        };

        begin(f);
        append(f, (Event){ .kind = KIND_COMMIT,
                           .detail = BYTES_STR("0123456789012345678901234567890123456789") });
        assert_int_equal(store_dataset_covered(f->store, f->dataset, 99), 0);
        assert_int_equal(store_dataset_kind(f->store, f->dataset, DATASET_KIND_GIT), 0);
        append(f, (Event) { .kind = KIND_DATASET_REMOVE, .detail = BYTES("one\0/data/one", 13) });
        commit(f);
        assert_int_equal(store_datasets(f->store, one_dataset, &d), 1);
        assert_true(d.removed);
        assert_string_equal(d.name, "one");
        assert_string_equal(d.root, "/data/one");
        assert_string_equal(d.commit, "0123456789012345678901234567890123456789");
        assert_int_equal(d.covered_until, 99);
        assert_int_equal(d.kind, DATASET_KIND_GIT);
        assert_int_equal(d.added_seq, 1);
        store_dataset_done(&d);

        begin(f);
        append(f, (Event){ .kind = KIND_DATASET_ADD,
                           .node = f->root,
                           .detail = BYTES(detail, sizeof(detail) - 1) });
        commit(f);
        assert_int_equal(store_datasets(f->store, one_dataset, &d), 1);
        assert_false(d.removed);
        assert_string_equal(d.name, "uno");
        assert_string_equal(d.root, "/data/uno");
        store_dataset_done(&d);

        begin(f);                       /* its name is free again, its uuid is not */
        memcpy(again.uuid, "uuid.one", 8);
        assert_int_equal(store_dataset_add(f->store, &again, 5, 5), 0);
        assert_int_equal(store_dataset_add(f->store, &again, 6, 6), -EEXIST);
        store_rollback(f->store);
}

static void places_of_metrics_and_file_systems_are_made_once(void **state) {
        Fixture *f = *state;
        static const uint8_t uuid[EVENT_ID_SIZE] = { 1, 2 };
        int64_t a, b, c;

        begin(f);
        assert_int_equal(store_series(f->store, "load", "", "", &a), 0);
        assert_int_equal(store_series(f->store, "load", "", "", &b), 0);
        assert_int_equal(store_series(f->store, "load", "n=5", "", &c), 0);
        assert_int_equal(a, b);
        assert_true(c != a);
        assert_int_equal(store_chunk_put(f->store, a, 10, 20, 2, BYTES_STR("xx")), 0);
        assert_int_equal(store_chunk_put(f->store, a, 10, 30, 3, BYTES_STR("xxx")), 0);
        assert_int_equal(store_filesystem(f->store, uuid, "ext4", 2, 1, &a), 0);
        assert_int_equal(store_filesystem(f->store, uuid, "ext4", 2, 1, &b), 0);
        assert_int_equal(store_filesystem(f->store, NULL, "ext4", 2, 1, &c), 0);
        assert_int_equal(a, b);
        assert_int_equal(c, f->filesystem);
        commit(f);
}

/* Opening. */

static void set_identity(Fixture *f, const char *pragma) {
        sqlite3 *db = NULL;
        char path[128];

        f->store = store_close(f->store);
        snprintf(path, sizeof(path), "%s/scitrace.db", f->dir);
        assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix-excl"), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
}

static void stores_of_other_forms_are_refused_by_name(void **state) {
        Fixture *f = *state;
        Store *s = NULL;

        set_identity(f, "PRAGMA user_version = 3");
        assert_int_equal(store_open(f->dir, &s), STORE_E_NEWER);
        set_identity(f, "PRAGMA user_version = 0");
        assert_int_equal(store_open(f->dir, &s), STORE_E_OLDER);
        set_identity(f, "PRAGMA application_id = 7");
        assert_int_equal(store_open(f->dir, &s), STORE_E_FOREIGN);
        assert_null(s);
}

static void a_file_that_is_no_database_is_left_as_it_is(void **state) {
        Fixture f;
        Store *s = NULL;
        char path[128], text[64] = { 0 };
        FILE *file;

        (void) state;
        fixture_dir(&f);
        snprintf(path, sizeof(path), "%s/scitrace.db", f.dir);
        file = fopen(path, "w");
        fputs("these are my notes, and no database", file);
        fclose(file);
        assert_int_equal(store_open(f.dir, &s), STORE_E_FOREIGN);
        file = fopen(path, "r");
        assert_non_null(fgets(text, sizeof(text), file));
        fclose(file);
        assert_string_equal(text, "these are my notes, and no database");
        fixture_remove(&f);
}

static void a_folder_that_others_may_enter_is_refused(void **state) {
        Fixture f;
        Store *s = NULL;

        (void) state;
        fixture_dir(&f);
        assert_int_equal(chmod(f.dir, 0750), 0);
        assert_int_equal(store_open(f.dir, &s), -EPERM);
        assert_int_equal(chmod(f.dir, 0700), 0);
        assert_int_equal(store_open(f.dir, &s), 0);
        s = store_close(s);
        fixture_remove(&f);
}

static void the_database_is_for_its_owner_only(void **state) {
        Fixture *f = *state;
        struct stat st;
        char wal[256];

        assert_int_equal(stat(store_path(f->store), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        snprintf(wal, sizeof(wal), "%s-wal", store_path(f->store));
        assert_int_equal(stat(wal, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        snprintf(wal, sizeof(wal), "%s-shm", store_path(f->store));
        assert_int_equal(stat(wal, &st), -1);
}

static void the_database_is_set_up_for_what_is_promised(void **state) {
        static const struct {
                const char *text;
                int64_t value;
        } wanted[] = {
                { "PRAGMA synchronous", 2 }, { "PRAGMA page_size", 8192 }, { "PRAGMA foreign_keys", 1 },
                { "PRAGMA cell_size_check", 1 }, { "PRAGMA trusted_schema", 0 }, { "PRAGMA auto_vacuum", 2 },
                { "PRAGMA application_id", STORE_APPLICATION_ID }, { "PRAGMA user_version", STORE_FORM },
                { "SELECT journal_mode = 'wal' FROM pragma_journal_mode", 1 },
                { "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%STRICT%'", 0 },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTS(wanted); i++) {
                int64_t n = -1;

                assert_int_equal(sql_number(f->store->sql.db, wanted[i].text, &n), 0);
                if (n != wanted[i].value)
                        fail_msg("%s is %lld", wanted[i].text, (long long) n);
        }
}

static void the_log_stays_when_the_store_is_closed(void **state) {
        Fixture *f = *state;
        struct stat st;
        char wal[256];

        snprintf(wal, sizeof(wal), "%s-wal", store_path(f->store));
        f->store = store_close(f->store);
        assert_int_equal(stat(wal, &st), 0);    /* so that it opens again on a full disk */
}

/* Plans: what is asked with each event must not read a whole table, nor sort. */

static bool is_bad_step(const char *step) {
        static const char *const tables[] = { "event", "link", "node", "l", "n", "e" };

        if (strstr(step, "TEMP B-TREE"))
                return true;
        if (strncmp(step, "SCAN ", 5) != 0)
                return false;
        for (size_t i = 0; i < ELEMENTS(tables); i++)
                if (strncmp(step + 5, tables[i], strlen(tables[i])) == 0 &&
                    (step[5 + strlen(tables[i])] == ' ' || step[5 + strlen(tables[i])] == 0))
                        return true;
        return false;
}

static void no_statement_reads_a_whole_table(void **state) {
        static const char *const texts[] = {
#define TEXT_ITEM(name, text) text,
                STORE_STATEMENTS(TEXT_ITEM)
        };
        Fixture *f = *state;
        char explain[2048];

        for (size_t i = 0; i < ELEMENTS(texts); i++) {
                sqlite3_stmt *stmt = NULL;

                snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", texts[i]);
                assert_int_equal(sqlite3_prepare_v2(f->store->sql.db, explain, -1, &stmt, NULL), SQLITE_OK);
                while (sqlite3_step(stmt) == SQLITE_ROW) {
                        const char *step = (const char *) sqlite3_column_text(stmt, 3);

                        if (is_bad_step(step) && i != SQL_NODE_IDENTITIES)      /* once a first look */
                                fail_msg("%s: %s", texts[i], step);
                }
                sqlite3_finalize(stmt);
        }
}

/* Statistics of a store that is still small must not lead to plans that are bad once it is large. */
static void no_statement_does_after_maintenance_either(void **state) {
        Fixture *f = *state;
        int64_t done, left;
        char name[32];

        begin(f);
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "n%d", i);
                make(f, f->root, name, i % 10 ? TYPE_FILE : TYPE_DIRECTORY, 5);
        }
        assert_int_equal(store_step(f->store, STORE_STEP_ANALYZE, 0, &done, &left), 0);
        assert_int_equal(left, 0);
        commit(f);
        fixture_reopen(f);
        no_statement_reads_a_whole_table(state);
}

/* docs/FORMATS.md, "Schema": | `table` | column, column | ... | for every table, with all its columns in order. */
static void the_document_has_the_same_schema(void **state) {
        const char *source = getenv("SCITRACE_SOURCE");
        CLEANUP(freep) char *text = calloc(1, 1 << 18);
        Fixture *f = *state;
        sqlite3_stmt *stmt = NULL;
        char path[4096];
        FILE *file;

        snprintf(path, sizeof(path), "%s/docs/FORMATS.md", source ? source : ".");
        file = fopen(path, "r");
        assert_non_null(file);
        assert_true(fread(text, 1, (1 << 18) - 1, file) > 0);
        fclose(file);
        assert_int_equal(sqlite3_prepare_v2(f->store->sql.db,
                                            "SELECT '| `' || t.name || '` | ' || group_concat(c.name, ', ') || ' |'"
                                            " FROM sqlite_schema AS t, pragma_table_info(t.name) AS c"
                                            " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' GROUP BY t.name",
                                            -1, &stmt, NULL),
                         SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
                const char *row = (const char *) sqlite3_column_text(stmt, 0);

                if (!strstr(text, row))
                        fail_msg("docs/FORMATS.md lacks: %s", row);
        }
        sqlite3_finalize(stmt);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_STORE(a_new_name_is_a_node_and_an_open_link),
                WITH_STORE(what_was_committed_is_there_after_reopening),
                WITH_STORE(a_modify_without_a_digest_leaves_the_content_unknown),
                WITH_STORE(the_newest_node_of_an_identity_is_found),
                WITH_STORE(the_names_of_a_directory_come_in_pages),
                WITH_STORE(the_last_link_of_a_name_is_the_open_or_the_newest_closed_one),
                WITH_STORE(wanted_nodes_have_a_name_and_no_digest),
                WITH_STORE(of_what_is_wanted_nothing_is_left_behind),
                WITH_STORE(an_impossible_event_is_refused_and_changes_nothing),
                WITH_STORE(a_run_that_did_not_end_was_not_clean),
                WITH_STORE(a_gap_is_open_until_it_is_closed),
                WITH_STORE(a_dataset_is_added_removed_and_resumed),
                WITH_STORE(places_of_metrics_and_file_systems_are_made_once),
                WITH_STORE(stores_of_other_forms_are_refused_by_name),
                cmocka_unit_test(a_file_that_is_no_database_is_left_as_it_is),
                cmocka_unit_test(a_folder_that_others_may_enter_is_refused),
                WITH_STORE(the_database_is_for_its_owner_only),
                WITH_STORE(the_database_is_set_up_for_what_is_promised),
                WITH_STORE(the_log_stays_when_the_store_is_closed),
                WITH_STORE(no_statement_reads_a_whole_table),
                WITH_STORE(no_statement_does_after_maintenance_either),
                WITH_STORE(the_document_has_the_same_schema),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
