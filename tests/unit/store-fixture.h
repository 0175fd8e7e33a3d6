/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_UNIT_STORE_FIXTURE_H
#define SCITRACE_TESTS_UNIT_STORE_FIXTURE_H

/* store-fixture: a store in a folder of its own, with datasets, and short words for events.
 * Include after tests/lib/unit.h. Not every test uses every word. */

#include <errno.h>
#include <ftw.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "daemon/store/store.h"

#define UNUSED __attribute__((unused))

enum { T0 = 1700000000 };               /* s */

typedef struct Fixture {
        char dir[64];
        Store *store;
        int64_t now;                    /* µs; each begin moves it by a second */
        int64_t filesystem, dataset, root;
        uint64_t inode;                 /* of the next new node */
} Fixture;

static const uint8_t fixture_boot[EVENT_ID_SIZE] = { 0xb0, 0x07, 1, 2, 3 };

static UNUSED int fixture_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

static UNUSED void fixture_dir(Fixture *f) {
        *f = (Fixture) { .now = (int64_t) T0 * (int64_t) USEC_PER_SEC, .inode = 1000 };
        snprintf(f->dir, sizeof(f->dir), "/tmp/scitrace-store-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
}

static UNUSED void fixture_remove(Fixture *f) {
        nftw(f->dir, fixture_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

static UNUSED void begin(Fixture *f) {
        f->now += (int64_t) USEC_PER_SEC;
        assert_int_equal(store_begin(f->store, f->now, f->now - (int64_t) T0, fixture_boot), 0);
}

static UNUSED void commit(Fixture *f) {
        assert_int_equal(store_commit(f->store), 0);
}

static UNUSED int64_t append(Fixture *f, Event e) {
        int64_t seq = 0;

        if (e.dataset == 0)
                e.dataset = f->dataset;
        if (e.origin == 0)
                e.origin = ORIGIN_LIVE;
        if (e.last == 0)
                e.last = f->now - 1000;
        if (e.first == 0)
                e.first = e.last - 250000;
        assert_int_equal(store_append(f->store, &e, &seq), 0);
        assert_int_equal(seq, store_last_seq(f->store));
        return seq;
}

/* In a transaction: a dataset with its root and its dataset-add event. */
static UNUSED int64_t add_dataset(Fixture *f, const char *name, const char *root, int64_t *ret_root) {
        char detail[256];
        StoreDataset d = { .name = (char *) name, .root = (uint8_t *) root, .root_size = strlen(root),
                           .kind = DATASET_KIND_PLAIN, .filesystem = f->filesystem };

        memcpy(d.uuid, "uuid............", sizeof(d.uuid));
        snprintf((char *) d.uuid + 5, 11, "%s", name);
        assert_int_equal(store_dataset_add(f->store, &d, f->inode++, 1), 0);
        memcpy(detail, name, strlen(name) + 1);
        memcpy(detail + strlen(name) + 1, root, strlen(root));
        append(f, (Event){ .dataset = d.id,
                           .kind = KIND_DATASET_ADD,
                           .count = 0,
                           .node = d.root_node,
                           .has_state = true,
                           .type = TYPE_DIRECTORY,
                           .mode = 0755,
                           .detail = BYTES(detail, strlen(name) + 1 + strlen(root)) });
        *ret_root = d.root_node;
        return d.id;
}

static UNUSED void fixture_open(Fixture *f) {
        fixture_dir(f);
        assert_int_equal(store_open(f->dir, &f->store), 0);
        begin(f);
        assert_int_equal(store_filesystem(f->store, NULL, "ext4", 2, 1, &f->filesystem), 0);
        f->dataset = add_dataset(f, "one", "/data/one", &f->root);
        commit(f);
}

static UNUSED void fixture_close(Fixture *f) {
        f->store = store_close(f->store);
        fixture_remove(f);
}

/* A new node of the type under a name; returns its id. */
static UNUSED int64_t make(Fixture *f, int64_t parent, const char *name, Type type, int64_t size) {
        int64_t node = store_next_node(f->store);

        append(f, (Event){ .kind = KIND_CREATE,
                           .count = 1,
                           .node = node,
                           .parent = parent,
                           .name = BYTES_STR(name),
                           .introduces = true,
                           .inode = f->inode++,
                           .btime = 7,
                           .has_state = true,
                           .type = type,
                           .size = type == TYPE_FILE ? size : 0,
                           .mode = 0644,
                           .uid = 1000,
                           .gid = 1000,
                           .mtime = type == TYPE_FILE ? f->now * 1000 : 0,
                           .target = type == TYPE_SYMLINK ? BYTES_STR("target") : BYTES_NONE });
        return node;
}

static UNUSED int64_t unlink_name(Fixture *f, int64_t node, int64_t parent, const char *name) {
        return append(f, (Event) { .kind = KIND_UNLINK, .count = 1, .node = node, .parent = parent,
                                   .name = BYTES_STR(name) });
}

static UNUSED int64_t rename_node(Fixture *f, int64_t node, int64_t from, const char *old, int64_t to,
                                  const char *name) {
        return append(f, (Event){ .kind = KIND_RENAME,
                                  .count = 1,
                                  .node = node,
                                  .parent = to,
                                  .name = BYTES_STR(name),
                                  .old_parent = from,
                                  .old_name = BYTES_STR(old) });
}

/* For cmocka: each test has a store of its own. fixture_reopen(): as a daemon that starts again. */
static UNUSED int fixture_setup(void **state) {
        static Fixture f;

        fixture_open(&f);
        *state = &f;
        return 0;
}

static UNUSED int fixture_teardown(void **state) {
        fixture_close(*state);
        return 0;
}

static UNUSED void fixture_reopen(Fixture *f) {
        f->store = store_close(f->store);
        assert_int_equal(store_open(f->dir, &f->store), 0);
}

#endif
