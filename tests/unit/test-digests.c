/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which content has a digest: as a list of all of them says, whatever became of transactions and contents; and what it
 * costs. */
#include "tests/lib/unit.h"

#include "daemon/store/private.h"
#include "tests/unit/store-fixture.h"

enum { LEAST = 64, POOL = 9000, DIGEST = 32, ROUNDS = 400, MANY = 60000 };

static uint64_t random_state;

static uint32_t dice(uint32_t n) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        return (uint32_t) (random_state >> 33) % n;
}

static void random_digest(uint8_t digest[static DIGEST]) {
        for (size_t i = 0; i < DIGEST; i++)
                digest[i] = (uint8_t) dice(256);
}

typedef struct Table {
        Fixture f;
        sqlite3 *db;
        Digests *d;
} Table;

static void table_open(Table *t, size_t least) {
        char path[96];

        random_state = 7;
        fixture_dir(&t->f);
        snprintf(path, sizeof(path), "%s/t.db", t->f.dir);
        assert_int_equal(sqlite3_open(path, &t->db), SQLITE_OK);
        assert_int_equal(sql_exec(t->db, "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"), 0);
        assert_int_equal(schema_apply(t->db, 0), 0);
        assert_int_equal(digests_new(t->db, least, &t->d), 0);
}

static void table_close(Table *t) {
        digests_free(t->d);
        assert_int_equal(sqlite3_close(t->db), SQLITE_OK);
        fixture_remove(&t->f);
}

static void sql(Table *t, const char *text) {
        assert_int_equal(sql_exec(t->db, text), 0);
}

static int64_t number(Table *t, const char *text) {
        int64_t n = -1;

        assert_int_equal(sql_number(t->db, text, &n), 0);
        return n;
}

static bool is_sound(Table *t) {
        bool sound = false;

        assert_int_equal(digests_check(t->db, &sound), 0);
        return sound;
}

static void add_row(Table *t, int64_t id, const uint8_t *digest) {
        sqlite3_stmt *stmt = NULL;

        assert_int_equal(sqlite3_prepare_v2(t->db, "INSERT INTO content VALUES (?1, ?2, 0)", -1, &stmt, NULL), SQLITE_OK);
        sql_bind(stmt, 1, id);
        sql_bind_bytes(stmt, 2, BYTES(digest, DIGEST));
        assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
        sqlite3_finalize(stmt);
}

/* The id of a digest, made when it is new. */
static int64_t get(Table *t, const uint8_t *digest, bool *ret_new) {
        int64_t id = 0;
        int r = digests_get(t->d, digest, &id);

        assert_in_range(r, 0, 1);
        assert_true(id > 0);
        if (r == 0)
                add_row(t, id, digest);
        *ret_new = r == 0;
        return id;
}

static void commit_table(Table *t) {
        assert_int_equal(digests_flush(t->d), 0);
        sql(t, "COMMIT");
}

/* Digests of a pool, and the id of each; 0: it has no content. */
typedef struct Model {
        uint8_t digests[POOL][DIGEST];
        int64_t ids[POOL], committed[POOL];
} Model;

/* Every tenth begins as another one does, as far as entries go, or further. */
static Model *make_model(void) {
        Model *m = calloc(1, sizeof(*m));

        assert_non_null(m);
        for (int i = 0; i < POOL; i++) {
                random_digest(m->digests[i]);
                if (i % 10 == 9)
                        memcpy(m->digests[i], m->digests[dice((uint32_t) i)], 4 + dice(28));
        }
        return m;
}

static void work(Table *t, Model *m) {
        sql(t, "BEGIN");
        for (uint32_t n = dice(400); n > 0; n--) {
                uint32_t i = dice(POOL);
                bool fresh;
                int64_t id = get(t, m->digests[i], &fresh);

                assert_int_equal(fresh, m->ids[i] == 0);
                if (!fresh)
                        assert_int_equal(id, m->ids[i]);
                m->ids[i] = id;
        }
        if (dice(5) == 0) {
                if (dice(2) == 0)
                        assert_int_equal(digests_flush(t->d), 0);
                sql(t, "ROLLBACK");
                digests_forget(t->d);
                memcpy(m->ids, m->committed, sizeof(m->ids));
        } else {
                commit_table(t);
                memcpy(m->committed, m->ids, sizeof(m->ids));
        }
}

static bool is_gone(void *userdata, int64_t id) {
        const Model *m = userdata;

        for (int i = 0; i < POOL; i++)
                if (m->ids[i] == id)
                        return false;
        return true;
}

/* Some go, the newest among them now and then; their entries go later, or never. */
static void remove_some(Table *t, Model *m) {
        char text[64];
        int64_t last = number(t, "SELECT max(id) FROM content");

        sql(t, "BEGIN");
        for (int i = 0; i < POOL; i++)
                if (m->ids[i] != 0 && (dice(20) == 0 || m->ids[i] == last)) {
                        snprintf(text, sizeof(text), "DELETE FROM content WHERE id = %lld", (long long) m->ids[i]);
                        sql(t, text);
                        m->ids[i] = 0;
                }
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(digests_drop(t->d, dice(DIGESTS_SLICES), is_gone, m), 0);
        commit_table(t);
        memcpy(m->committed, m->ids, sizeof(m->ids));
}

static void open_again(Table *t) {
        digests_free(t->d);
        assert_int_equal(digests_new(t->db, LEAST, &t->d), 0);
}

static void a_digest_has_one_content_whatever_happens(void **state) {
        Model *m = make_model();
        Table t;

        (void) state;
        table_open(&t, LEAST);
        for (int round = 0; round < ROUNDS; round++) {
                work(&t, m);
                if (dice(20) == 0)
                        remove_some(&t, m);
                if (dice(10) == 0)
                        open_again(&t);
                if (dice(40) == 0) {
                        sql(&t, "BEGIN");
                        assert_int_equal(digests_rebuild(t.d), 0);
                        sql(&t, "COMMIT");
                }
                assert_true(is_sound(&t));
        }
        assert_int_equal(number(&t, "SELECT count(*) - count(DISTINCT digest) FROM content"), 0);
        assert_true(number(&t, "SELECT count(*) FROM content") > POOL / 2);
        assert_true(number(&t, "SELECT sum(length(entries)) / 8 FROM digest") > POOL / 4);
        table_close(&t);
        free(m);
}

static void fill(Table *t, int n) {
        uint8_t digest[DIGEST];
        bool fresh;

        for (int i = 0; i < n; i++) {
                if (i % 500 == 0)
                        sql(t, "BEGIN");
                random_digest(digest);
                get(t, digest, &fresh);
                assert_true(fresh);
                if (i % 500 == 499)
                        commit_table(t);
        }
}

/* An index by digest would write a third of a page for each of them, and ever more. */
static void contents_write_few_pages(void **state) {
        int written = 0, high = 0;
        Table t;

        (void) state;
        table_open(&t, 1024);
        fill(&t, MANY);
        assert_int_equal(sqlite3_db_status(t.db, SQLITE_DBSTATUS_CACHE_WRITE, &written, &high, 1), SQLITE_OK);
        fill(&t, 10000);
        assert_int_equal(sqlite3_db_status(t.db, SQLITE_DBSTATUS_CACHE_WRITE, &written, &high, 1), SQLITE_OK);
        assert_in_range(written, 1, 10000 / 10);
        assert_true(number(&t, "SELECT sum(length(entries)) / 8 FROM digest") > MANY);
        assert_true(is_sound(&t));
        table_close(&t);
}

/* Statements that are bound to something read what they are bound to, and nothing else. */
static void a_digest_is_found_by_one_row(void **state) {
        uint8_t digest[DIGEST];
        int n = 0;
        Table t;

        (void) state;
        table_open(&t, LEAST);
        fill(&t, 5000);
        assert_true(number(&t, "SELECT count(*) FROM digest") > DIGESTS_SLICES / 2);
        random_digest(digest);
        assert_int_equal(digests_get(t.d, digest, &(int64_t) { 0 }), 0);
        for (sqlite3_stmt *stmt = sqlite3_next_stmt(t.db, NULL); stmt; stmt = sqlite3_next_stmt(t.db, stmt)) {
                if (sqlite3_bind_parameter_count(stmt) == 0)
                        continue;
                assert_int_equal(sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0), 0);
                assert_int_equal(sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_SORT, 0), 0);
                n++;
        }
        assert_true(n > 4);
        table_close(&t);
}

static void what_is_not_what_contents_make_of_it_is_found(void **state) {
        static const char *const changes[] = {
                "DELETE FROM digest WHERE first = (SELECT max(first) FROM digest)",
                "UPDATE digest SET entries = substr(entries, 1, 8) WHERE first = (SELECT first FROM digest WHERE"
                " length(entries) > 8 LIMIT 1)",
                "UPDATE digest SET entries = CAST(entries || x'00' AS BLOB) WHERE first = (SELECT min(first) FROM digest)",
                "UPDATE digest SET entries = CAST(x'0000000000000099' || substr(entries, 9) AS BLOB) WHERE"
                " first = (SELECT min(first) FROM digest)",
                "UPDATE digest SET first = first + 1 WHERE first = (SELECT max(first) FROM digest)",
                "UPDATE digest_slice SET upto = 5000",
                "DELETE FROM digest_slice WHERE slice IN (SELECT first >> 28 FROM digest)",
                "INSERT INTO digest VALUES (-1, x'0000000000000001')",
                "INSERT INTO content VALUES (0, zeroblob(32), 0)",
                "UPDATE content SET digest = zeroblob(32) WHERE id = 1",
        };
        Table t;

        (void) state;
        table_open(&t, LEAST);
        fill(&t, 5000);
        assert_true(is_sound(&t));
        for (size_t i = 0; i < ELEMENTS(changes); i++) {
                sql(&t, "BEGIN");
                sql(&t, changes[i]);
                assert_false(is_sound(&t));
                sql(&t, "ROLLBACK");
        }
        assert_true(is_sound(&t));
        sql(&t, "DELETE FROM content WHERE id < 100");  /* entries may outlive their contents */
        assert_true(is_sound(&t));
        table_close(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_digest_has_one_content_whatever_happens),
                cmocka_unit_test(contents_write_few_pages),
                cmocka_unit_test(a_digest_is_found_by_one_row),
                cmocka_unit_test(what_is_not_what_contents_make_of_it_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
