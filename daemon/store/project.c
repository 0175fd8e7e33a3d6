/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

/* Applies an event to node, link, gap, counter and dataset. What follows from an event follows from it and
 * the projections before it alone: so they can be rebuilt. */

typedef struct Apply {
        Store *s;
        const Event *e;
        StoreTarget *t;
} Apply;

typedef struct Held {                   /* the open link of a name */
        int64_t node, dataset;
} Held;

/* Directories that are still to be walked; grows as they are found. */
typedef struct Todo {
        int64_t *nodes;
        size_t n, max;
} Todo;

static void todo_done(Todo *t) {
        free(t->nodes);
}

static int todo_add(Todo *t, int64_t node) {
        int64_t *nodes = array_room(t->nodes, t->n, &t->max, 32, sizeof(*nodes));

        if (!nodes)
                return -ENOMEM;
        t->nodes = nodes;
        t->nodes[t->n++] = node;
        return 0;
}

static Type type_of(Store *s, int64_t attr) {
        return attrs_get(s, attr)->type;
}

/* A link opened (sign 1) or closed (sign -1). The event's own node is in memory until it is saved. */
static int count_link(Apply *a, int64_t node, int64_t attr, int64_t size, int64_t dataset, int sign) {
        int r;

        if (type_of(a->s, attr) == TYPE_DIRECTORY)
                trails_moved(a->s, node);
        if (type_of(a->s, attr) == TYPE_FILE) {
                r = sums_count(a->s, dataset, sign, sign * size);
                if (r < 0)
                        return r;
        }
        if (node == a->t->id) {
                a->t->links += sign;
                return 0;
        }
        return node_add_links(a->s, node, sign);
}

static int load_node(Store *s, int64_t node, StoreTarget *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        r = store_stmt(s, SQL_NODE_STATE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;
        *ret = (StoreTarget) {
                .id = node,
                .attr = sql_column(stmt, 0),
                .size = sql_column(stmt, 1),
                .mtime = sql_column(stmt, 2),
                .content = sql_column(stmt, 3),
                .digest_source = sql_column(stmt, 4),
                .links = sql_column(stmt, 5),
                .wanted = sql_column(stmt, 6),
                .was_wanted = sql_column(stmt, 5) > 0 && sql_column(stmt, 6) != 0,
                .born = sql_column(stmt, 7),
                .inode = (uint64_t) sql_column(stmt, 8),
                .btime = sql_column(stmt, 9),
        };
        return 0;
}

static int find_held(Apply *a, int64_t parent, Bytes name, Held *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r = store_stmt(a->s, SQL_LINK_HOLDER, &stmt);

        if (r < 0)
                return r;
        sql_bind(stmt, 1, parent);
        sql_bind_bytes(stmt, 2, name);
        r = sql_step(&a->s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;
        *ret = (Held) { .node = sql_column(stmt, 0), .dataset = sql_column(stmt, 1) };
        return 0;
}

/* Runs fn on each open link beneath a directory's node, then the statement on all links of the directory at
 * once (value bound as 2); then the same in the directories that were found, but for another dataset's root:
 * what is beneath that is not of the directory's dataset. */
typedef struct Below {
        int (*fn)(Apply *a, int64_t node, int64_t attr, int64_t size, int64_t dataset, int64_t value);
        StoreStatement statement;
        int64_t value;
} Below;

static int walk_directory(Apply *a, const Below *b, int64_t dir, Todo *todo, bool *ret_any) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int r;

        *ret_any = false;
        r = store_stmt(a->s, SQL_LINK_BENEATH, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, dir);
        while ((r = sql_step(&a->s->sql, stmt)) > 0) {
                int64_t node = sql_column(stmt, 0), attr = sql_column(stmt, 2);
                bool root = true;

                *ret_any = true;
                if (type_of(a->s, attr) == TYPE_DIRECTORY)
                        r = roots_have(a->s, node, &root);
                if (r >= 0 && !root)
                        r = todo_add(todo, node);
                if (r >= 0)
                        r = b->fn(a, node, attr, sql_column(stmt, 3), sql_column(stmt, 1), b->value);
                if (r < 0)
                        return r;
        }
        return r;
}

static int walk_below(Apply *a, const Below *b, int64_t dir) {
        CLEANUP(todo_done) Todo todo = { 0 };
        sqlite3_stmt *stmt;
        bool any;
        int r;

        r = todo_add(&todo, dir);
        while (r == 0 && todo.n > 0) {
                int64_t at = todo.nodes[--todo.n];

                r = walk_directory(a, b, at, &todo, &any);
                if (r < 0 || !any)
                        continue;
                r = store_stmt(a->s, b->statement, &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, at);
                sql_bind(stmt, 2, b->value);
                r = store_run(a->s, stmt);
        }
        return r;
}

static int close_one_below(Apply *a, int64_t node, int64_t attr, int64_t size, int64_t dataset,
                           int64_t seq) {
        (void) seq;
        a->s->n_silent++;
        return count_link(a, node, attr, size, dataset, -1);
}

/* Nothing can be reached beneath a directory that is gone: its names go with it. A dataset's root that is
 * gone may be elsewhere: what becomes of its names, its own dataset tells. */
static int close_below(Apply *a, int64_t dir) {
        bool root;
        int r = roots_have(a->s, dir, &root);

        if (r < 0 || root)
                return r;
        return walk_below(a, &(Below) { close_one_below, SQL_LINK_CLOSE_BENEATH, a->e->seq }, dir);
}

static int adopt_one_below(Apply *a, int64_t node, int64_t attr, int64_t size, int64_t dataset, int64_t to) {
        int r;

        (void) node;
        if (type_of(a->s, attr) != TYPE_FILE)
                return 0;
        r = sums_count(a->s, dataset, -1, -size);
        return r < 0 ? r : sums_count(a->s, to, 1, size);
}

/* All names of one directory are of one dataset; so, beneath it, is all that lies before a root. */
static int adopt_from(Apply *a, int64_t dir, int64_t dataset) {
        sqlite3_stmt *stmt;
        int64_t had = dataset;
        int r;

        r = store_stmt(a->s, SQL_LINK_BENEATH, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, dir);
        r = sql_step(&a->s->sql, stmt);
        if (r > 0)
                had = sql_column(stmt, 1);
        sqlite3_reset(stmt);
        if (r < 0 || had == dataset)
                return r < 0 ? r : 0;
        return walk_below(a, &(Below) { adopt_one_below, SQL_LINK_ADOPT_BENEATH, dataset }, dir);
}

/* A dataset may have ended while nobody watched around its root, so that its names stayed with it: those are
 * looked for at the roots that there were, since a directory's own names tell nothing of them. */
static int adopt_below(Apply *a, int64_t dir, int64_t dataset) {
        int64_t root;
        size_t at = 0;
        int r = adopt_from(a, dir, dataset);

        while (r == 0 && (r = roots_left_beneath(a->s, dir, &at, &root)) > 0)
                r = adopt_from(a, root, dataset);
        return r;
}

/* A directory that came to another dataset took along what is beneath it, but for the root of a dataset. */
static int adopt(Apply *a, int64_t dir, int64_t dataset) {
        bool root;
        int r = roots_have(a->s, dir, &root);

        return r < 0 || root ? r : adopt_below(a, dir, dataset);
}

static int attr_of(Apply *a, int64_t node, int64_t *ret_attr, int64_t *ret_size) {
        StoreTarget other;
        int r;

        if (node == a->t->id) {
                *ret_attr = a->t->attr;
                *ret_size = a->t->size;
                return 0;
        }
        r = load_node(a->s, node, &other);
        if (r != 0)
                return r < 0 ? r : -EBADMSG;
        *ret_attr = other.attr;
        *ret_size = other.size;
        return 0;
}

enum { NOBODY = 0, ANYBODY = -1 };

/* Closes what a name holds. moves: the node that goes to another name, and what is beneath it with it (or
 * NOBODY, ANYBODY). A name that holds nothing is closed already: ret->node is 0 then. */
static int close_name(Apply *a, int64_t parent, Bytes name, int64_t moves, Held *ret) {
        Held held = { 0 };
        sqlite3_stmt *stmt;
        int64_t attr, size;
        int r;

        r = find_held(a, parent, name, &held);
        *ret = held;
        if (r != 0)
                return r < 0 ? r : 0;
        r = attr_of(a, held.node, &attr, &size);
        if (r == 0)
                r = store_stmt(a->s, SQL_LINK_CLOSE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, parent);
        sql_bind_bytes(stmt, 2, name);
        sql_bind(stmt, 3, a->e->seq);
        r = store_run(a->s, stmt);
        if (r == 0)
                r = count_link(a, held.node, attr, size, held.dataset, -1);
        if (r == 0 && moves != ANYBODY && moves != held.node && type_of(a->s, attr) == TYPE_DIRECTORY)
                r = close_below(a, held.node);
        return r;
}

static int try_open(Apply *a, int64_t parent, Bytes name, int64_t node, int64_t dataset) {
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(a->s, SQL_LINK_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, parent);
        sql_bind_bytes(stmt, 2, name);
        sql_bind(stmt, 3, node);
        sql_bind(stmt, 4, a->e->seq);
        sql_bind(stmt, 5, dataset);
        r = store_run(a->s, stmt);
        return r < 0 ? r : sqlite3_changes(a->s->sql.db);
}

/* A name of a node. */
static int find_up(Apply *a, int64_t node, StoreLink *ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Bytes name;
        int r;

        r = store_stmt(a->s, SQL_LINK_UP, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        r = sql_step(&a->s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;
        name = sql_column_bytes(stmt, 1);
        ret->parent = sql_column(stmt, 0);
        ret->name_size = MIN_OF(name.size, sizeof(ret->name));
        memcpy(ret->name, name.data, ret->name_size);
        return 0;
}

static int let_go(Apply *a, const StoreLink *up) {
        Held held;

        a->s->n_silent++;
        return close_name(a, up->parent, BYTES(up->name, up->name_size), ANYBODY, &held);
}

/* A known directory is about to get a name in parent. It has one name at a time; and when the record still
 * believes that parent lies beneath it (the move of what is in between was missed, or is yet to be told),
 * what is in between is let go, and store_let_go() tells: no directory is ever beneath itself. */
static int make_way(Apply *a, int64_t dir, int64_t parent) {
        StoreLink up = { 0 };
        int r;

        while ((r = find_up(a, dir, &up)) == 0) {
                r = let_go(a, &up);
                if (r < 0)
                        return r;
        }
        for (int64_t at = parent; r >= 0 && (r = find_up(a, at, &up)) == 0; at = up.parent)
                if (up.parent == dir) {
                        a->s->let_go[a->s->n_let_go++ % ELEMENTS(a->s->let_go)] = up;
                        return let_go(a, &up);
                }
        return r < 0 ? r : 0;
}

/* Opens a name. One that was still held (an unlink that nobody saw) is closed first. */
static int open_name(Apply *a, int64_t parent, Bytes name, int64_t node, int64_t dataset) {
        int64_t attr, size;
        bool moves;
        Held held;
        int r;

        r = attr_of(a, node, &attr, &size);
        if (r < 0)
                return r;
        moves = type_of(a->s, attr) == TYPE_DIRECTORY && !(node == a->t->id && a->t->is_new);
        if (moves)
                r = make_way(a, node, parent);
        if (r == 0)
                r = try_open(a, parent, name, node, dataset);
        if (r == 0) {
                r = close_name(a, parent, name, NOBODY, &held);
                if (r == 0)
                        r = try_open(a, parent, name, node, dataset);
                if (r == 0)
                        r = -EBADMSG;
        }
        if (r > 0)
                r = count_link(a, node, attr, size, dataset, 1);
        return r == 0 && moves ? adopt(a, node, dataset) : r;
}

static bool has_name(const Event *e) {
        return e->parent != 0 && e->name.data && e->parent != e->node;
}

static int apply_open(Apply *a) {
        const Event *e = a->e;
        Held held;
        int r;

        if (!has_name(e) || e->node == 0)
                return 0;
        if (!a->t->is_new) {
                r = find_held(a, e->parent, e->name, &held);
                if (r < 0 || (r == 0 && held.node == e->node))
                        return r;
        }
        return open_name(a, e->parent, e->name, e->node, e->dataset);
}

/* The node goes from its old name, which may have been another dataset's. */
static int leave_name(Apply *a, Held *ret) {
        int r = close_name(a, a->e->old_parent, a->e->old_name, a->e->node, ret);

        a->s->crossed = r == 0 && ret->node != 0 && ret->dataset != a->e->dataset;
        return r;
}

static int apply_rename(Apply *a) {
        const Event *e = a->e;
        Held held;
        int r = 0;

        if (!has_name(e) || e->node == 0)
                return 0;
        if (e->old_parent != 0 && e->old_name.data)
                r = leave_name(a, &held);
        if (r == 0)
                r = close_name(a, e->parent, e->name, e->node, &held);
        return r < 0 ? r : open_name(a, e->parent, e->name, e->node, e->dataset);
}

static int apply_exchange(Apply *a) {
        const Event *e = a->e;
        Held from, other;
        int r;

        if (!has_name(e) || e->node == 0 || e->old_parent == 0 || !e->old_name.data)
                return 0;
        r = leave_name(a, &from);
        if (r == 0)
                r = close_name(a, e->parent, e->name, ANYBODY, &other);
        if (r == 0)
                r = open_name(a, e->parent, e->name, e->node, e->dataset);
        if (r < 0 || other.node == 0 || other.node == e->node || other.node == e->old_parent)
                return r;
        return open_name(a, e->old_parent, e->old_name, other.node, from.node ? from.dataset : e->dataset);
}

static int apply_unlink(Apply *a) {
        Held held;

        return has_name(a->e) ? close_name(a, a->e->parent, a->e->name, NOBODY, &held) : 0;
}

static int apply_gap_open(Apply *a) {
        const Event *e = a->e;
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(a->s, SQL_GAP_OPEN, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, e->seq);
        sql_bind(stmt, 2, e->dataset);
        sql_bind_id(stmt, 3, e->node);
        sql_bind(stmt, 4, e->cause);
        sql_bind(stmt, 5, e->first);
        return store_run(a->s, stmt);
}

static int apply_gap_close(Apply *a) {
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(a->s, SQL_GAP_CLOSE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, a->e->gap);
        sql_bind(stmt, 2, a->e->seq);
        sql_bind(stmt, 3, a->e->last);
        return store_run(a->s, stmt);
}

/* detail: name NUL root, bound from the parameter `at` on. */
static int bind_place(sqlite3_stmt *stmt, int at, Bytes detail) {
        const uint8_t *nul = detail.data ? memchr(detail.data, 0, detail.size) : NULL;

        if (!nul)
                return -EINVAL;
        sqlite3_bind_text(stmt, at, (const char *) detail.data, (int) (nul - detail.data), SQLITE_STATIC);
        sql_bind_bytes(stmt, at + 1, BYTES(nul + 1, detail.size - (size_t) (nul + 1 - detail.data)));
        return 0;
}

static int apply_dataset_add(Apply *a) {
        sqlite3_stmt *stmt;
        int r;

        roots_forget(a->s);
        r = store_stmt(a->s, SQL_DATASET_IS_ADDED, &stmt);
        if (r == 0)
                r = bind_place(stmt, 3, a->e->detail);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, a->e->dataset);
        sql_bind(stmt, 2, a->e->seq);
        return store_run(a->s, stmt);
}

static int apply_dataset_move(Apply *a) {
        sqlite3_stmt *stmt;
        int r;

        if (a->e->node == 0)
                return -EINVAL;
        roots_forget(a->s);
        r = store_stmt(a->s, SQL_DATASET_MOVED, &stmt);
        if (r == 0)
                r = bind_place(stmt, 2, a->e->detail);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, a->e->dataset);
        sql_bind(stmt, 4, a->e->node);
        return store_run(a->s, stmt);
}

static int apply_rehome(Apply *a) {
        a->s->crossed = true;
        return a->e->node == 0 ? -EINVAL : adopt_below(a, a->e->node, a->e->dataset);
}

static int apply_dataset_remove(Apply *a) {
        sqlite3_stmt *stmt;
        int r;

        roots_forget(a->s);
        r = store_stmt(a->s, SQL_DATASET_IS_REMOVED, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, a->e->dataset);
        sql_bind(stmt, 2, a->e->seq);
        return store_run(a->s, stmt);
}

static int apply_commit(Apply *a) {
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(a->s, SQL_DATASET_HEAD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, a->e->dataset);
        sqlite3_bind_text(stmt, 2, (const char *) a->e->detail.data, (int) a->e->detail.size, SQLITE_STATIC);
        return store_run(a->s, stmt);
}

/* How a kind reaches the projections. state: what the event says of the node becomes its present state. */
static const struct {
        int (*apply)(Apply *a);
        bool state;
} kinds[] = {
        [KIND_CREATE] = { apply_open, true },
        [KIND_MODIFY] = { apply_open, true },
        [KIND_ATTRIBUTE] = { NULL, true },
        [KIND_RENAME] = { apply_rename, true },
        [KIND_EXCHANGE] = { apply_exchange, true },
        [KIND_LINK] = { apply_open, true },
        [KIND_UNLINK] = { apply_unlink, false },
        [KIND_REHOME] = { apply_rehome, false },
        [KIND_GAP_OPEN] = { apply_gap_open, false },
        [KIND_GAP_CLOSE] = { apply_gap_close, false },
        [KIND_DATASET_ADD] = { apply_dataset_add, true },
        [KIND_DATASET_REMOVE] = { apply_dataset_remove, false },
        [KIND_DATASET_MOVE] = { apply_dataset_move, false },
        [KIND_COMMIT] = { apply_commit, false },
};

/* The links of the node count its size, each in its dataset. */
static int resize(Apply *a, int64_t size) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int64_t by = size - a->t->size;
        int r;

        if (by == 0 || a->t->links == 0 || type_of(a->s, a->t->attr) != TYPE_FILE)
                return 0;
        r = store_stmt(a->s, SQL_LINK_DATASETS, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, a->t->id);
        while ((r = sql_step(&a->s->sql, stmt)) > 0) {
                r = sums_count(a->s, sql_column(stmt, 0), 0, by);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Without a digest, an event whose content differs, as far as size and mtime tell, leaves it unknown and
 * wanted; a kind that only names or describes the node leaves what is known. */
static void set_content(Apply *a, int64_t content) {
        const Event *e = a->e;
        StoreTarget *t = a->t;
        bool same = !t->is_new && e->kind != KIND_MODIFY &&
                    (e->kind == KIND_ATTRIBUTE || (e->size == t->size && e->mtime == t->mtime));

        if (content != 0) {
                t->content = content;
                t->digest_source = e->digest_source;
                t->wanted = 0;
        } else if (e->type == TYPE_FILE && !same) {
                t->content = 0;
                t->digest_source = 0;
                t->wanted = 1;
        }
}

static int set_state(Apply *a, int64_t attr, int64_t content) {
        const Event *e = a->e;
        int r;

        r = a->t->is_new ? 0 : resize(a, e->size);
        if (r < 0)
                return r;
        set_content(a, content);
        a->t->attr = attr;
        a->t->size = e->size;
        a->t->mtime = e->mtime;
        return 0;
}

static int insert_node(Apply *a) {
        const StoreTarget *t = a->t;
        StoreSums *sums;
        sqlite3_stmt *stmt;
        int r;

        r = sums_find(a->s, a->e->dataset, &sums);
        if (r != 0)
                return r < 0 ? r : -EINVAL;
        identities_add(a->s, sums->filesystem, t->inode, t->btime);
        r = store_stmt(a->s, SQL_NODE_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, t->id);
        sql_bind(stmt, 2, sums->filesystem);
        sql_bind(stmt, 3, (int64_t) t->inode);
        sql_bind(stmt, 4, t->btime);
        sql_bind(stmt, 5, a->e->seq);
        sql_bind(stmt, 6, a->e->seq);
        sql_bind(stmt, 7, t->attr);
        sql_bind(stmt, 8, t->size);
        sql_bind(stmt, 9, t->mtime);
        sql_bind_id(stmt, 10, t->content);
        sql_bind_id(stmt, 11, t->digest_source);
        sql_bind(stmt, 12, t->links);
        sql_bind(stmt, 13, t->wanted);
        sql_bind_bytes(stmt, 14, a->e->target);
        return store_run(a->s, stmt);
}

static int save_node(Apply *a) {
        const StoreTarget *t = a->t;
        sqlite3_stmt *stmt;
        int r;

        if (t->id == 0)
                return 0;
        r = wanted_changed(a->s, t->id, t->was_wanted, t->links > 0 && t->wanted != 0);
        if (r < 0 || t->is_new)
                return r < 0 ? r : insert_node(a);
        known_forget(a->s, t->id);
        r = store_stmt(a->s, SQL_NODE_SET, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, t->id);
        sql_bind(stmt, 2, a->e->seq);
        sql_bind(stmt, 3, t->attr);
        sql_bind(stmt, 4, t->size);
        sql_bind(stmt, 5, t->mtime);
        sql_bind_id(stmt, 6, t->content);
        sql_bind_id(stmt, 7, t->digest_source);
        sql_bind(stmt, 8, t->links);
        sql_bind(stmt, 9, t->wanted);
        sql_bind_bytes(stmt, 10, a->e->has_state || a->e->kind == KIND_IDENTIFY ? a->e->target : BYTES_NONE);
        sql_bind_id(stmt, 11, t->born);
        return store_run(a->s, stmt);
}

int project_load(Store *s, const Event *e, StoreTarget *ret) {
        int r;

        *ret = (StoreTarget) { 0 };
        if (e->node == 0)
                return 0;
        if (e->introduces && e->kind != KIND_DATASET_ADD) {
                *ret = (StoreTarget) { .id = e->node, .is_new = true, .inode = e->inode, .btime = e->btime };
                return 0;
        }
        r = load_node(s, e->node, ret);
        return r > 0 ? -EINVAL : r;
}

int project_apply(Store *s, const Event *e, StoreTarget *t, int64_t attr, int64_t content) {
        Apply a = { s, e, t };
        int r = 0;

        if (e->kind == KIND_IDENTIFY && content != 0) {
                t->content = content;
                t->digest_source = e->digest_source;
                t->wanted = 0;
        }
        if ((size_t) e->kind < ELEMENTS(kinds)) {
                if (kinds[e->kind].state && e->has_state && t->id != 0)
                        r = set_state(&a, attr, content);
                if (r == 0 && e->kind == KIND_DATASET_ADD && t->born == 0)
                        t->born = e->seq;
                if (r == 0 && kinds[e->kind].apply)
                        r = kinds[e->kind].apply(&a);
        }
        return r < 0 ? r : save_node(&a);
}
