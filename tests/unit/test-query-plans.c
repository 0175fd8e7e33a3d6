/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How each statement that answers a question finds its rows: by which index, and by how much of it. A statement without
 * a row in the table here fails: whoever adds one says how it is to be found. */
#include "tests/lib/unit.h"

#include "tests/unit/query-fixture.h"

#define ROWID "USING INTEGER PRIMARY KEY (rowid=?)"
#define ATTR_CONTENT "a " ROWID "; c " ROWID " LEFT-JOIN"
#define EVENT_ATTR_CONTENT "; a " ROWID " LEFT-JOIN; c " ROWID " LEFT-JOIN"
#define NEWEST "event"                  /* min or max of the primary key: one descent */

/* Steps in their order, with "; " between, SEARCH left out; "SCAN" is only what is said to be small. */
static const struct {
        const char *name, *steps;
} plans[] = {
        { "DATASETS", "dataset USING INTEGER PRIMARY KEY (rowid>?)" },
        { "COUNTERS", "counter " ROWID "; counter " ROWID "; gap USING INDEX gap_open (dataset=?)" },
        { "EVENT", "e " ROWID EVENT_ATTR_CONTENT },
        { "EVENTS_UP", "e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" EVENT_ATTR_CONTENT },
        { "EVENTS_DOWN", "e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" EVENT_ATTR_CONTENT },
        { "LAST_SEQ", NEWEST },
        { "BATCH", "b USING INTEGER PRIMARY KEY (rowid<?); o " ROWID
                   "; batch USING INTEGER PRIMARY KEY (rowid>?); " NEWEST },
        { "COMMIT_BEFORE", "event USING INDEX event_commit (dataset=? AND rowid<?)" },
        { "COMMIT_UNTIL", "event USING INDEX event_commit (dataset=? AND rowid>?); " NEWEST },
        { "NODE_UP", "event USING INDEX event_node (node=? AND rowid>? AND rowid<?)" },
        { "NODE_DOWN", "event USING INDEX event_node (node=? AND rowid>? AND rowid<?)" },
        { "NODE_BORN", "node " ROWID },
        { "NODE_SWAPPED", "l USING INDEX link_node (node=?); e " ROWID },
        { "TRANSIENT_UP", "event USING INDEX event_transient (parent=? AND name=? AND rowid>? AND rowid<?)" },
        { "TRANSIENT_DOWN", "event USING INDEX event_transient (parent=? AND name=? AND rowid>? AND rowid<?)" },
        { "LINK_LEFT", "link USING PRIMARY KEY (parent=? AND until=? AND name=?)" },
        { "LINK_AT", "link USING INDEX link_node (node=?); " NEWEST },
        { "LINK_OPEN", "l USING PRIMARY KEY (parent=? AND until=? AND name=?); n " ROWID "; a " ROWID },
        { "LINK_CLOSED",
          "l USING INDEX link_closed (parent=? AND name=? AND until>?); n " ROWID "; a " ROWID },
        { "LINK_NEWEST", "link USING INDEX link_closed (parent=? AND name=? AND until>?)" },
        { "LINK_THEN", "link USING INDEX link_closed (parent=? AND name=? AND until>?)" },
        { "FILES", "l USING PRIMARY KEY (parent=? AND until=? AND name>?); n " ROWID "; " ATTR_CONTENT },
        { "FILES_THEN", "l USING PRIMARY KEY (parent=? AND until=? AND name>?); n " ROWID "; " ATTR_CONTENT
                        "; k USING INDEX link_node (node=?); l USING INDEX link_closed (parent=? AND name>?);"
                        " n " ROWID "; " ATTR_CONTENT "; k USING INDEX link_node (node=?)" },
        { "FILE", "n " ROWID "; " ATTR_CONTENT },
        { "FILE_THEN", "n " ROWID "; " ATTR_CONTENT "; k USING INDEX link_node (node=?)" },
        { "NODE_BEFORE", "e USING INDEX event_node (node=? AND rowid<?)" EVENT_ATTR_CONTENT },
        { "NODE_AFTER", "e USING INDEX event_node (node=? AND rowid>?)" EVENT_ATTR_CONTENT },
        { "BATCH_SHADED", "batch USING INDEX batch_behind (first_seq<?)" },
        { "SPAN_UP", "span USING PRIMARY KEY (dataset=? AND block>?)" },
        { "SPAN_DOWN", "span USING PRIMARY KEY (dataset=? AND block<?)" },
        { "TRAIL", "trail USING PRIMARY KEY (level=? AND idx=? AND directory<?)" },
        { "NOTICED", "event USING INTEGER PRIMARY KEY (rowid>?)" },
        { "ROOTS", "event USING INDEX event_root (dataset=? AND rowid<?)" },
        { "PRUNE_BEGUN", "care USING PRIMARY KEY (what=?)" },
        { "PRUNABLE", "event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?); l USING INDEX link_node (node=? AND until=?);"
                  " l USING INDEX link_node (node=? AND until>?);"
                  " e USING INDEX event_node (node=? AND rowid>? AND rowid<?);"
                  " e USING INDEX event_node (node=? AND rowid>? AND rowid<?);"
                  " e USING INDEX event_node (node=? AND rowid>? AND rowid<?);"
                  " e USING INDEX event_node (node=? AND rowid>? AND rowid<?);"
                  " l USING INDEX link_node (node=?)" },
        { "PRUNED", "care USING PRIMARY KEY (what=?)" },
        { "GAPS_OPEN", "gap USING INDEX gap_open (dataset=?)" },
        { "GAPS_THEN", "gap USING INDEX gap_dataset (dataset=?)" },
        { "GAPS", "gap USING INDEX gap_dataset (dataset=?)" },
        /* datasets are few; wanted has blocks with what is still to be read alone */
        { "TOTALS", "SCAN dataset USING INDEX dataset_name; " NEWEST "; gap USING INDEX gap_open (dataset=?);"
                    " SCAN dataset USING INDEX dataset_name" },
        { "PAGES", "SCAN pragma_page_count VIRTUAL TABLE INDEX 0:; SCAN pragma_page_size VIRTUAL TABLE INDEX 0:" },
        { "FORM", "SCAN pragma_user_version VIRTUAL TABLE INDEX 0:" },
        { "SERIES", "series USING INDEX sqlite_autoindex_series_1 (name=? AND labels>?)" },
        { "CHUNKS", "chunk USING PRIMARY KEY (series=? AND since>? AND since<?)" },
};

static const struct {
        const char *name, *text;
} statements[] = {
#define TEXT_ITEM(name, text) { #name, text },
        QUERY_STATEMENTS(TEXT_ITEM)
};

/* What holds other steps; no rows are looked for there. */
static bool is_frame(const char *step) {
        static const char *const frames[] = { "MERGE (UNION ALL)", "LEFT", "RIGHT", "SCAN CONSTANT ROW" };

        for (size_t i = 0; i < ELEMENTS(frames); i++)
                if (strcmp(step, frames[i]) == 0)
                        return true;
        return strncmp(step, "SCALAR SUBQUERY ", 16) == 0 || strncmp(step, "LIST SUBQUERY ", 14) == 0 ||
               strncmp(step, "CORRELATED SCALAR SUBQUERY ", 27) == 0;
}

/* An index that has all that is asked for is as good as one that has not. */
static void put_step(Lines *l, const char *step) {
        const char *covering = strstr(step, "COVERING ");

        if (strncmp(step, "SEARCH ", 7) == 0)
                step += 7;
        put(l, "%s%.*s%s", l->size > 0 ? "; " : "", covering ? (int) (covering - step) : (int) strlen(step), step,
            covering ? covering + 9 : "");
}

static void plan_of(const char *text, Lines *l) {
        sqlite3_stmt *stmt = NULL;
        char explain[4096];

        assert_true((size_t) snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", text) < sizeof(explain));
        assert_int_equal(sqlite3_prepare_v2(q->sql.db, explain, -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
                const char *step = (const char *) sqlite3_column_text(stmt, 3);

                if (!is_frame(step))
                        put_step(l, step);
        }
        sqlite3_finalize(stmt);
}

static const char *expected(const char *name) {
        for (size_t i = 0; i < ELEMENTS(plans); i++)
                if (strcmp(plans[i].name, name) == 0)
                        return plans[i].steps;
        fail_msg("%s has no row in the table of plans", name);
        return NULL;
}

static void every_statement_finds_its_rows_as_the_table_says(void **state) {
        (void) state;
        for (size_t i = 0; i < ELEMENTS(statements); i++) {
                Lines l = { 0 };

                plan_of(statements[i].text, &l);
                if (strcmp(l.text, expected(statements[i].name)) != 0)
                        fail_msg("%s:\n%s\nexpected:\n%s", statements[i].name, l.text,
                                 expected(statements[i].name));
        }
        assert_int_equal(ELEMENTS(statements), ELEMENTS(plans));
}

/* Statistics of a store that is still small must not lead to plans that are bad once it is large. */
static void and_after_maintenance_of_a_small_store(void **state) {
        int64_t done, left;
        char name[32];

        begin(&f);
        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "n%d", i);
                make(&f, f.root, name, i % 10 ? TYPE_FILE : TYPE_DIRECTORY, 5);
        }
        assert_int_equal(store_step(f.store, STORE_STEP_ANALYZE, 0, &done, &left), 0);
        commit(&f);
        every_statement_finds_its_rows_as_the_table_says(state);
}

/* A page begins behind the last row of the one before, by its key: what an OFFSET skips is read all the same. */
static void no_statement_skips_rows_by_counting_them(void **state) {
        (void) state;
        for (size_t i = 0; i < ELEMENTS(statements); i++)
                if (strstr(statements[i].text, "OFFSET"))
                        fail_msg("%s", statements[i].name);
}

/* As it is for one whose plan depends on what is bound. */
static void no_statement_is_compiled_again(void **state) {
        (void) state;
        for (size_t i = 0; i < ELEMENTS(statements); i++) {
                sqlite3_stmt *stmt;

                assert_int_equal(sqlite3_prepare_v2(q->sql.db, statements[i].text, -1, &stmt, NULL), SQLITE_OK);
                for (int value = 0; value < 3; value++) {
                        for (int k = 1; k <= sqlite3_bind_parameter_count(stmt); k++)
                                sqlite3_bind_int64(stmt, k, value);
                        (void) sqlite3_step(stmt);
                        sqlite3_reset(stmt);
                }
                if (sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_REPREPARE, 0) > 0)
                        fail_msg("%s", statements[i].name);
                sqlite3_finalize(stmt);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_STORE(every_statement_finds_its_rows_as_the_table_says),
                WITH_STORE(and_after_maintenance_of_a_small_store),
                WITH_STORE(no_statement_skips_rows_by_counting_them),
                WITH_STORE(no_statement_is_compiled_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
