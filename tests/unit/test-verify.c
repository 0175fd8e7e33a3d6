/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What verify finds: the classes of change that a store may suffer, a hundred of each at places chosen by chance.
 * Two of them nothing on the machine itself can show; one checkpoint that was kept elsewhere does. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <time.h>

#include "daemon/store/private.h"
#include "daemon/store/proof.h"
#include "daemon/store/verify.h"
#include "tests/unit/store-fixture.h"

enum {
        SEALS = 14,                     /* one each SEAL_EVERY events; another key after each third */
        SEAL_EVERY = 90,
        TIMES = 100,
};
static const int64_t day = 24 * 3600 * (int64_t) USEC_PER_SEC;

static Fixture fixture;
static char pristine[128];              /* a backup of it: never changed */
static VerifyPoint outside;             /* a checkpoint that somebody else has */
static unsigned seed = 1;

static unsigned chance(unsigned n) {
        seed = seed * 1103515245u + 12345u;
        return (seed >> 8) % n;
}

static void seal(Fixture *f) {
        StoreSeal s;

        begin(f);
        assert_int_equal(store_seal(f->store, &s), 0);
        commit(f);
        outside.size = s.size;
        assert_int_equal(hash_parse(BYTES_STR(s.root), &outside.root), 0);
        store_seal_done(&s);
}

/* A directory, files with digests, renames, removals, a gap: every table has rows. */
static void work(Fixture *f, int round) {
        uint8_t digest[EVENT_DIGEST_SIZE] = { 0 };
        int64_t dir, node;
        char name[32], other[40];

        begin(f);
        snprintf(name, sizeof(name), "dir%d", round);
        dir = make(f, f->root, name, TYPE_DIRECTORY, 0);
        for (int i = 0; store_last_seq(f->store) < (round + 1) * SEAL_EVERY - 8; i++) {
                snprintf(name, sizeof(name), "file%d", i);
                node = make(f, dir, name, i % 11 ? TYPE_FILE : TYPE_SYMLINK, i);
                memcpy(digest, &node, sizeof(node));
                if (i % 3 == 0)
                        append(f, (Event) { .kind = KIND_IDENTIFY, .count = 0, .node = node,
                                            .last = i == 0 ? f->now - STORE_LATE_USEC : 0,
                                            .digest = BYTES(digest, sizeof(digest)), .digest_source = DIGEST_SOURCE_READ });
                snprintf(other, sizeof(other), "%s.moved", name);
                if (i % 5 == 0)
                        rename_node(f, node, dir, name, dir, other);
                if (i % 7 == 0)
                        unlink_name(f, node, dir, i % 5 ? name : other);
        }
        node = append(f, (Event) { .kind = KIND_GAP_OPEN, .cause = CAUSE_OVERFLOW });
        append(f, (Event) { .kind = KIND_GAP_CLOSE, .cause = CAUSE_OVERFLOW, .gap = node });
        commit(f);
        seal(f);
}

static int make_store(void **state) {
        int fd;

        fixture_open(&fixture);
        for (int round = 0; round < SEALS; round++) {
                work(&fixture, round);
                fixture.now += round % 3 == 2 ? 7 * day : (int64_t) USEC_PER_SEC * 60;
        }
        begin(&fixture);
        make(&fixture, fixture.root, "late", TYPE_FILE, 1);
        commit(&fixture);
        seal(&fixture);
        begin(&fixture);
        make(&fixture, fixture.root, "tail", TYPE_FILE, 1);     /* not sealed */
        commit(&fixture);
        snprintf(pristine, sizeof(pristine), "%s/pristine", fixture.dir);
        fd = open(pristine, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(store_backup(fixture.store, fd, NULL, NULL), 0);
        close(fd);
        return 0;
}

static int remove_store(void **state) {
        fixture_close(&fixture);
        return 0;
}

static void copy_to(const char *to) {
        int in = open(pristine, O_RDONLY | O_CLOEXEC), out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        char data[65536];
        ssize_t n;

        assert_true(in >= 0 && out >= 0);
        while ((n = read(in, data, sizeof(data))) > 0)
                assert_int_equal(write(out, data, (size_t) n), n);
        close(in);
        close(out);
}

/* A copy that may be changed; changes are undone by ROLLBACK. */
static sqlite3 *open_copy(void) {
        char path[160];
        sqlite3 *db;

        snprintf(path, sizeof(path), "%s/copy", fixture.dir);
        copy_to(path);
        assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix-excl"), SQLITE_OK);
        return db;
}

static void PRINTF_LIKE(2, 3) change(sqlite3 *db, const char *format, ...) {
        char sql[512], *error = NULL;
        va_list args;

        va_start(args, format);
        vsnprintf(sql, sizeof(sql), format, args);
        va_end(args);
        if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
                fail_msg("%s: %s", sql, error);
}

typedef struct Found {
        int64_t from, to;               /* the first range */
        char text[256];
} Found;

static void on_found(void *userdata, const VerifyFinding *f) {
        Found *found = userdata;

        if (found->text[0])
                return;
        found->from = f->from;
        found->to = f->to;
        snprintf(found->text, sizeof(found->text), "%s", f->what);
}

static VerifyResult check(sqlite3 *db, bool with_outside, Found *ret) {
        Verify v = { .against = &outside, .n_against = with_outside, .now = fixture.now, .found = on_found,
                     .userdata = ret };
        VerifyResult result;

        *ret = (Found) { 0 };
        assert_int_equal(verify_run(db, &v, &result), 0);
        return result;
}

static int64_t number(sqlite3 *db, const char *sql) {
        int64_t n = 0;

        assert_int_equal(sql_number(db, sql, &n), 0);
        return n;
}

static int64_t some_event(sqlite3 *db) {
        return 1 + chance((unsigned) number(db, "SELECT max(size) FROM checkpoint") - 1);
}

static void a_store_as_it_is_is_sound(void **state) {
        sqlite3 *db = open_copy();
        VerifyResult r;
        Found found;

        r = check(db, true, &found);
        if (r.outcome != VERIFY_SOUND)
                fail_msg("%s", found.text);
        assert_int_equal(r.events, r.sealed + 1);
        assert_int_equal(r.checkpoints, SEALS + 1);
        assert_true(r.keys >= 4);
        assert_int_equal(r.against, 1);
        sqlite3_close(db);
}

/* The classes. `which`: an event, by chance. */

static void edit(sqlite3 *db, int64_t which) {
        static const char *const columns[] = { "ago", "span", "what", "what", "what", "size", "node", "parent" };
        static const unsigned ones[] = { 1, 1, 1, 64, 2048, 1, 1, 1 };        /* of what: kind, origin, count */
        static const char *const blobs[] = { "name", "target", "detail" };
        unsigned n = chance(11);

        if (n == 5)                     /* of an event without a state the size says nothing */
                change(db, "UPDATE event SET size = size + 1, what = what + 2048 * (attr IS NULL) WHERE seq = %lld",
                       (long long) which);
        else if (n < 8)
                change(db, "UPDATE event SET %s = ifnull(%s, 0) + %u WHERE seq = %lld", columns[n], columns[n],
                       ones[n], (long long) which);
        else
                change(db, "UPDATE event SET %s = CAST(ifnull(%s, x'') || x'21' AS BLOB) WHERE seq = %lld", blobs[n - 8],
                       blobs[n - 8], (long long) which);
}

static void delete(sqlite3 *db, int64_t which) {
        change(db, "DELETE FROM event WHERE seq = %lld", (long long) which);
}

static void delete_and_renumber(sqlite3 *db, int64_t which) {
        change(db, "DELETE FROM event WHERE seq = %lld; UPDATE event SET seq = -seq WHERE seq > %lld;"
                   "UPDATE event SET seq = -seq - 1 WHERE seq < 0", (long long) which, (long long) which);
}

static void insert(sqlite3 *db, int64_t which) {
        change(db, "UPDATE event SET seq = -seq WHERE seq > %lld; UPDATE event SET seq = -seq + 1 WHERE seq < 0;"
                   "INSERT INTO event SELECT seq + 1, ago, span, dataset, what, node, parent, x'66616b65', inode,"
                   " lived, attr, size, age, content, target, rest, detail FROM event WHERE seq = %lld",
               (long long) which, (long long) which);
}

static void drop_a_checkpoint(sqlite3 *db, int64_t which) {
        change(db, "DELETE FROM checkpoint WHERE number = %lld", 1 + (long long) which % SEALS);
}

static void remove_all_seals(sqlite3 *db, int64_t which) {
        change(db, "DELETE FROM checkpoint; DELETE FROM tile_head WHERE %lld %% 2 = 0", (long long) which);
}

static void cut_to(sqlite3 *db, int64_t number_of) {
        change(db, "DELETE FROM event WHERE seq > (SELECT size FROM checkpoint WHERE number = %lld);"
                   "DELETE FROM checkpoint WHERE number > %lld;"
                   "DELETE FROM tile_head WHERE id >> 56 = 0 AND (id + 1) * 256 > (SELECT max(seq) FROM event)",
               (long long) number_of, (long long) number_of);
}

/* Older than the window in which the newest checkpoint must lie. */
static void cut_back(sqlite3 *db, int64_t which) {
        cut_to(db, 1 + which % (SEALS - 2));
}

static void cut_back_within_the_window(sqlite3 *db, int64_t which) {
        cut_to(db, SEALS - which % 2);
}

static void write_part(sqlite3 *db, const char *sql, unsigned level, int64_t index, Bytes data) {
        sqlite3_stmt *stmt = NULL;

        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
        sql_bind(stmt, 1, level);
        sql_bind(stmt, 2, index);
        sql_bind_bytes(stmt, 3, data);
        assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
        sqlite3_finalize(stmt);
}

static int write_tile(void *userdata, unsigned level, int64_t index, Bytes data) {
        size_t head = MIN_OF(data.size, (size_t) TILE_HEAD * HASH_SIZE);

        write_part(userdata, "INSERT OR REPLACE INTO tile_head VALUES (?1 << 56 | ?2, ?3)", level, index,
                   BYTES(data.data, head));
        if (data.size > head)
                write_part(userdata, "INSERT OR REPLACE INTO tile_tail VALUES (?1 << 56 | ?2, ?3)", level, index,
                           BYTES(data.data + head, data.size - head));
        return 0;
}

static void sign_again(sqlite3 *db, const Tree *tree, int64_t n, const NoteSecret *secret) {
        CLEANUP(freep) char *text = NULL, *note = NULL, *sql = NULL;
        Checkpoint c = { .size = tree->size, .number = n };

        assert_true(asprintf(&sql, "SELECT time FROM checkpoint WHERE number = %lld", (long long) n) > 0);
        c.time = number(db, sql);
        tree_root(tree, &c.root);
        snprintf(c.origin, sizeof(c.origin), "%s", secret->key.name);
        assert_int_equal(checkpoint_format(&c, &text), 0);
        assert_int_equal(note_sign(text, secret, &note), 0);
        change(db, "UPDATE checkpoint SET note = '%s' WHERE number = %lld", note, (long long) n);
}

/* By one who has our code and a key: tiles and checkpoints from the how-manyth on are made to fit the rows. */
static void resign(sqlite3 *db, int64_t from, const NoteSecret *secret) {
        CLEANUP(reader_freep) Reader *reader = NULL;
        CLEANUP(freep) uint8_t *bytes = NULL;
        Tree tree = { 0 };
        int64_t n = 1, size = 0;
        size_t max = 0, leaf_size;
        const Hash *edge;
        Event e;

        assert_int_equal(reader_new(db, &reader), 0);
        while (reader_next(reader, &e) == READER_EVENT) {
                Hash leaf;

                assert_int_equal(event_put(&e, 1, &bytes, &max, &leaf_size), 0);
                hash_leaf(bytes, leaf_size, &leaf);
                assert_int_equal(tree_add(&tree, &leaf, write_tile, db), 0);
                for (;; n++) {
                        char sql[96];

                        snprintf(sql, sizeof(sql), "SELECT size FROM checkpoint WHERE number = %lld", (long long) n);
                        size = number(db, sql);
                        if (size != tree.size)
                                break;
                        if (n >= from)
                                sign_again(db, &tree, n, secret);
                }
        }
        max = tree_edge(&tree, 0, &edge);
        write_tile(db, 0, tree.size / TILE_WIDTH, BYTES(edge, max * HASH_SIZE));
        tree_done(&tree);
}

static int64_t first_of_this_key(sqlite3 *db) {
        return number(db, "SELECT max(seq) FROM event WHERE kind = 21") + 1;
}

/* journald once took that (CVE-2023-31439). */
static void rewrite_the_past_with_the_key_of_now(sqlite3 *db, int64_t which) {
        edit(db, 1 + which % (first_of_this_key(db) - 10));
        resign(db, 1, &fixture.store->signer.secret);
}

static void rewrite_what_the_key_of_now_sealed(sqlite3 *db, int64_t which) {
        int64_t first = first_of_this_key(db), last = number(db, "SELECT max(size) FROM checkpoint");
        char sql[96];

        edit(db, first + which % (last - first));
        snprintf(sql, sizeof(sql), "SELECT min(number) FROM checkpoint WHERE size >= %lld", (long long) first);
        resign(db, number(db, sql), &fixture.store->signer.secret);
}

static void sign_all_with_a_key_of_his_own(sqlite3 *db, int64_t which) {
        NoteSecret own;

        edit(db, which);
        assert_int_equal(note_secret_new(fixture.store->signer.secret.key.name, &own), 0);
        resign(db, 1, &own);
}

static void damage_a_tile(sqlite3 *db, int64_t which) {
        int level = which % 5 == 0, at = (int) (level ? which % 3 : which % 125) * 32;

        change(db, "UPDATE tile_head SET data = CAST(substr(data, 1, %d) || x'00ff00ff' || substr(data, %d) AS BLOB) WHERE"
                   " id = (%d << 56 | %lld)", at, at + 5, level, (long long) (level ? 0 : which % 4));
}

typedef struct Class {
        void (*make)(sqlite3 *db, int64_t which);
        VerifyOutcome alone, outside;   /* what verify says; and when it has that checkpoint */
        int names;                      /* the first finding names the event, or the one behind it: 1, 2; 0: neither */
} Class;

static void is_found_each_time(const Class *class) {
        sqlite3 *db = open_copy();

        for (int i = 0; i < TIMES; i++) {
                int64_t which = some_event(db);
                VerifyResult r;
                Found found;

                change(db, "BEGIN");
                class->make(db, which);
                r = check(db, false, &found);
                if (r.outcome != class->alone)
                        fail_msg("event %d: alone it says %d (%s)", (int) which, r.outcome, found.text);
                if (class->names && found.from != which + class->names - 1)
                        fail_msg("event %d: it names %d to %d (%s)", (int) which, (int) found.from, (int) found.to,
                                 found.text);
                r = check(db, true, &found);
                if (r.outcome != class->outside)
                        fail_msg("event %d: with a checkpoint from elsewhere it says %d (%s)", (int) which, r.outcome,
                                 found.text);
                change(db, "ROLLBACK");
        }
        sqlite3_close(db);
}

#define CLASS(name, ...)                                                \
        static void name##_is_found_each_time(void **state) {           \
                is_found_each_time(&(Class) { name, __VA_ARGS__ });     \
        }

CLASS(edit, VERIFY_ALTERED, VERIFY_ALTERED, 0)
CLASS(delete, VERIFY_ALTERED, VERIFY_ALTERED, 1)
CLASS(delete_and_renumber, VERIFY_ALTERED, VERIFY_ALTERED, 0)
CLASS(insert, VERIFY_ALTERED, VERIFY_ALTERED, 0)
CLASS(drop_a_checkpoint, VERIFY_ALTERED, VERIFY_ALTERED, 0)
CLASS(remove_all_seals, VERIFY_UNSEALED, VERIFY_UNSEALED, 0)
CLASS(cut_back, VERIFY_TRUNCATED, VERIFY_TRUNCATED, 0)
CLASS(rewrite_the_past_with_the_key_of_now, VERIFY_ALTERED, VERIFY_ALTERED, 0)
CLASS(sign_all_with_a_key_of_his_own, VERIFY_UNKNOWN_KEY, VERIFY_ALTERED, 0)
CLASS(damage_a_tile, VERIFY_DAMAGED, VERIFY_DAMAGED, 0)
/* The two that the manual tells of. */
CLASS(cut_back_within_the_window, VERIFY_SOUND, VERIFY_TRUNCATED, 0)
CLASS(rewrite_what_the_key_of_now_sealed, VERIFY_SOUND, VERIFY_ALTERED, 0)

/* An edit of a row that names no key: exactly that row is named. */
static void the_row_that_was_edited_is_named(void **state) {
        sqlite3 *db = open_copy();

        for (int i = 0; i < TIMES; i++) {
                int64_t which = some_event(db);
                Found found;

                change(db, "BEGIN");
                change(db, "UPDATE event SET what = what + 2048 WHERE seq = %lld", (long long) which);
                check(db, false, &found);
                assert_int_equal(found.from, which);
                assert_int_equal(found.to, which);
                change(db, "ROLLBACK");
        }
        sqlite3_close(db);
}

/* All that the database says, as one number. False: it cannot be read. */
static bool say_all(sqlite3 *db, uint64_t *ret) {
        static const char *const tables[] = { "event", "batch", "boot", "attr", "content", "filesystem", "dataset", "node",
                                              "link", "gap", "counter", "tile", "checkpoint", "run" };
        uint64_t h = 1469598103934665603u;
        int rc = SQLITE_DONE;

        for (size_t t = 0; t < ELEMENTS(tables) && rc == SQLITE_DONE; t++) {
                char sql[64];
                sqlite3_stmt *stmt = NULL;

                snprintf(sql, sizeof(sql), "SELECT * FROM %s", tables[t]);
                rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
                while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
                        rc = SQLITE_OK;
                        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
                                const uint8_t *data = sqlite3_column_blob(stmt, i);

                                h = (h ^ (uint64_t) sqlite3_column_type(stmt, i)) * 1099511628211u;
                                for (int k = 0; data && k < sqlite3_column_bytes(stmt, i); k++)
                                        h = (h ^ data[k]) * 1099511628211u;
                        }
                }
                sqlite3_finalize(stmt);
        }
        *ret = h;
        return rc == SQLITE_DONE;
}

static bool is_whole(sqlite3 *db) {
        sqlite3_stmt *stmt = NULL;
        bool r = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
                 sqlite3_step(stmt) == SQLITE_ROW && strcmp((const char *) sqlite3_column_text(stmt, 0), "ok") == 0;

        sqlite3_finalize(stmt);
        return r;
}

static VerifyOutcome check_file(const char *path, bool *ret_live, uint64_t pristine_said) {
        char scratch[160];
        Verify v = { .now = fixture.now, .scratch = scratch };
        VerifyResult result = { .outcome = VERIFY_DAMAGED };
        sqlite3 *db = NULL;
        uint64_t said;

        snprintf(scratch, sizeof(scratch), "%s/scratch", fixture.dir);
        assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix-excl"), SQLITE_OK);
        *ret_live = !say_all(db, &said) || said != pristine_said || !is_whole(db);
        if (verify_run(db, &v, &result) < 0)
                result.outcome = VERIFY_DAMAGED;        /* so damaged that it says so */
        sqlite3_close(db);
        nftw(scratch, fixture_unlink, 8, FTW_DEPTH | FTW_PHYS);
        return result.outcome;
}

static void random_damage_of_four_bytes_is_found(void **state) {
        enum { HITS = 60 };
        char path[160];
        uint64_t said;
        struct stat st;
        bool live;
        int n_live = 0, n_found = 0;
        sqlite3 *db = open_copy();

        assert_true(say_all(db, &said));
        sqlite3_close(db);
        snprintf(path, sizeof(path), "%s/copy", fixture.dir);
        assert_int_equal(check_file(path, &live, said), VERIFY_SOUND);
        assert_false(live);
        assert_int_equal(stat(path, &st), 0);
        for (int i = 0; i < HITS; i++) {
                uint32_t noise = chance(1 << 24) * 257u + 1;
                int64_t at = 100 + (int64_t) chance((unsigned) st.st_size - 200), fd;
                VerifyOutcome outcome;

                copy_to(path);
                fd = open(path, O_WRONLY | O_CLOEXEC);
                assert_int_equal(pwrite((int) fd, &noise, sizeof(noise), at), sizeof(noise));
                close((int) fd);
                outcome = check_file(path, &live, said);
                n_live += live;
                n_found += live && outcome != VERIFY_SOUND;
        }
        print_message("# %d hits, %d of them in live bytes, %d found\n", HITS, n_live, n_found);
        assert_true(n_live > HITS / 4);
        assert_true(n_found * 100 >= n_live * 95);
}

/* What follows from the events, changed alone. */
static void a_projection_that_does_not_follow_is_damage(void **state) {
        static const char *const changes[] = {
                "UPDATE node SET size = size + 1 WHERE id = 9",
                "UPDATE node SET links = 0 WHERE id = 5",
                "UPDATE link SET node = node + 1 WHERE (parent, until, name) = (SELECT parent, until, name FROM link"
                " WHERE until = 0 LIMIT 1)",
                "DELETE FROM link WHERE (parent, until, name) = (SELECT parent, until, name FROM link WHERE until > 0"
                " LIMIT 1)",
                "UPDATE gap SET until = NULL, closed_by = NULL WHERE id = (SELECT min(id) FROM gap)",
                "UPDATE counter SET files = files + 1",
                "UPDATE dataset SET name = 'other'",
                "DELETE FROM node WHERE id = 20",
                "INSERT INTO digest VALUES (77, CAST('what is this? !!' AS BLOB))",
                "DELETE FROM span WHERE dataset = -3",
        };
        char path[160];
        uint64_t said = 0;
        bool live;

        snprintf(path, sizeof(path), "%s/copy", fixture.dir);
        for (size_t i = 0; i < ELEMENTS(changes); i++) {
                sqlite3 *db = open_copy();

                change(db, "%s", changes[i]);
                assert_int_equal(sqlite3_changes(db) > 0, 1);
                sqlite3_close(db);
                if (check_file(path, &live, said) != VERIFY_DAMAGED)
                        fail_msg("not found: %s", changes[i]);
        }
}

static void keys_that_are_given_are_trusted_and_no_others(void **state) {
        sqlite3 *db = open_copy();
        Verify v = { .now = fixture.now };
        CLEANUP(freep) char *text = NULL;
        NoteKey *keys = NULL;
        NoteSecret other;
        VerifyResult r;

        assert_int_equal(keys_make(db, &text), 0);
        v.n_keys = (size_t) keys_parse(BYTES_STR(text), &keys);
        assert_true(v.n_keys >= 4);
        v.keys = keys;
        assert_int_equal(verify_run(db, &v, &r), 0);
        assert_int_equal(r.outcome, VERIFY_SOUND);
        assert_int_equal(note_secret_new(keys[0].name, &other), 0);
        v.keys = &other.key;
        v.n_keys = 1;
        assert_int_equal(verify_run(db, &v, &r), 0);
        assert_int_equal(r.outcome, VERIFY_UNKNOWN_KEY);
        free(keys);
        sqlite3_close(db);
}

static void every_event_has_a_proof_that_the_key_alone_checks(void **state) {
        sqlite3 *db = open_copy();
        CLEANUP(freep) char *text = NULL;
        NoteKey *keys = NULL;
        int n;

        assert_int_equal(keys_make(db, &text), 0);
        n = keys_parse(BYTES_STR(text), &keys);
        for (int i = 0; i < TIMES; i++) {
                int64_t which = some_event(db);
                char *proof = NULL, *at;
                Proof p;

                assert_int_equal(proof_make(db, which, &proof), 0);
                assert_int_equal(proof_check(BYTES_STR(proof), keys, (size_t) n, &p), 0);
                assert_int_equal(p.event.seq, which);
                proof_done(&p);
                assert_int_equal(proof_check(BYTES_STR(proof), NULL, 0, &p), PROOF_E_UNKNOWN_KEY);
                at = proof + chance((unsigned) strlen(proof));
                *at = *at == 'A' ? 'B' : 'A';
                assert_int_not_equal(proof_check(BYTES_STR(proof), keys, (size_t) n, &p), 0);
                free(proof);
        }
        change(db, "UPDATE tile_head SET data = x'00' WHERE id >> 56 = 0 AND (id + 1) * 256 < (SELECT max(size) FROM"
                   " checkpoint) AND id <> 0");            /* one tile of each level is all that a proof reads */
        free(text);
        assert_int_equal(proof_make(db, 9, &text), 0);
        assert_int_equal(proof_make(db, number(db, "SELECT max(seq) FROM event"), &text), PROOF_E_UNSEALED);
        assert_int_equal(proof_make(db, 1 << 20, &text), PROOF_E_NO_EVENT);
        change(db, "UPDATE event SET what = what + 77 * 2048 WHERE seq = 9");
        assert_int_equal(proof_make(db, 9, &text), PROOF_E_UNFIT);
        free(keys);
        sqlite3_close(db);
}

enum { DAYS = 20, A_DAY = 30 };

static VerifyOutcome outcome_of(Fixture *f, int64_t *ret_checkpoints) {
        Verify v = { .now = f->now };
        VerifyResult result;

        assert_int_equal(verify_run(f->store->sql.db, &v, &result), 0);
        *ret_checkpoints = result.checkpoints;
        return result.outcome;
}

static VerifyOutcome outcome_after(Fixture *f, const char *sql) {
        VerifyOutcome outcome;
        int64_t n;

        assert_int_equal(sql_exec(f->store->sql.db, "BEGIN"), 0);
        assert_int_equal(sql_exec(f->store->sql.db, sql), 0);
        outcome = outcome_of(f, &n);
        assert_int_equal(sql_exec(f->store->sql.db, "ROLLBACK"), 0);
        return outcome;
}

static void run_steps(Fixture *f, StoreStep step, int64_t argument, int64_t *ret_removed) {
        int64_t done, left;

        do {
                begin(f);
                assert_int_equal(store_step(f->store, step, argument, &done, &left), 0);
                commit(f);
                *ret_removed += done;
        } while (left > 0);
}

static int64_t modify_to(Fixture *f, int64_t node, int content) {
        uint8_t digest[EVENT_DIGEST_SIZE] = { (uint8_t) content, (uint8_t) (content >> 8), 1 };

        return append(f, (Event) { .kind = KIND_MODIFY, .count = 1, .node = node, .parent = f->root,
                                   .name = BYTES_STR("a"), .has_state = true, .type = TYPE_FILE, .size = content,
                                   .digest = BYTES(digest, EVENT_DIGEST_SIZE),
                                   .digest_source = DIGEST_SOURCE_READ });
}

/* 1 to 400 were contents of one file; what comes back while the steps are on must not go. */
static void contents_that_nothing_names_go_after_a_prune(void **state) {
        int64_t removed = 0, gone = 0, done, left, node, n;
        StoreNode last = { 0 };
        Fixture f;

        fixture_open(&f);
        begin(&f);
        node = make(&f, f.root, "a", TYPE_FILE, 1);
        for (int i = 1; i <= 400; i++)
                modify_to(&f, node, i);
        commit(&f);
        seal(&f);
        run_steps(&f, STORE_STEP_PRUNE, 256, &done);
        seal(&f);
        run_steps(&f, STORE_STEP_PRUNE_EVENTS, 0, &removed);
        assert_true(removed > 200);
        assert_int_equal(number(f.store->sql.db, "SELECT count(*) FROM content"), 400);

        begin(&f);
        assert_int_equal(store_step(f.store, STORE_STEP_PRUNE_CONTENTS, 0, &done, &left), 0);
        commit(&f);
        assert_true(done == 0 && left > 0);
        begin(&f);
        modify_to(&f, node, 7);
        commit(&f);
        run_steps(&f, STORE_STEP_PRUNE_CONTENTS, 0, &gone);
        assert_int_equal(gone, removed - 1);
        assert_int_equal(number(f.store->sql.db, "SELECT count(*) FROM content WHERE id NOT IN (SELECT content FROM"
                                                 " event WHERE content IS NOT NULL)"), 0);
        assert_int_equal(store_node_get(f.store, node, &last), 0);
        assert_true(last.has_digest && last.digest[0] == 7);
        store_node_done(&last);
        seal(&f);
        assert_int_equal(outcome_of(&f, &n), VERIFY_SOUND);

        /* Again there is nothing; a content of an old event that comes back is a new row. */
        gone = 0;
        run_steps(&f, STORE_STEP_PRUNE_CONTENTS, 0, &gone);
        assert_int_equal(gone, 0);
        assert_int_equal(number(f.store->sql.db, "SELECT sum(length(entries)) / 8 FROM digest"),
                         number(f.store->sql.db, "SELECT count(*) FROM content"));
        begin(&f);
        modify_to(&f, node, 9);
        commit(&f);
        seal(&f);
        assert_int_equal(outcome_of(&f, &n), VERIFY_SOUND);
        fixture_close(&f);
}

static void old_checkpoints_are_thinned_as_the_log_says(void **state) {
        int64_t done, left = 1, removed = 0, n;
        char name[32];
        Fixture f;

        fixture_open(&f);
        f.now = f.now / day * day + day / 4;
        for (int i = 0; i < DAYS * A_DAY; i++) {
                begin(&f);
                snprintf(name, sizeof(name), "n%d", i);
                make(&f, f.root, name, TYPE_FILE, 1);
                commit(&f);
                seal(&f);
                f.now += 58 * (int64_t) USEC_PER_SEC;
                if (i % A_DAY == A_DAY - 1)
                        f.now += day - A_DAY * 60 * (int64_t) USEC_PER_SEC;
        }
        assert_int_equal(outcome_of(&f, &n), VERIFY_SOUND);
        assert_int_equal(n, DAYS * A_DAY);
        while (left > 0) {
                begin(&f);
                assert_int_equal(store_step(f.store, STORE_STEP_THIN, 0, &done, &left), 0);
                commit(&f);
                removed += done;
        }
        seal(&f);
        assert_true(removed > (DAYS - 9) * (A_DAY - 4));
        assert_int_equal(outcome_of(&f, &n), VERIFY_SOUND);
        assert_int_equal(n, DAYS * A_DAY + 1 - removed);
        assert_true(number(f.store->sql.db, "SELECT count(DISTINCT time / 86400000000) FROM checkpoint") >= DAYS);
        /* A second one has nothing to do, and says nothing. */
        begin(&f);
        assert_int_equal(store_step(f.store, STORE_STEP_THIN, 0, &done, &left), 0);
        commit(&f);
        assert_int_equal(done + left, 0);
        assert_int_equal(number(f.store->sql.db, "SELECT count(*) FROM event WHERE kind = 19"), 1);
        assert_int_equal(outcome_after(&f, "DELETE FROM checkpoint WHERE number = (SELECT max(number) - 3 FROM checkpoint)"),
                         VERIFY_ALTERED);
        assert_int_equal(outcome_after(&f, "DELETE FROM care WHERE what = 'thin'"), VERIFY_ALTERED);
        assert_int_equal(outcome_after(&f, "UPDATE care SET upto = upto + 40, said = 1 WHERE what = 'thin'; DELETE FROM"
                                           " checkpoint WHERE number = (SELECT upto - 1 FROM care WHERE what = 'thin')"),
                         VERIFY_ALTERED);
        fixture_close(&f);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_store_as_it_is_is_sound),
                cmocka_unit_test(edit_is_found_each_time),
                cmocka_unit_test(delete_is_found_each_time),
                cmocka_unit_test(delete_and_renumber_is_found_each_time),
                cmocka_unit_test(insert_is_found_each_time),
                cmocka_unit_test(drop_a_checkpoint_is_found_each_time),
                cmocka_unit_test(remove_all_seals_is_found_each_time),
                cmocka_unit_test(cut_back_is_found_each_time),
                cmocka_unit_test(rewrite_the_past_with_the_key_of_now_is_found_each_time),
                cmocka_unit_test(sign_all_with_a_key_of_his_own_is_found_each_time),
                cmocka_unit_test(damage_a_tile_is_found_each_time),
                cmocka_unit_test(cut_back_within_the_window_is_found_each_time),
                cmocka_unit_test(rewrite_what_the_key_of_now_sealed_is_found_each_time),
                cmocka_unit_test(the_row_that_was_edited_is_named),
                cmocka_unit_test(random_damage_of_four_bytes_is_found),
                cmocka_unit_test(a_projection_that_does_not_follow_is_damage),
                cmocka_unit_test(keys_that_are_given_are_trusted_and_no_others),
                cmocka_unit_test(every_event_has_a_proof_that_the_key_alone_checks),
                cmocka_unit_test(contents_that_nothing_names_go_after_a_prune),
                cmocka_unit_test(old_checkpoints_are_thinned_as_the_log_says),   /* seals: the last one */
        };

        return cmocka_run_group_tests_name("verify", tests, make_store, remove_store);
}
