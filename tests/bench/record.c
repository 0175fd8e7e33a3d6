/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record ours|plain|indexed|none DIR EVENTS [look|read]: fills a store in DIR with that many events, as the daemon
 * would: three datasets are looked at for the first time, two fifths of all events at most, and then people work in two
 * of them: files are written, saved atomically, made, removed, renamed, those of some directories for a while. ours: by
 * daemon/store, whole transactions, durable. plain: the same rows of event, node, link, content and batch as plain
 * SQLite inserts into the same schema, and nothing else: no present state is kept, nothing is hashed, no digest is
 * looked for. indexed: the same with a unique index on digests, so that one can be found, as ours can. none: what making
 * events up costs. look: ends once all names are seen, read: once their files have been read.
 * Prints a line "EVENTS SECONDS CPU BYTES" for each twentieth, all from the start, and before the first line of work. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

#include "daemon/store/store.h"

enum {
        BATCH = 1000,                    /* events of a transaction */
        DATASETS = 3,                   /* the last of them is only looked at */
        PER_DIRECTORY = 10,
        DEPTH_MAX = 12,                 /* directories of a path, and none of its names is long: PATH_MAX is far */
        TREE_MAX = 1000000,
        DESK = 1000, STAY = 5000,       /* files that are worked on at a time, and for how many events */
        YEAR = 365 * 24 * 3600,
        T0 = 1700000000,
};

typedef struct File {
        int64_t node, parent, seq;
        uint32_t name;
        int8_t dataset;
} File;

/* What takes events. */
typedef struct Sink {
        int (*begin)(int64_t now);
        int (*add)(Event *e);           /* fills e->seq */
        int (*commit)(void);
        int64_t (*bytes)(void);
} Sink;

static const uint8_t boot[EVENT_ID_SIZE] = { 0xb0, 0x07 };
static int64_t events, told, now, step, next_node, last_seq;
static int64_t datasets[DATASETS], roots[DATASETS], filesystem;
static File *files;
static size_t n_files, in_batch;
static uint32_t next_name;
static uint64_t random_state = 1;
static const Sink *sink;
static struct timespec began;

static uint64_t dice(uint64_t n) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % n;
}

static void must(int r, const char *what) {
        if (r == 0)
                return;
        fprintf(stderr, "record: %s: %d\n", what, r);
        exit(1);
}

static double since(clockid_t clock, const struct timespec *from) {
        struct timespec t;

        clock_gettime(clock, &t);
        return (double) (t.tv_sec - from->tv_sec) + (double) (t.tv_nsec - from->tv_nsec) / 1e9;
}

static void tell(void) {
        printf("%lld %.6f %.6f %lld\n", (long long) last_seq, since(CLOCK_MONOTONIC, &began),
               since(CLOCK_PROCESS_CPUTIME_ID, &(struct timespec) { 0 }), (long long) sink->bytes());
        fflush(stdout);
}

/* Ours. */

static Store *store;
static sqlite3 *db;                     /* ours: a reader; plain: the writer */

static int64_t db_bytes(void) {
        sqlite3_stmt *stmt = NULL;
        int64_t n = 0;

        sqlite3_prepare_v2(db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", -1, &stmt,
                           NULL);
        if (sqlite3_step(stmt) == SQLITE_ROW)
                n = sqlite3_column_int64(stmt, 0);
        sqlite3_finalize(stmt);
        return n;
}

static int ours_begin(int64_t time) {
        return store_begin(store, time, time - T0, boot);
}

static int ours_add(Event *e) {
        bool fresh = e->introduces && e->kind == KIND_CREATE && !e->digest.data;

        return fresh ? store_append_new(store, e, e->mtime, NULL) : store_append(store, e, NULL);
}

/* A checkpoint now and then: key events come with it. */
static int ours_commit(void) {
        static int64_t sealed;
        StoreSeal seal;

        if (last_seq - sealed >= events / 20 || last_seq >= events) {
                must(store_seal(store, &seal), "seal");
                sealed = last_seq;
                last_seq = store_last_seq(store);
                store_seal_done(&seal);
        }
        return store_commit(store);
}

static const Sink ours = { ours_begin, ours_add, ours_commit, db_bytes };

/* Plain. */

enum { BEGIN, COMMIT, ADD_BATCH, ADD_EVENT, ADD_NODE, ADD_LINK, ADD_CONTENT, N_PLAIN };
static const char *const plain_texts[N_PLAIN] = {
        "BEGIN IMMEDIATE",
        "COMMIT",
        "INSERT INTO batch VALUES (?1, ?2, 1, ?3, 0)",
        "INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        "INSERT INTO node(id, filesystem, inode, btime, born, seq, attr, size, mtime, content, digest_source, links,"
        " wanted, ctime, target) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, 1, 1, ?10, 0, NULL)",
        "INSERT OR REPLACE INTO link VALUES (?1, 0, ?2, ?3, ?4, ?5)",
        "INSERT INTO content VALUES (?1, ?2, ?3)",
};
static sqlite3_stmt *plain[N_PLAIN];
static int64_t next_content = 1, content;

static void bind(sqlite3_stmt *stmt, int i, int64_t n) {
        if (n != 0)
                sqlite3_bind_int64(stmt, i, n);
        else
                sqlite3_bind_null(stmt, i);
}

static int run(int which) {
        int rc = sqlite3_step(plain[which]);

        sqlite3_reset(plain[which]);
        return rc == SQLITE_DONE ? 0 : rc;
}

static int plain_begin(int64_t time) {
        int r = run(BEGIN);

        sqlite3_bind_int64(plain[ADD_BATCH], 1, last_seq + 1);
        sqlite3_bind_int64(plain[ADD_BATCH], 2, time);
        sqlite3_bind_int64(plain[ADD_BATCH], 3, time - T0);
        return r == 0 ? run(ADD_BATCH) : r;
}

static int plain_event(const Event *e) {
        sqlite3_stmt *s = plain[ADD_EVENT];
        uint8_t buffer[EVENT_REST_MAX];
        Bytes rest;

        sqlite3_bind_int64(s, 1, e->seq);
        sqlite3_bind_int64(s, 2, now - e->last);
        sqlite3_bind_int64(s, 3, e->last - e->first);
        sqlite3_bind_int64(s, 4, e->dataset);
        sqlite3_bind_int64(s, 5, event_what(e));
        bind(s, 6, e->node);
        bind(s, 7, e->parent);
        sqlite3_bind_blob64(s, 8, e->name.data, e->name.size, SQLITE_STATIC);
        bind(s, 9, (int64_t) e->inode);
        bind(s, 10, e->introduces ? event_lived(e->btime, e->mtime) : 0);
        bind(s, 11, e->has_state ? 1 : 0);
        bind(s, 12, e->size);
        bind(s, 13, e->has_state ? e->last * 1000 - e->mtime : 0);
        bind(s, 14, content);
        rest = event_rest(e, buffer);
        sqlite3_bind_blob64(s, 16, rest.data, rest.size, SQLITE_STATIC);
        return run(ADD_EVENT);
}

static int plain_node(const Event *e) {
        sqlite3_stmt *n = plain[ADD_NODE], *l = plain[ADD_LINK];
        int r;

        sqlite3_bind_int64(n, 1, e->node);
        sqlite3_bind_int64(n, 2, filesystem);
        sqlite3_bind_int64(n, 3, (int64_t) e->inode);
        sqlite3_bind_int64(n, 4, e->btime);
        sqlite3_bind_int64(n, 5, e->seq);
        sqlite3_bind_int64(n, 6, 1);
        sqlite3_bind_int64(n, 7, e->size);
        sqlite3_bind_int64(n, 8, e->mtime);
        bind(n, 9, content);
        sqlite3_bind_int64(n, 10, content == 0);
        sqlite3_bind_int64(l, 1, e->parent);
        sqlite3_bind_blob64(l, 2, e->name.data, e->name.size, SQLITE_STATIC);
        sqlite3_bind_int64(l, 3, e->node);
        sqlite3_bind_int64(l, 4, e->seq);
        sqlite3_bind_int64(l, 5, e->dataset);
        r = run(ADD_NODE);
        return r == 0 ? run(ADD_LINK) : r;
}

static int plain_add(Event *e) {
        int r = 0;

        e->seq = last_seq + 1;
        content = e->digest.data ? next_content++ : 0;
        if (content != 0) {
                sqlite3_bind_int64(plain[ADD_CONTENT], 1, content);
                sqlite3_bind_blob64(plain[ADD_CONTENT], 2, e->digest.data, e->digest.size, SQLITE_STATIC);
                sqlite3_bind_int64(plain[ADD_CONTENT], 3, e->size);
                r = run(ADD_CONTENT);
        }
        if (r == 0)
                r = plain_event(e);
        return r == 0 && e->introduces ? plain_node(e) : r;
}

static int plain_commit(void) {
        return run(COMMIT);
}

static const Sink plain_sink = { plain_begin, plain_add, plain_commit, db_bytes };

/* None. */

static int none_begin(int64_t time) {
        (void) time;
        return 0;
}

static int none_add(Event *e) {
        e->seq = last_seq + 1;
        return 0;
}

static int none_commit(void) {
        return 0;
}

static int64_t none_bytes(void) {
        return 0;
}

static const Sink none = { none_begin, none_add, none_commit, none_bytes };

/* Events. */

static Bytes name_of(char buf[static 32], uint32_t name) {
        static const char *const forms[] = { "sample_%05u.csv", "run-%u.log", "IMG_%u.tif", "%u.txt" };

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        return BYTES(buf, (size_t) snprintf(buf, 32, forms[name % 4], name));
#pragma GCC diagnostic pop
}

static int64_t give(Event e) {
        if (in_batch == 0) {
                now += (int64_t) dice((uint64_t) (2 * step)) + 1000;
                must(sink->begin(now), "begin");
        }
        e.origin = e.origin ? e.origin : ORIGIN_LIVE;
        e.last = now - (int64_t) dice(300000);
        e.first = e.last - (int64_t) dice(250000);
        if (e.has_state) {
                e.mode = dice(8) ? 0644 : 0600;
                e.uid = e.gid = 1000 + (uint32_t) dice(4);
                e.mtime = e.type == TYPE_FILE ? e.last * 1000 - (int64_t) dice(1000000000) : 0;
        }
        must(sink->add(&e), "add");
        last_seq = e.seq;
        next_node += e.introduces && e.kind != KIND_DATASET_ADD;
        if (++in_batch == BATCH) {
                must(sink->commit(), "commit");
                in_batch = 0;
        }
        if (last_seq / (events / 20) > told) {
                told = last_seq / (events / 20);
                tell();
        }
        return e.seq;
}

static Event of_file(const File *f, Kind kind, char name[static 32]) {
        return (Event) { .kind = kind,
                         .dataset = datasets[f->dataset],
                         .node = f->node,
                         .parent = f->parent,
                         .name = name_of(name, f->name) };
}

static void with_state(Event *e, Type type, uint8_t *digest) {
        e->has_state = true;
        e->type = type;
        e->size = type == TYPE_FILE ? (int64_t) dice(1 << 20) : 0;
        for (size_t i = 0; digest && i < EVENT_DIGEST_SIZE; i += sizeof(uint64_t))
                memcpy(digest + i, &(uint64_t) { dice(UINT64_MAX) }, sizeof(uint64_t));
        if (digest) {
                e->digest = BYTES(digest, EVENT_DIGEST_SIZE);
                e->digest_source = DIGEST_SOURCE_READ;
        }
}

static void make(File *f, bool first) {
        uint8_t digest[EVENT_DIGEST_SIZE];
        char name[32];
        Event e;

        f->node = next_node;
        f->name = next_name++;
        e = of_file(f, KIND_CREATE, name);
        e.count = 1;
        e.introduces = true;
        e.inode = (uint64_t) next_node + 100000;
        e.btime = now * 1000;
        e.origin = first ? ORIGIN_SCAN : ORIGIN_LIVE;
        with_state(&e, TYPE_FILE, digest);
        if (first) {
                e.digest = BYTES_NONE;
                e.digest_source = DIGEST_SOURCE_NONE;
        }
        f->seq = give(e);
}

static int64_t make_directory(int dataset, int64_t parent) {
        char name[32];
        File d = { .node = next_node, .parent = parent, .name = next_name++, .dataset = (int8_t) dataset };
        Event e = of_file(&d, KIND_CREATE, name);

        e.count = 1;
        e.introduces = true;
        e.inode = (uint64_t) next_node + 100000;
        e.btime = now * 1000;
        e.origin = ORIGIN_SCAN;
        e.has_state = true;
        e.type = TYPE_DIRECTORY;
        give(e);
        return d.node;
}

typedef struct Folder {
        int64_t node;
        int depth;
} Folder;

/* So many files, ten to a directory, and the directories in each other, as deep as people have them. read: and then
 * they are read. */
static void first_look(int dataset, size_t n, bool read) {
        Folder recent[64] = { { roots[dataset], 0 } }, in;
        size_t first = n_files, n_recent = 1;
        int64_t at = roots[dataset];

        for (size_t i = 0; i < n; i++) {
                if (i % PER_DIRECTORY == 0) {
                        in = recent[dice(MIN_OF(n_recent, ELEMENTS(recent)))];
                        if (in.depth == DEPTH_MAX)
                                in = (Folder) { roots[dataset], 0 };
                        at = make_directory(dataset, in.node);
                        recent[n_recent++ % ELEMENTS(recent)] = (Folder) { at, in.depth + 1 };
                }
                files[n_files] = (File) { .parent = at, .dataset = (int8_t) dataset };
                make(&files[n_files++], true);
        }
        for (size_t i = first; read && i < n_files; i++) {
                uint8_t digest[EVENT_DIGEST_SIZE];
                char name[32];
                Event e = of_file(&files[i], KIND_IDENTIFY, name);

                with_state(&e, TYPE_FILE, digest);
                e.has_state = false;
                e.size = 0;
                files[i].seq = give(e);
        }
}

/* The daemon looks for what is still to be read until there is none. */
static void look_for_wanted(void) {
        StoreWanted wanted;

        if (sink != &ours)
                return;
        if (in_batch == 0)
                must(sink->begin(now), "begin");
        must(store_wanted(store, 0, &wanted, 1), "wanted");
        if (in_batch == 0)
                must(sink->commit(), "commit");
}

/* One of those of the first datasets. People work in some directories that lie near each other for a while, and then in
 * others; one time in ten it is anywhere. */
static File *pick(void) {
        static size_t desk, left;

        if (left-- == 0) {
                left = STAY;
                desk = dice(n_files);
        }
        return &files[dice(10) ? (desk + dice(DESK)) % n_files : dice(n_files)];
}

static void save(File *f) {
        uint8_t digest[EVENT_DIGEST_SIZE];
        char name[32];
        Event e;

        e = of_file(f, KIND_MODIFY, name);
        e.count = 2;
        e.node = f->node = next_node;
        e.introduces = true;
        e.inode = (uint64_t) next_node + 100000;
        e.btime = now * 1000;
        e.replaces = f->seq;
        with_state(&e, TYPE_FILE, digest);
        f->seq = give(e);
}

static void work_once(void) {
        uint8_t digest[EVENT_DIGEST_SIZE];
        char name[32], old[32];
        File *f = pick();
        uint64_t what = dice(100);
        Event e;

        if (what < 50) {
                e = of_file(f, KIND_MODIFY, name);
                with_state(&e, TYPE_FILE, digest);
                f->seq = give(e);
        } else if (what < 65) {
                save(f);
        } else if (what < 85) {         /* one goes, another comes in its place, and so on */
                e = of_file(f, KIND_UNLINK, name);
                e.count = 1;
                give(e);
                make(f, false);
        } else if (what < 92) {
                e = of_file(f, KIND_RENAME, old);
                e.count = 1;
                e.old_parent = f->parent;
                e.old_name = e.name;
                f->name = next_name++;
                e.name = name_of(name, f->name);
                f->seq = give(e);
        } else {
                e = of_file(f, KIND_ATTRIBUTE, name);
                with_state(&e, TYPE_FILE, NULL);
                f->seq = give(e);
        }
}

static void begin_datasets(void) {
        for (int i = 0; i < DATASETS; i++) {
                static const char *const names[DATASETS] = { "busy", "calm", "still" };
                char root[32], detail[64];
                StoreDataset d = { .name = (char *) names[i], .root = (uint8_t *) root, .kind = DATASET_KIND_PLAIN,
                                   .filesystem = filesystem };
                Event e = { .kind = KIND_DATASET_ADD, .origin = ORIGIN_LIVE, .has_state = true, .type = TYPE_DIRECTORY };

                d.root_size = (size_t) snprintf(root, sizeof(root), "/data/%s", names[i]);
                memcpy(d.uuid, root, MIN_OF(d.root_size, sizeof(d.uuid)));
                must(store_dataset_add(store, &d, (uint64_t) i + 2, 1), "dataset");
                e.dataset = datasets[i] = d.id;
                e.node = roots[i] = d.root_node;
                e.detail = BYTES(detail, (size_t) snprintf(detail, sizeof(detail), "%s%c%s", names[i], 0, root));
                e.first = e.last = now;
                must(store_append(store, &e, &last_seq), "add");
        }
        next_node = store_next_node(store);
}

/* Both ways begin with the same store. */
static void open_store(const char *dir) {
        must(store_open(dir, &store), "open");
        must(store_begin(store, now, 1, boot), "begin");
        must(store_filesystem(store, NULL, "ext4", 2, 1, &filesystem), "filesystem");
        begin_datasets();
        must(store_commit(store), "commit");
        must(sqlite3_open_v2(store_path(store), &db, SQLITE_OPEN_READONLY, "unix-excl"), "open a reader");
}

static void open_plain(bool indexed) {
        CLEANUP(freep) char *path = strdup(store_path(store));

        sqlite3_close(db);
        store = store_close(store);
        must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix-excl"), "open");
        must(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -4000;"
                              "INSERT OR IGNORE INTO boot VALUES (1, zeroblob(16))", NULL, NULL, NULL), "set up");
        if (indexed)
                must(sqlite3_exec(db, "CREATE UNIQUE INDEX by_digest ON content(digest)", NULL, NULL, NULL), "index");
        for (int i = 0; i < N_PLAIN; i++)
                must(sqlite3_prepare_v2(db, plain_texts[i], -1, &plain[i], NULL), plain_texts[i]);
}

int main(int argc, char **argv) {
        bool read, work, indexed;
        size_t tree;

        if (argc < 4 || argc > 5 || (events = atoll(argv[3])) < 1000)
                return 2;
        work = argc == 4;
        read = work || strcmp(argv[4], "read") == 0;
        now = (int64_t) T0 * (int64_t) USEC_PER_SEC;
        step = (int64_t) YEAR * (int64_t) USEC_PER_SEC / (events / BATCH + 1);
        open_store(argv[2]);
        indexed = strcmp(argv[1], "indexed") == 0;
        sink = strcmp(argv[1], "ours") == 0 ? &ours : indexed || strcmp(argv[1], "plain") == 0 ? &plain_sink : &none;
        if (sink == &plain_sink)
                open_plain(indexed);
        tree = MIN_OF((size_t) events / 5, (size_t) TREE_MAX);
        files = calloc(tree, sizeof(*files));
        must(files ? 0 : -ENOMEM, "files");

        clock_gettime(CLOCK_MONOTONIC, &began);
        tell();
        first_look(0, tree * 6 / 10, read);
        first_look(1, tree * 3 / 10, read);
        tree = n_files;
        first_look(2, tree / 9, read);
        n_files = tree;
        if (read)
                look_for_wanted();
        tell();
        while (work && last_seq < events)
                work_once();
        if (in_batch > 0)
                must(sink->commit(), "commit");
        tell();
        for (int i = 0; i < N_PLAIN; i++)
                sqlite3_finalize(plain[i]);
        sqlite3_close(db);
        store_close(store);
        free(files);
        return 0;
}
