/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random events into a store, and into a model of it that is as plain as can be; then both must be the same, and
 * every event must come back from the store with the bytes that it had. SCITRACE_SEED=N runs another sequence. */
#include "tests/lib/unit.h"

#include <sqlite3.h>

#include "daemon/query/query.h"
#include "tests/unit/store-fixture.h"

enum {
        EVENTS = 3000,
        LINKS_MAX = 60000,
        NODES_MAX = 8000,
        NAMES = 7,
        DATASETS = 2,                   /* beside the one that comes and goes within them */
};

typedef struct ModelLink {
        int64_t parent, until, node, since, dataset;
        int name;
} ModelLink;

typedef struct ModelNode {
        Type type;
        int64_t size, mtime, seq, links, btime;
        uint64_t inode;
        uint32_t mode;
        bool digest, wanted;
        int content;                    /* the byte that the digest is made of */
} ModelNode;

typedef struct Told {                   /* a name that store_wanted() told of a node */
        int64_t parent;
        int name;
} Told;

/* The trees after a transaction, and when that was. */
typedef struct Moment {
        int64_t usec, seq;
        char *trees[2];
} Moment;

typedef struct Stored {
        uint8_t *bytes;
        size_t size;
        int64_t dataset, old_dataset;
        char path[1024], old_path[1024];        /* "": none; relative to their roots */
} Stored;

static Fixture f;
static int64_t datasets[DATASETS], roots[DATASETS];
static int64_t nested, nested_root;     /* 0: there is none now */
static uint8_t nested_uuid[EVENT_ID_SIZE];
static int n_nested;
static ModelLink links[LINKS_MAX];
static ModelNode nodes[NODES_MAX];
static Told told[NODES_MAX];
static int n_known;                     /* digests of nodes that were as they were told */
static Stored stored[EVENTS + 16];
static size_t n_links, n_stored;
static Moment moments[EVENTS];
static size_t n_moments;
static uint64_t seed, random_state;

static unsigned pick(unsigned n) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return (unsigned) ((random_state >> 33) % n);
}

static Bytes name_of(int i) {
        static const char *const names[NAMES] = { "a", "b", "c", "a.txt", "\xff\xfe", "new\nline", " " };

        return BYTES_STR(names[i]);
}

/* The model. */

static int64_t dataset_at(int64_t root) {
        for (int i = 0; i < DATASETS; i++)
                if (roots[i] == root)
                        return datasets[i];
        return root == nested_root ? nested : 0;
}

static ModelLink *held(int64_t parent, int name) {
        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && links[i].parent == parent && links[i].name == name)
                        return &links[i];
        return NULL;
}

static void model_close(ModelLink *l, int64_t seq, bool moves) {
        int64_t node = l->node;

        l->until = seq;
        nodes[node].links--;
        if (moves || nodes[node].type != TYPE_DIRECTORY || dataset_at(node) != 0)
                return;
        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && links[i].parent == node)
                        model_close(&links[i], seq, false);
}

static bool is_within(int64_t dir, int64_t above) {
        while (dir != above) {
                size_t i = 0;

                while (i < n_links && !(links[i].until == 0 && links[i].node == dir))
                        i++;
                if (i == n_links)
                        return false;
                dir = links[i].parent;
        }
        return true;
}

static void model_dataset(int64_t dir, int64_t dataset) {
        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && links[i].parent == dir) {
                        links[i].dataset = dataset;
                        if (nodes[links[i].node].type == TYPE_DIRECTORY && dataset_at(links[i].node) == 0)
                                model_dataset(links[i].node, dataset);
                }
}

/* A directory has one name; one that would come beneath itself loses the link in between. */
static void model_make_way(int64_t dir, int64_t parent, int64_t seq) {
        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && links[i].node == dir)
                        model_close(&links[i], seq, true);
        for (size_t i = 0; i < n_links && is_within(parent, dir); i++)
                if (links[i].until == 0 && links[i].parent == dir && is_within(parent, links[i].node))
                        model_close(&links[i], seq, true);
}

static void model_open(int64_t parent, int name, int64_t node, int64_t dataset, int64_t seq) {
        ModelLink *l;

        if (nodes[node].type == TYPE_DIRECTORY)
                model_make_way(node, parent, seq);
        l = held(parent, name);
        if (l)
                model_close(l, seq, false);
        assert_true(n_links < LINKS_MAX);
        links[n_links++] = (ModelLink) { parent, 0, node, seq, dataset, name };
        nodes[node].links++;
        if (nodes[node].type == TYPE_DIRECTORY && dataset_at(node) == 0)
                model_dataset(node, dataset);
}

static void model_move(ModelLink *from, int64_t parent, int name, int64_t dataset, int64_t seq) {
        int64_t node = from->node;

        model_close(from, seq, true);
        model_open(parent, name, node, dataset, seq);
}

static ModelLink *name_of_node(int64_t node) {
        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && links[i].node == node)
                        return &links[i];
        return NULL;
}

/* Which dataset a directory is in, by walking up to the innermost root; 0: in none. */
static int64_t dataset_of(int64_t dir) {
        while (dataset_at(dir) == 0) {
                const ModelLink *up = name_of_node(dir);

                if (!up)
                        return 0;
                dir = up->parent;
        }
        return dataset_at(dir);
}

static bool is_reachable(int64_t dir) {
        return dataset_of(dir) != 0;
}

static int64_t pick_directory(void) {
        int64_t found = roots[pick(DATASETS)];
        int seen = 1;

        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && is_reachable(links[i].node) && nodes[links[i].node].type == TYPE_DIRECTORY &&
                    pick((unsigned) ++seen) == 0)
                        found = links[i].node;
        return found;
}

static ModelLink *pick_link(Type type) {
        ModelLink *found = NULL;
        unsigned seen = 0;

        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && is_reachable(links[i].parent) && (type == TYPE_NONE || nodes[links[i].node].type == type) &&
                    pick(++seen) == 0)
                        found = &links[i];
        return found;
}

/* Where a name in a directory is now. */
static void model_path(int64_t dir, Bytes name, char *ret, size_t size) {
        char above[1024];

        snprintf(ret, size, "%.*s", (int) name.size, (const char *) name.data);
        while (dataset_at(dir) == 0) {
                const ModelLink *up = name_of_node(dir);

                assert_non_null(up);
                name = name_of(up->name);
                snprintf(above, sizeof(above), "%.*s%s%.900s", (int) name.size, (const char *) name.data,
                         ret[0] ? "/" : "", ret);
                snprintf(ret, size, "%s", above);
                dir = up->parent;
        }
}

static void keep_paths(const Event *e, Stored *s) {
        s->dataset = e->dataset;
        s->old_dataset = e->old_parent != 0 ? dataset_of(e->old_parent) : 0;
        s->path[0] = s->old_path[0] = 0;
        if (e->parent != 0)
                model_path(e->parent, e->name, s->path, sizeof(s->path));
        else if (e->node != 0 && nodes[e->node].type == TYPE_DIRECTORY)
                model_path(e->node, BYTES_STR(""), s->path, sizeof(s->path));
        if (e->old_parent != 0)
                model_path(e->old_parent, e->old_name, s->old_path, sizeof(s->old_path));
}

static bool was_named(int64_t parent, Bytes name) {
        for (size_t i = 0; i < n_links; i++)
                if (links[i].parent == parent && bytes_equal(name_of(links[i].name), name))
                        return true;
        return false;
}

/* A node at a name that nobody ever had. The store knows, whether it wrote what came before or gathers it. */
static bool is_fresh(const Event *e) {
        bool is_new = !was_named(e->parent, e->name);
        const ModelNode *other;

        if (!e->introduces)
                return false;
        other = &nodes[1 + pick((unsigned) e->node - 1)];
        assert_int_equal(store_is_new(f.store, f.filesystem, e->inode, e->btime, e->parent, e->name), is_new);
        assert_false(other->inode != 0 &&
                     store_is_new(f.store, f.filesystem, other->inode, other->btime, e->parent, e->name));
        return is_new && e->kind == KIND_CREATE && !e->replaces && !e->process;
}

/* What is known of a node that was wanted is what it is, at the name that was told with it. */
static bool is_known(int64_t node) {
        const ModelNode *n = &nodes[node];
        const Told *t = &told[node];
        ModelLink *l;
        StoreNode k;

        if (store_node_known(f.store, node, t->parent, name_of(t->name), &k) != 0)
                return false;
        assert_true(k.type == TYPE_FILE && k.size == n->size && k.mtime == n->mtime && k.mode == n->mode);
        assert_true(k.inode == n->inode && k.btime == n->btime);
        assert_true(n->wanted && !n->digest && !k.has_digest);
        l = held(t->parent, t->name);
        assert_true(l && l->node == node);
        return true;
}

/* Events: each is appended, its bytes are kept, and its seq is returned. */

static int64_t give(Event e) {
        Stored *s;
        int64_t seq;

        e.origin = (Origin) (1 + pick(4));
        e.last = f.now - (int64_t) pick(100000);
        e.first = e.last - (int64_t) pick(300000);
        e.count = 1 + pick(3);
        e.process = pick(3) == 0 ? pick(1000) + 1 : 0;
        if (is_fresh(&e) && pick(4))
                assert_int_equal(store_append_new(f.store, &e, pick(2), &seq), 0);
        else if (e.kind == KIND_IDENTIFY && e.process == 0 && is_known(e.node) && ++n_known)
                assert_int_equal(store_append_digest(f.store, &e, pick(2), &seq), 0);
        else
                assert_int_equal(store_append(f.store, &e, &seq), 0);
        assert_int_equal(seq, n_stored + 1);
        s = &stored[n_stored++];
        keep_paths(&e, s);
        assert_int_equal(event_format(&e, &s->bytes, &s->size), 0);
        if (e.node)
                nodes[e.node].seq = seq;
        return seq;
}

static void random_digest(uint8_t digest[EVENT_DIGEST_SIZE]) {
        memset(digest, (int) pick(50), EVENT_DIGEST_SIZE);
}

static Event state_of(Type type, uint8_t *digest) {
        Event e = { .has_state = true,
                    .type = type,
                    .mode = 0600 + pick(64),
                    .uid = 1000 + pick(2),
                    .gid = pick(2) };

        if (type == TYPE_FILE) {
                e.size = pick(1000);
                e.mtime = pick(5) == 0 ? 0 : f.now * 1000 - (int64_t) pick(100000) * 1000003;
                if (pick(2)) {
                        random_digest(digest);
                        e.digest = BYTES(digest, EVENT_DIGEST_SIZE);
                        e.digest_source = DIGEST_SOURCE_READ;
                }
        }
        if (type == TYPE_SYMLINK)
                e.target = name_of((int) pick(NAMES));
        return e;
}

static void model_state(int64_t node, const Event *e) {
        ModelNode *n = &nodes[node];

        n->type = e->type;
        n->size = e->size;
        n->mtime = e->mtime;
        n->mode = e->mode;
}

static Type some_type(void) {
        unsigned n = pick(10);

        return n < 5 ? TYPE_FILE : n < 8 ? TYPE_DIRECTORY : n < 9 ? TYPE_SYMLINK : TYPE_FIFO;
}

static void op_create(void) {
        int64_t dir = pick_directory(), node = store_next_node(f.store), seq;
        int name = (int) pick(NAMES);
        ModelLink *old = held(dir, name);
        uint8_t digest[EVENT_DIGEST_SIZE];
        Event e;

        if (old && nodes[old->node].type == TYPE_DIRECTORY && pick(4) != 0)
                return;         /* seldom, or little would be left */
        e = state_of(old ? TYPE_FILE : some_type(), digest);
        e.kind = old ? KIND_MODIFY : KIND_CREATE;
        e.replaces = old ? nodes[old->node].seq : 0;
        e.dataset = dataset_of(dir);
        e.node = node;
        e.parent = dir;
        e.name = name_of(name);
        e.introduces = true;
        e.inode = UINT64_MAX - (uint64_t) node;
        e.btime = (int64_t) pick(1000);
        assert_true(node < NODES_MAX);
        seq = give(e);
        model_state(node, &e);
        nodes[node].inode = e.inode;
        nodes[node].btime = e.btime;
        nodes[node].digest = e.digest.data != NULL;
        nodes[node].content = digest[0];
        nodes[node].wanted = e.type == TYPE_FILE && !e.digest.data;
        model_open(dir, name, node, e.dataset, seq);
}

static void op_change(void) {
        ModelLink *l = pick_link(TYPE_NONE);
        uint8_t digest[EVENT_DIGEST_SIZE];
        ModelNode *n;
        Event e;

        if (!l)
                return;
        n = &nodes[l->node];
        e = state_of(n->type, digest);
        e.kind = n->type == TYPE_FILE && pick(2) ? KIND_MODIFY : KIND_ATTRIBUTE;
        e.dataset = l->dataset;
        e.node = l->node;
        e.parent = l->parent;
        e.name = name_of(l->name);
        give(e);
        if (e.digest.data) {
                n->digest = true;
                n->content = digest[0];
                n->wanted = false;
        } else if (e.kind == KIND_MODIFY) {
                n->digest = false;
                n->wanted = true;
        }
        model_state(l->node, &e);
}

static int tell_wanted(int64_t after, StoreWanted *page, int max) {
        int n = store_wanted(f.store, after, page, max);

        for (int i = 0; i < n; i++) {
                const StoreLink *l = &page[i].link;

                assert_true(nodes[l->node].wanted && page[i].size == nodes[l->node].size);
                told[l->node] = (Told) { l->parent, 0 };
                while (!bytes_equal(name_of(told[l->node].name), BYTES(l->name, l->name_size)))
                        told[l->node].name++;
        }
        return n;
}

/* Some of them, or all: whatever was dropped on the way, they are found. */
static void op_want(void) {
        StoreWanted page[16];
        int64_t after = 0, found = 0;
        int n;

        if (pick(4) != 0) {
                assert_true(tell_wanted((int64_t) pick((unsigned) store_next_node(f.store)), page, 16) >= 0);
                return;
        }
        for (; (n = tell_wanted(after, page, 7)) > 0; found += n)
                after = page[n - 1].link.node;
        assert_int_equal(n, 0);
        assert_int_equal(found, store_wanted_count(f.store));
}

static void op_identify(void) {
        ModelLink *l = pick_link(TYPE_FILE);
        uint8_t digest[EVENT_DIGEST_SIZE];

        if (!l)
                return;
        random_digest(digest);
        give((Event) { .kind = KIND_IDENTIFY, .dataset = l->dataset, .node = l->node, .parent = l->parent,
                       .name = name_of(l->name), .digest = BYTES(digest, EVENT_DIGEST_SIZE),
                       .digest_source = DIGEST_SOURCE_KEY });
        nodes[l->node].digest = true;
        nodes[l->node].content = digest[0];
        nodes[l->node].wanted = false;
}

static void op_rename(void) {
        ModelLink *l = pick_link(TYPE_NONE), *over;
        int64_t dir = pick_directory(), dataset, seq;
        int name = (int) pick(NAMES);

        if (!l || dir == l->node || (is_within(dir, l->node) && pick(8) != 0))
                return;         /* seldom beneath itself: what the kernel refuses, a late record may believe */
        over = held(dir, name);
        if (over && (over == l || is_within(l->parent, over->node) ||
                     (nodes[over->node].type == TYPE_DIRECTORY && pick(4) != 0)))
                return;
        dataset = dataset_of(dir);
        seq = give((Event) { .kind = KIND_RENAME, .dataset = dataset, .node = l->node, .parent = dir,
                             .name = name_of(name), .old_parent = l->parent, .old_name = name_of(l->name),
                             .replaces = over ? nodes[over->node].seq : 0 });
        model_move(l, dir, name, dataset, seq);
}

static void op_exchange(void) {
        ModelLink *a = pick_link(TYPE_NONE), *b = pick_link(TYPE_NONE), from, to;
        int64_t seq;

        if (!a || a == b || a->node == b->node || is_within(a->parent, b->node) ||
            is_within(b->parent, a->node))
                return;
        from = *a;
        to = *b;
        seq = give((Event) { .kind = KIND_EXCHANGE, .dataset = to.dataset, .node = from.node, .parent = to.parent,
                             .name = name_of(to.name), .old_parent = from.parent, .old_name = name_of(from.name),
                             .replaces = nodes[to.node].seq });
        model_close(b, seq, true);
        model_move(a, to.parent, to.name, to.dataset, seq);
        model_open(from.parent, from.name, to.node, from.dataset, seq);
}

static void op_link(void) {
        ModelLink *l = pick_link(TYPE_FILE);
        int64_t dir = pick_directory(), dataset = dataset_of(dir), seq;
        int name = (int) pick(NAMES);

        if (!l || held(dir, name))
                return;
        seq = give((Event) { .kind = KIND_LINK, .dataset = dataset, .node = l->node, .parent = dir,
                             .name = name_of(name) });
        model_open(dir, name, l->node, dataset, seq);
}

/* A directory that was let go, or unlinked, or is thought to be elsewhere, is found. */
static void op_found(void) {
        int64_t dir = pick_directory(), node = 1 + pick((unsigned) store_next_node(f.store) - 1), dataset, seq;
        int name = (int) pick(NAMES);

        if (nodes[node].type != TYPE_DIRECTORY || held(dir, name) || is_within(dir, node) ||
            (dataset_at(node) != 0 && dataset_at(node) != nested))
                return;
        dataset = dataset_of(dir);
        seq = give((Event) { .kind = KIND_LINK, .dataset = dataset, .node = node, .parent = dir,
                             .name = name_of(name) });
        model_open(dir, name, node, dataset, seq);
}

static void op_unlink(void) {
        ModelLink *l = pick_link(TYPE_NONE);
        int64_t seq;

        if (!l || (nodes[l->node].type == TYPE_DIRECTORY && pick(4) != 0))
                return;
        seq = give((Event) { .kind = KIND_UNLINK, .dataset = l->dataset, .node = l->node, .parent = l->parent,
                             .name = name_of(l->name) });
        model_close(l, seq, false);
}

static void op_other(void) {
        int64_t dir = pick_directory(), dataset = dataset_of(dir);
        int name = (int) pick(NAMES);

        if (pick(2))
                give((Event){
                        .kind = KIND_TRANSIENT, .dataset = dataset, .parent = dir, .name = name_of(name) });
        else
                give((Event) { .kind = KIND_GAP_OPEN, .dataset = dataset, .cause = CAUSE_OVERFLOW,
                               .node = pick(2) ? dir : 0 });
}

/* A directory becomes the root of a dataset of its own: what is beneath it goes over. */
static void add_nested(void) {
        char name[32], detail[64];
        int64_t dir = pick_directory();
        StoreDataset d = { .name = name, .root = (uint8_t *) "/elsewhere", .root_size = 10,
                           .kind = DATASET_KIND_PLAIN, .filesystem = f.filesystem };
        const ModelLink *up = name_of_node(dir);
        int n = snprintf(name, sizeof(name), "nested-%d", n_nested++);

        if (!up)
                return;
        memcpy(d.uuid, "nested......", 12);
        memcpy(d.uuid + 12, &n_nested, sizeof(n_nested));
        memcpy(nested_uuid, d.uuid, sizeof(nested_uuid));
        assert_int_equal(store_dataset_add(f.store, &d, nodes[dir].inode, nodes[dir].btime), 0);
        assert_int_equal(d.root_node, dir);
        n = snprintf(detail, sizeof(detail), "%s%c/elsewhere", name, 0);
        nested = d.id;
        nested_root = dir;
        give((Event) { .kind = KIND_DATASET_ADD, .dataset = nested, .node = dir,
                       .detail = BYTES(detail, (size_t) n) });
        model_dataset(dir, nested);
        give((Event) { .kind = KIND_REHOME, .dataset = nested, .node = dir, .old_parent = up->parent,
                       .old_name = name_of(up->name),
                       .detail = BYTES(up->dataset == datasets[0] ? "uuid.one\0......." : "uuid.two\0.......", 16) });
}

/* It ends, and what is beneath it belongs to what is around it; unless that is nowhere any more. */
static void remove_nested(void) {
        int64_t dir = nested_root;
        const ModelLink *up = name_of_node(dir);

        give((Event) { .kind = KIND_DATASET_REMOVE, .dataset = nested, .node = dir });
        nested = nested_root = 0;
        if (!up || !is_reachable(up->parent))
                return;
        model_dataset(dir, up->dataset);
        give((Event) { .kind = KIND_REHOME, .dataset = up->dataset, .node = dir, .parent = up->parent,
                       .name = name_of(up->name), .detail = BYTES(nested_uuid, sizeof(nested_uuid)) });
}

static void op_nest(void) {
        if (nested == 0)
                add_nested();
        else if (pick(3) == 0)
                remove_nested();
}

static void (*const ops[])(void) = {
        op_create, op_create, op_create, op_change, op_change, op_identify, op_identify, op_want,
        op_rename, op_rename, op_exchange, op_link, op_unlink, op_other, op_found, op_nest,
};

static void keep_moment(void);

/* A transaction of some events, that is sometimes rolled back: then the model is set back as well. */
static void run_batch(void) {
        static ModelLink old_links[LINKS_MAX];
        static ModelNode old_nodes[NODES_MAX];
        size_t old_n_links = n_links, old_n_stored = n_stored;
        int64_t old_nested = nested, old_nested_root = nested_root;

        memcpy(old_links, links, n_links * sizeof(*links));
        memcpy(old_nodes, nodes, sizeof(nodes));
        if (pick(10) == 0)
                f.now -= 100 * (int64_t) USEC_PER_SEC;  /* the clock is set back */
        begin(&f);
        for (unsigned n = 1 + pick(40); n > 0 && n_stored < EVENTS; n--)
                ops[pick(ELEMENTS(ops))]();
        if (pick(5) != 0) {
                commit(&f);
                if (n_stored > old_n_stored)    /* else there is no such moment */
                        keep_moment();
                return;
        }
        store_rollback(f.store);
        memcpy(links, old_links, old_n_links * sizeof(*links));
        memcpy(nodes, old_nodes, sizeof(nodes));
        n_links = old_n_links;
        nested = old_nested;
        nested_root = old_nested_root;
        while (n_stored > old_n_stored)
                free(stored[--n_stored].bytes);
}

/* Comparison. */

static sqlite3_stmt *select_rows(sqlite3 *db, const char *text) {
        sqlite3_stmt *stmt = NULL;

        assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
        return stmt;
}

static void compare_links(sqlite3 *db) {
        sqlite3_stmt *stmt =
                select_rows(db, "SELECT node, since, dataset FROM link WHERE parent = ?1 AND until = ?2"
                                " AND name = ?3");
        int64_t n = 0;

        for (size_t i = 0; i < n_links; i++) {
                Bytes name = name_of(links[i].name);

                sqlite3_reset(stmt);
                sqlite3_bind_int64(stmt, 1, links[i].parent);
                sqlite3_bind_int64(stmt, 2, links[i].until);
                sqlite3_bind_blob(stmt, 3, name.data, (int) name.size, SQLITE_STATIC);
                assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
                assert_int_equal(sqlite3_column_int64(stmt, 0), links[i].node);
                assert_int_equal(sqlite3_column_int64(stmt, 1), links[i].since);
                assert_int_equal(sqlite3_column_int64(stmt, 2), links[i].dataset);
        }
        sqlite3_finalize(stmt);
        stmt = select_rows(db, "SELECT count(*) FROM link");
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        n = sqlite3_column_int64(stmt, 0);
        assert_int_equal(n, n_links);
        sqlite3_finalize(stmt);
}

static void compare_nodes(void) {
        int64_t n_wanted = 0;

        for (int64_t id = 1; id < store_next_node(f.store); id++) {
                StoreNode n = { 0 };

                assert_int_equal(store_node_get(f.store, id, &n), 0);
                assert_int_equal(n.type, nodes[id].type);
                assert_int_equal(n.size, nodes[id].size);
                assert_int_equal(n.mtime, nodes[id].mtime);
                assert_int_equal(n.mode, nodes[id].mode);
                assert_int_equal(n.links, nodes[id].links);
                assert_int_equal(n.seq, nodes[id].seq);
                assert_int_equal(n.has_digest, nodes[id].digest);
                assert_int_equal(n.wanted, nodes[id].wanted);
                n_wanted += nodes[id].wanted && nodes[id].links > 0;
                store_node_done(&n);
        }
        assert_int_equal(store_wanted_count(f.store), n_wanted);
}

static int compare_counters(void *userdata, const QueryDataset *d) {
        int64_t files = 0, bytes = 0;

        (void) userdata;
        for (size_t i = 0; i < n_links; i++)
                if (links[i].until == 0 && links[i].dataset == d->id &&
                    nodes[links[i].node].type == TYPE_FILE) {
                        files++;
                        bytes += nodes[links[i].node].size;
                }
        assert_int_equal(d->files, files);
        assert_int_equal(d->bytes, bytes);
        return 0;
}

static void same_bytes(const Event *e, const Stored *s) {
        uint8_t *bytes;
        size_t size;

        assert_int_equal(event_format(e, &bytes, &size), 0);
        assert_int_equal(size, s->size);
        assert_memory_equal(bytes, s->bytes, size);
        free(bytes);
}

static void same_path(int64_t seq, Bytes got, const char *expected) {
        if (got.size != strlen(expected) || (got.size > 0 && memcmp(got.data, expected, got.size) != 0))
                fail_msg("event %lld: the path is %.*s, expected %s", (long long) seq, (int) got.size,
                         got.data ? (const char *) got.data : "", expected);
}

static int compare_event(void *userdata, const QueryEvent *row) {
        size_t *n = userdata;
        const Stored *s = &stored[(*n)++];
        Event back;

        assert_int_equal(row->event.seq, *n);
        same_bytes(&row->event, s);
        same_path(row->event.seq, row->path, s->path);
        same_path(row->event.seq, row->old_path, s->old_path);
        assert_int_equal(event_parse(BYTES(s->bytes, s->size), &back), 0);
        same_bytes(&back, s);
        return 0;
}

/* files as the model would list them: each row must be the next of a walk in byte order. */
typedef struct Walk {
        char text[1 << 16];
        size_t size;
} Walk;

static void put_row(Walk *w, const char *path, size_t size, int64_t node, Type type, int64_t bytes,
                    int64_t mtime, uint32_t mode, int64_t n_names, int64_t seq) {
        w->size += (size_t) snprintf(w->text + w->size, sizeof(w->text) - w->size,
                                     "%.*s node %d type %d size %d mtime %lld mode %o links %d seq %d",
                                     (int) size, path, (int) node, (int) type, (int) bytes, (long long) mtime,
                                     (unsigned) mode, (int) n_names, (int) seq);
        assert_true(w->size < sizeof(w->text));
}

/* Of the same width, known or not: a digest may be learned later. */
static void put_content(Walk *w, int content) {
        w->size += (size_t) snprintf(w->text + w->size, sizeof(w->text) - w->size,
                                     content >= 0 ? " content %02d\n" : " content --\n", content);
        assert_true(w->size < sizeof(w->text));
}

static void model_walk(Walk *w, int64_t dir, const char *prefix) {
        static const int in_order[NAMES] = { 6, 0, 3, 1, 2, 5, 4 }; /* " " a a.txt b c new\nline \xff\xfe */

        for (int i = 0; i < NAMES; i++) {
                ModelLink *l = held(dir, in_order[i]);
                const ModelNode *n;
                char path[2048];

                if (!l)
                        continue;
                snprintf(path, sizeof(path), "%s%.*s", prefix, (int) name_of(l->name).size,
                         name_of(l->name).data);
                n = &nodes[l->node];
                put_row(w, path, strlen(path), l->node, n->type, n->size, n->mtime, n->mode, n->links, n->seq);
                put_content(w, n->digest ? n->content : -1);
                if (nodes[l->node].type != TYPE_DIRECTORY || dataset_at(l->node) != 0)
                        continue;
                strncat(path, "/", sizeof(path) - strlen(path) - 1);
                model_walk(w, l->node, path);
        }
}

static int query_walk(void *userdata, const QueryFile *file) {
        Walk *w = userdata;

        put_row(w, (const char *) file->path.data, file->path.size, file->node, file->type, file->size,
                file->type == TYPE_FILE ? file->mtime : 0, file->mode, file->links, file->seq);
        put_content(w, file->digest.data ? file->digest.data[0] : -1);
        return 0;
}

static void compare_files(Query *q, int i) {
        static Walk expected, got;

        expected.size = got.size = 0;
        expected.text[0] = got.text[0] = 0;
        model_walk(&expected, roots[i], "");
        assert_int_equal(query_files(q, i == 0 ? "one" : "two", BYTES_NONE, 0, 0, query_walk, &got), 0);
        assert_string_equal(got.text, expected.text);
}

static void keep_moment(void) {
        static Walk w;
        Moment *m = &moments[n_moments++];

        *m = (Moment) { .usec = f.now, .seq = store_last_seq(f.store) };
        for (int i = 0; i < DATASETS; i++) {
                w.size = 0;
                w.text[0] = 0;
                model_walk(&w, roots[i], "");
                m->trees[i] = strdup(w.text);
                assert_non_null(m->trees[i]);
        }
}

static void forget_moments(void) {
        while (n_moments > 0) {
                n_moments--;
                for (int i = 0; i < DATASETS; i++)
                        free(moments[n_moments].trees[i]);
        }
}

static int last_of(void *userdata, const QueryEvent *row) {
        *(int64_t *) userdata = row->event.seq;
        return 1;
}

/* The same but for a digest that has been learned since. */
static void same_tree(const char *then, const char *got, const Moment *m) {
        size_t at = 0;

        while (then[at] && (then[at] == got[at] || (then[at] == '-' && got[at] >= '0' && got[at] <= '9')))
                at++;
        if (then[at] != got[at]) {
                at = at < 80 ? 0 : at - 80;
                fail_msg("as of event %lld:\n%.200s\nexpected:\n%.200s", (long long) m->seq, got + at,
                         then + at);
        }
}

/* At each moment the tree is what it was then. Where the clock showed a time twice, the moment is one at
 * which it showed that time. */
static void compare_moments(Query *q) {
        static Walk got;
        int64_t seq;

        for (size_t i = 0; i < n_moments; i++) {
                size_t found = 0;

                seq = 0;
                assert_int_equal(query_events(q, &(QueryEvents) { .as_of = moments[i].usec, .reverse = true },
                                              last_of, &seq),
                                 0);
                while (found < n_moments && moments[found].seq < seq)
                        found++;
                if (found == n_moments || moments[found].seq != seq)
                        fail_msg("no transaction ends with event %lld, as of %lld", (long long) seq,
                                 (long long) moments[i].usec);
                assert_true(moments[found].usec <= moments[i].usec);
                if (found + 1 < n_moments)
                        assert_true(moments[found + 1].usec > moments[i].usec);
                for (int d = 0; d < DATASETS; d++) {
                        got.size = 0;
                        got.text[0] = 0;
                        assert_int_equal(query_files(q, d == 0 ? "one" : "two", BYTES_NONE, moments[i].usec, 0,
                                                     query_walk, &got),
                                         0);
                        same_tree(moments[found].trees[d], got.text, &moments[found]);
                }
        }
}

/* Events at or beneath a path: by whatever way they are found, they are those whose paths say so. */
static bool is_at(const char *path, const char *above) {
        size_t n = strlen(above);

        return strncmp(path, above, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static int64_t next_at(int64_t seq, int step, int64_t dataset, const char *path) {
        for (seq += step; seq >= 1 && seq <= (int64_t) n_stored; seq += step) {
                const Stored *s = &stored[seq - 1];

                if ((s->dataset == dataset && is_at(s->path, path)) ||
                    (s->old_dataset == dataset && is_at(s->old_path, path)))
                        return seq;
        }
        return 0;
}

typedef struct Expected {
        int64_t seq, dataset;
        int step;
        const char *path;
} Expected;

static int is_next(void *userdata, const QueryEvent *row) {
        Expected *x = userdata;

        x->seq = next_at(x->seq, x->step, x->dataset, x->path);
        assert_int_equal(row->event.seq, x->seq);
        return 0;
}

static void compare_paths(Query *q) {
        for (int i = 0; i < 60; i++) {
                const Stored *s = &stored[pick((unsigned) n_stored)];
                bool old = s->old_path[0] && pick(2);
                const char *path = old ? s->old_path : s->path;
                int64_t dataset = old ? s->old_dataset : s->dataset;
                char absolute[2048];
                Bytes bytes;

                if (!path[0] || (dataset != datasets[0] && dataset != datasets[1]))
                        continue;
                snprintf(absolute, sizeof(absolute), "/data/%s/%s", dataset == datasets[0] ? "one" : "two",
                         path);
                bytes = BYTES_STR(absolute);
                for (int step = -1; step <= 1; step += 2) {
                        Expected x = { .seq = step > 0 ? 0 : (int64_t) n_stored + 1,
                                       .dataset = dataset,
                                       .step = step,
                                       .path = path };
                        QueryEvents filter = { .paths = &bytes, .n_paths = 1, .reverse = step < 0 };

                        assert_int_equal(query_events(q, &filter, is_next, &x), 0);
                        x.seq = next_at(x.seq, step, x.dataset, path);
                        if (x.seq != 0)
                                fail_msg("events of %s, step %d: without %lld (%s <- %s)", path, step,
                                         (long long) x.seq, stored[x.seq - 1].path,
                                         stored[x.seq - 1].old_path);
                }
        }
}

static void compare_all(void) {
        sqlite3 *db = NULL;
        Query *q = NULL;
        size_t n = 0;

        assert_int_equal(sqlite3_open_v2(store_path(f.store), &db, SQLITE_OPEN_READONLY, "unix-excl"),
                         SQLITE_OK);
        compare_links(db);
        sqlite3_close(db);
        compare_nodes();
        assert_int_equal(query_open(store_path(f.store), false, &q), 0);
        assert_int_equal(query_datasets(q, NULL, true, compare_counters, NULL), 0);
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, compare_event, &n), 0);
        assert_int_equal(n, n_stored);
        for (int i = 0; i < DATASETS; i++)
                compare_files(q, i);
        compare_paths(q);
        compare_moments(q);
        query_close(q);
}

static void start(void) {
        static const char *const names[DATASETS] = { "one", "two" };
        static const char *const paths[DATASETS] = { "/data/one", "/data/two" };

        fixture_dir(&f);
        n_links = n_stored = 0;
        nested = nested_root = 0;
        memset(nodes, 0, sizeof(nodes));
        assert_int_equal(store_open(f.dir, &f.store), 0);
        begin(&f);
        assert_int_equal(store_filesystem(f.store, NULL, "ext4", 2, 1, &f.filesystem), 0);
        for (int i = 0; i < DATASETS; i++) {
                datasets[i] = add_dataset(&f, names[i], paths[i], &roots[i]);
                nodes[roots[i]] =
                        (ModelNode){ .type = TYPE_DIRECTORY, .mode = 0755, .seq = store_last_seq(f.store) };
        }
        commit(&f);
        keep_moment();
}

static int store_bytes(void *userdata, const QueryEvent *row) {
        (void) userdata;
        stored[n_stored] = (Stored) { .dataset = row->event.dataset };
        assert_int_equal(event_format(&row->event, &stored[n_stored].bytes, &stored[n_stored].size), 0);
        n_stored++;
        return 0;
}

static void run_sequence(void) {
        Query *q = NULL;

        start();
        assert_int_equal(query_open(store_path(f.store), false, &q), 0);
        assert_int_equal(query_events(q, &(QueryEvents) { 0 }, store_bytes, NULL), 0);
        query_close(q);
        while (n_stored < EVENTS)
                run_batch();
        compare_all();
        f.store = store_close(f.store);
        assert_int_equal(store_open(f.dir, &f.store), 0);
        compare_all();
        while (n_stored > 0)
                free(stored[--n_stored].bytes);
        forget_moments();
        fixture_close(&f);
}

/* 13 and 49: datasets that ended in a tree that nobody knew the place of, and that was found again. */
static void the_projections_follow_from_the_events(void **state) {
        static const uint64_t seeds[] = { 1, 2, 13, 49 };
        const char *given = getenv("SCITRACE_SEED");

        (void) state;
        for (size_t i = 0; i < (given ? 1 : ELEMENTS(seeds)); i++) {
                seed = given ? strtoull(given, NULL, 10) : seeds[i];
                printf("# seed %llu\n", (unsigned long long) seed);
                random_state = seed;
                n_known = 0;
                run_sequence();
                assert_true(n_known > 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_projections_follow_from_the_events),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
