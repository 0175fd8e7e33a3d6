/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log of a directory, by the trails, is what a reader of all events finds by their paths; and what that costs. */
#include "tests/lib/unit.h"

#include "daemon/store/private.h"
#include "daemon/store/verify.h"
#include "tests/unit/query-fixture.h"

enum { NAMES = 400, EVENTS = 6000, PLACES = 60, TEXT = 4096 };

static uint64_t random_state;

static uint32_t dice(uint32_t n) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        return (uint32_t) (random_state >> 33) % n;
}

/* Rows. */

static TrailSet some_set(unsigned n) {
        TrailSet s = { 0 };

        for (unsigned i = 0; i < n; i++) {
                unsigned at = n == TRAIL_WIDTH ? i : dice(TRAIL_WIDTH);

                s.bits[at / 64] |= UINT64_C(1) << (at % 64);
        }
        return s;
}

static void a_row_gives_back_what_was_put(void **state) {
        static const unsigned sizes[] = { 1, 2, 31, 40, 256 };
        static const int64_t steps[] = { 1, 127, 128, 1 << 20, INT64_C(1) << 60 };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                TrailSet sets[ELEMENTS(steps)];
                TrailOut out = { 0 };
                int64_t directory = 7;
                TrailIn in;

                for (size_t k = 0; k < ELEMENTS(steps); k++) {
                        sets[k] = some_set(sizes[i]);
                        trail_put(&out, directory += steps[k], &sets[k]);
                }
                in = (TrailIn) { .rest = BYTES(out.data, out.size), .directory = out.first };
                directory = 7;
                for (size_t k = 0; k < ELEMENTS(steps); k++) {
                        assert_int_equal(trail_next(&in), 1);
                        assert_int_equal(in.directory, directory += steps[k]);
                        assert_memory_equal(&in.set, &sets[k], sizeof(sets[k]));
                }
                assert_int_equal(trail_next(&in), 0);
        }
}

static void the_first_of_a_set_is_found_from_both_ends(void **state) {
        (void) state;
        for (int round = 0; round < 500; round++) {
                TrailSet s = some_set(dice(12));
                unsigned from = dice(TRAIL_WIDTH), to = dice(TRAIL_WIDTH);
                int first = -1, last = -1;

                for (unsigned i = from; i <= to; i++)
                        if (s.bits[i / 64] >> (i % 64) & 1) {
                                first = first < 0 ? (int) i : first;
                                last = (int) i;
                        }
                assert_int_equal(trail_first(&s, false, from, to), first);
                assert_int_equal(trail_first(&s, true, from, to), last);
        }
}

static void a_damaged_row_is_refused(void **state) {
        static const uint8_t rows[][4] = { { 3 }, { 3, 32, 1, 2 }, { 3, 2, 1 }, { 0x80, 0x80, 0x80, 0x80 }, { 3, 0, 1, 2 } };
        static const size_t sizes[] = { 1, 4, 3, 4, 4 };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(rows); i++) {
                CLEANUP(freep) uint8_t *exact = memcpy(malloc(sizes[i]), rows[i], sizes[i]);
                TrailIn in = { .rest = BYTES(exact, sizes[i]), .directory = 1 };

                assert_int_equal(trail_next(&in), -EBADMSG);
        }
}

/* A tree that is worked in at random. */

typedef struct Name {
        int64_t node, dataset;
        int parent;                     /* number of a directory; -1: a root */
        char name[8];
        bool directory, there;
} Name;

static Name names[NAMES];
static bool late[3 * EVENTS];
static int n_names;

static bool is_beneath(int what, int above) {
        for (; what >= 0; what = names[what].parent)
                if (what == above)
                        return true;
        return false;
}

static int some(bool directory, bool gone) {
        for (int i = 0; i < 1000; i++) {
                int k = (int) dice((uint32_t) n_names);

                if (names[k].directory == directory && names[k].there != gone)
                        return k;
        }
        return 0;
}

static int held(int parent, const char *name) {
        for (int i = 0; i < n_names; i++)
                if (names[i].there && names[i].parent == parent && strcmp(names[i].name, name) == 0)
                        return i;
        return -1;
}

static Event at(int what, Kind kind) {
        const Name *n = &names[what];

        assert_true(n->parent >= 0);
        return (Event) { .kind = kind,
                         .count = 1,
                         .dataset = names[n->parent].dataset,
                         .node = n->node,
                         .parent = names[n->parent].node,
                         .name = BYTES_STR(n->name) };
}

static void with_state(Event *e, bool directory) {
        e->has_state = true;
        e->type = directory ? TYPE_DIRECTORY : TYPE_FILE;
        e->size = directory ? 0 : dice(1000);
}

static void make_one(void) {
        int parent = some(true, false);
        char name[8];
        Event e;

        snprintf(name, sizeof(name), "%c", 'a' + (int) dice(7));
        if (n_names == NAMES || held(parent, name) >= 0)
                return;
        names[n_names] = (Name) { .node = store_next_node(f.store), .parent = parent, .directory = dice(3) == 0,
                                  .there = true, .dataset = names[parent].dataset };
        snprintf(names[n_names].name, sizeof(name), "%s", name);
        e = at(n_names, KIND_CREATE);
        with_state(&e, names[n_names].directory);
        e.introduces = true;
        e.inode = f.inode++;
        append(&f, e);
        n_names++;
}

/* What is beneath goes with it, to the dataset too. */
static void settle(int what) {
        for (int i = 0; i < n_names; i++)
                if (names[i].there && is_beneath(i, what)) {
                        names[i].there = names[what].there;
                        names[i].dataset = names[what].dataset;
                }
}

static void unlink_one(void) {
        int what = some(dice(4) == 0, false);

        if (names[what].parent < 0)
                return;
        append(&f, at(what, KIND_UNLINK));
        for (int i = 0; i < n_names; i++)
                if (i != what && names[i].there && is_beneath(i, what))
                        names[i].there = false;
        names[what].there = false;
}

static void rename_one(void) {
        int what = some(dice(2) == 0, false), to = some(true, false), over;
        char name[8];
        Event e;

        snprintf(name, sizeof(name), "%c", 'a' + (int) dice(7));
        over = held(to, name);
        if (names[what].parent < 0 || is_beneath(to, what) || over == what || (over >= 0 && is_beneath(what, over)))
                return;
        e = at(what, KIND_RENAME);
        e.old_parent = e.parent;
        e.old_name = e.name;
        e.parent = names[to].node;
        e.name = BYTES_STR(name);
        e.dataset = names[to].dataset;
        append(&f, e);
        if (over >= 0) {
                names[over].there = false;
                for (int i = 0; i < n_names; i++)
                        if (names[i].there && is_beneath(i, over))
                                names[i].there = false;
        }
        names[what].parent = to;
        names[what].dataset = names[to].dataset;
        snprintf(names[what].name, sizeof(name), "%s", name);
        settle(what);
}

static void exchange_two(void) {
        int a = some(true, false), b = some(dice(2) == 0, false), parent;
        char name[8];
        Event e;

        if (names[a].parent < 0 || names[b].parent < 0 || is_beneath(a, b) || is_beneath(b, a) ||
            names[a].dataset != names[b].dataset)
                return;
        e = at(a, KIND_EXCHANGE);
        e.old_parent = e.parent;
        e.old_name = e.name;
        e.parent = names[names[b].parent].node;
        e.name = BYTES_STR(names[b].name);
        append(&f, e);
        parent = names[a].parent;
        memcpy(name, names[a].name, sizeof(name));
        names[a].parent = names[b].parent;
        memcpy(names[a].name, names[b].name, sizeof(name));
        names[b].parent = parent;
        memcpy(names[b].name, name, sizeof(name));
}

/* Of names that are there, of names that are gone, and of none. Those of names that are gone, or in
 * directories that are (late[]), have a path that nothing held by then: whether it finds them is not said. */
static void say_something(void) {
        int what = some(dice(3) == 0, dice(8) == 0), directory = some(true, dice(8) == 0);
        bool gone = !names[what].there;
        Event e;

        if (dice(4) == 0) {
                e = (Event) { .kind = KIND_TRANSIENT, .count = 2, .dataset = names[directory].dataset,
                              .parent = names[directory].node, .name = BYTES_STR("b") };
                gone = !names[directory].there;
        } else if (dice(10) == 0) {
                e = (Event) { .kind = KIND_GAP_OPEN, .dataset = names[directory].dataset,
                              .node = names[directory].node, .cause = CAUSE_PERMISSION };
                gone = !names[directory].there;
        } else if (names[what].parent < 0) {
                return;
        } else {
                gone |= !names[names[what].parent].there;
                e = at(what, !gone && dice(2) ? KIND_MODIFY : KIND_ATTRIBUTE);
                if (!gone)
                        with_state(&e, names[what].directory);
        }
        late[append(&f, e)] = gone;
}

static void work(int events) {
        static void (*const ways[])(void) = { make_one, unlink_one, rename_one, rename_one, exchange_two, say_something,
                                              say_something, say_something };
        int64_t until = store_last_seq(f.store) + events;
        Name before[NAMES];
        int n_before;

        while (store_last_seq(f.store) < until) {
                memcpy(before, names, sizeof(names));
                n_before = n_names;
                begin(&f);
                for (uint32_t n = dice(2) ? 1 + dice(5) : dice(600); n > 0; n--)
                        ways[n_names < 20 ? 0 : dice(ELEMENTS(ways))]();
                if (dice(8) == 0) {
                        store_rollback(f.store);
                        memset(late + store_last_seq(f.store) + 1, 0, sizeof(late) - (size_t) store_last_seq(f.store) - 1);
                        memcpy(names, before, sizeof(names));
                        n_names = n_before;
                } else {
                        commit(&f);
                }
        }
}

/* All events with their paths, and those at or beneath a place. */

typedef struct Told {
        int64_t seq;
        char dataset[8], old_dataset[8], path[TEXT], old_path[TEXT];
        bool has_path, has_old;
} Told;

static Told *told;
static size_t n_told;

static void take(Bytes path, char ret[static TEXT]) {
        assert_true(path.size < TEXT);
        memcpy(ret, path.size > 0 ? path.data : (const uint8_t *) "", path.size);
        ret[path.size] = 0;
}

static int tell(void *userdata, const QueryEvent *e) {
        Told *t = &told[n_told++];

        (void) userdata;
        assert_true(n_told <= 3 * EVENTS);
        t->seq = e->event.seq;
        t->has_path = e->path.data != NULL;
        t->has_old = e->event.old_parent != 0;
        snprintf(t->dataset, sizeof(t->dataset), "%s", e->dataset);
        snprintf(t->old_dataset, sizeof(t->old_dataset), "%s", e->old_dataset ? e->old_dataset : e->dataset);
        take(e->path, t->path);
        take(e->old_path, t->old_path);
        return 0;
}

static bool lies_in(const char *path, const char *place) {
        size_t n = strlen(place);

        return strncmp(path, place, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static bool belongs(const Told *t, const char *dataset, const char *place) {
        return (t->has_path && strcmp(t->dataset, dataset) == 0 && lies_in(t->path, place)) ||
               (t->has_old && strcmp(t->old_dataset, dataset) == 0 && lies_in(t->old_path, place));
}

typedef struct Expected {
        int64_t seqs[3 * EVENTS];
        size_t n, met;
} Expected;

static int compare(void *userdata, const QueryEvent *e) {
        Expected *x = userdata;

        if (late[e->event.seq])
                return 0;
        assert_true(x->met < x->n);
        assert_int_equal(e->event.seq, x->seqs[x->met++]);
        return 0;
}

static size_t ask(const char *dataset, const char *place, int64_t after, int64_t before, bool reverse) {
        static Expected x;
        char path[TEXT + 16];
        Bytes p;

        x.n = x.met = 0;
        for (size_t i = 0; i < n_told; i++) {
                const Told *t = &told[reverse ? n_told - 1 - i : i];

                if (t->seq > after && (before == 0 || t->seq < before) && !late[t->seq] &&
                    belongs(t, dataset, place))
                        x.seqs[x.n++] = t->seq;
        }
        snprintf(path, sizeof(path), "/data/%s/%s", dataset, place);
        p = BYTES_STR(path);
        assert_int_equal(query_events(q, &(QueryEvents) { .paths = &p, .n_paths = 1, .after = after, .before = before,
                                                          .reverse = reverse }, compare, &x), 0);
        assert_int_equal(x.met, x.n);
        return x.n;
}

/* Places that are, and that were. */
static void ask_around(void) {
        size_t found = 0;

        n_told = 0;
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, tell, NULL), 0);
        for (int i = 0; i < PLACES; i++) {
                const Told *t = &told[dice((uint32_t) n_told)];
                char place[TEXT];
                char *slash;

                snprintf(place, sizeof(place), "%s", t->path);
                for (uint32_t up = dice(3); up > 0 && (slash = strrchr(place, '/')); up--)
                        *slash = 0;
                if (place[0] == 0)
                        continue;
                found += ask(t->dataset, place, 0, 0, true) > 20;
                ask(t->dataset, place, 0, 0, false);
                ask(t->dataset, place, dice((uint32_t) n_told), 1 + dice((uint32_t) n_told), dice(2) == 0);
        }
        assert_true(found > PLACES / 10);
}

static void tell_finding(void *userdata, const VerifyFinding *finding) {
        (void) userdata;
        if (finding->outcome != VERIFY_UNSEALED)
                fail_msg("%s", finding->what);
}

static void the_log_of_a_directory_is_what_its_paths_say(void **state) {
        VerifyResult result = { 0 };
        char scratch[96];
        int64_t other;

        (void) state;
        random_state = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 42;
        told = calloc(3 * EVENTS, sizeof(*told));
        begin(&f);
        names[0] = (Name) { .node = f.root, .parent = -1, .directory = true, .there = true, .dataset = f.dataset };
        names[1] = (Name) { .parent = -1, .directory = true, .there = true };
        names[1].dataset = add_dataset(&f, "two", "/data/two", &other);
        names[1].node = other;
        n_names = 2;
        commit(&f);
        for (int round = 0; round < 4; round++) {
                work(EVENTS / 4);
                ask_around();
                q = query_close(q);
                fixture_reopen(&f);
                assert_int_equal(query_open(store_path(f.store), false, &q), 0);
        }
        snprintf(scratch, sizeof(scratch), "%s/scratch", f.dir);
        assert_int_equal(verify_run(f.store->sql.db, &(Verify) { .scratch = scratch, .found = tell_finding }, &result),
                         0);
        assert_true(result.projections);
        free(told);
}

/* Beneath more directories than have an entry. */
static void what_lies_very_deep_is_found(void **state) {
        char top[16] = "/data/one/d0", name[8];
        int64_t at_node;
        Lines l = { 0 };
        Bytes p = BYTES_STR(top);

        (void) state;
        begin(&f);
        at_node = f.root;
        for (int i = 0; i < TRAIL_DEPTH + 6; i++) {
                snprintf(name, sizeof(name), "d%d", i);
                at_node = make(&f, at_node, name, TYPE_DIRECTORY, 0);
        }
        make(&f, at_node, "file", TYPE_FILE, 1);
        make(&f, f.root, "other", TYPE_FILE, 1);
        commit(&f);
        assert_int_equal(query_events(q, &(QueryEvents) { .paths = &p, .n_paths = 1 }, event_line, &l), 0);
        assert_int_equal(l.rows, TRAIL_DEPTH + 7);
}

static int64_t looks(void) {
        sqlite3_stmt *stmt;

        assert_int_equal(query_stmt(q, QUERY_SQL_TRAIL, &stmt), 0);
        return sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_RUN, 1);
}

/* The same few looks, however much others have done since: at most 15 tiles of each level, and the way down. */
static void a_directory_that_rests_is_found_without_the_events_of_others(void **state) {
        int64_t calm, busy, file;

        (void) state;
        begin(&f);
        calm = make(&f, f.root, "calm", TYPE_DIRECTORY, 0);
        make(&f, calm, "a", TYPE_FILE, 1);
        busy = make(&f, f.root, "busy", TYPE_DIRECTORY, 0);
        file = make(&f, busy, "b", TYPE_FILE, 1);
        for (int i = 0; i < 70000; i++) {
                append(&f, (Event) { .kind = KIND_TRANSIENT, .count = 2, .parent = busy, .name = BYTES_STR("t") });
                if (i == 30000)
                        make(&f, calm, "b", TYPE_FILE, 1);
        }
        modify(file, busy, "b", 2);
        commit(&f);
        looks();
        expect_events((QueryEvents) { .reverse = true }, "/data/one/calm",
                      "create calm/b\ncreate calm/a\ncreate calm\n");
        assert_in_range(looks(), 5, 60);
        expect_events((QueryEvents) { 0 }, "/data/one/calm", "create calm\ncreate calm/a\ncreate calm/b\n");
        assert_in_range(looks(), 5, 60);
        expect_events((QueryEvents) { .reverse = true, .limit = 2 }, "/data/one/busy",
                      "modify busy/b\ntransient busy/t\n");
        assert_in_range(looks(), 1, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_row_gives_back_what_was_put),
                cmocka_unit_test(the_first_of_a_set_is_found_from_both_ends),
                cmocka_unit_test(a_damaged_row_is_refused),
                WITH_STORE(the_log_of_a_directory_is_what_its_paths_say),
                WITH_STORE(what_lies_very_deep_is_found),
                WITH_STORE(a_directory_that_rests_is_found_without_the_events_of_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
