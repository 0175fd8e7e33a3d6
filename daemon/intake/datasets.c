/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* datasets: which trees are watched, from being added to being removed, across watchers that come and go. */

enum { RETRY_USEC = 5000000 };          /* between tries to reach a root that is away */

static void dataset_done(Dataset *d) {
        store_dataset_done(&d->row);
}

void datasets_free(Intake *i) {
        for (size_t n = 0; n < i->n_datasets; n++)
                dataset_done(&i->datasets[n]);
        free(i->datasets);
        i->datasets = NULL;
        i->n_datasets = 0;
        gaps_free(i);
        addings_free(i);
}

Dataset *dataset_new(Intake *i) {
        Dataset *datasets = reallocarray(i->datasets, i->n_datasets + 1, sizeof(*datasets));

        if (!datasets) {
                intake_fail(i, -ENOMEM);
                return NULL;
        }
        i->datasets = datasets;
        i->datasets[i->n_datasets] = (Dataset) { 0 };
        return &i->datasets[i->n_datasets++];
}

int dataset_copy_row(const StoreDataset *from, StoreDataset *to) {
        *to = *from;
        to->name = strdup(from->name);
        to->root = malloc(from->root_size + 1);
        if (!to->name || !to->root) {
                store_dataset_done(to);
                return -ENOMEM;
        }
        memcpy(to->root, from->root, from->root_size);
        to->root[from->root_size] = '\0';
        return 0;
}

static int load_dataset(void *userdata, const StoreDataset *row) {
        Dataset *d = dataset_new(userdata);

        return d ? dataset_copy_row(row, &d->row) : -ENOMEM;
}

int datasets_load(Intake *i, Cause why) {
        int r = store_datasets(i->store, load_dataset, i);

        if (r == 0)
                r = gaps_load(i);
        for (size_t n = 0; r == 0 && why != CAUSE_NONE && n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (!d->row.removed && !gap_on_dataset(i, d))
                        gap_open(i, d, 0, why, d->row.covered_until);
        }
        return r;
}

Dataset *dataset_find(Intake *i, int64_t id) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].row.id == id)
                        return &i->datasets[n];
        return NULL;
}

Dataset *dataset_of_token(Intake *i, uint32_t token) {
        for (size_t n = 0; token != 0 && n < i->n_datasets; n++)
                if (i->datasets[n].token == token && i->datasets[n].feed == i->from)
                        return &i->datasets[n];
        return NULL;
}

Dataset *dataset_of_dir(Intake *i, uint32_t dir) {
        uint64_t token;

        if (!map_get(&i->roots, feed_key(i->from, dir), &token))
                return NULL;
        return dataset_of_token(i, (uint32_t) token);
}

Dataset *dataset_named(Intake *i, const char *name) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed && strcmp(i->datasets[n].row.name, name) == 0)
                        return &i->datasets[n];
        return NULL;
}

/* Asking the watcher. */

void dataset_ask(Intake *i, const Feed *f, Feed_WATCH watch) {
        FeedMessage m = { .type = FEED_WATCH, .WATCH = watch };

        intake_request(i, f, &m);
}

void dataset_unask(Intake *i, const Feed *f, uint32_t token) {
        FeedMessage m = { .type = FEED_UNWATCH, .UNWATCH = { .root = token } };

        if (f && f->there && token != 0)
                intake_request(i, f, &m);
}

Bytes dataset_root(const Dataset *d) {
        return BYTES(d->row.root, d->row.root_size);
}

void dataset_watch(Intake *i, Dataset *d) {
        StoreNode node = { 0 };

        (void) store_node_get(i->store, d->row.root_node, &node);
        if (d->token == 0)              /* else it was asked for before, and is known by that */
                d->token = (uint32_t) d->row.id;
        d->walk = i->next_walk++;
        d->walked_seq = store_last_seq(i->store);
        d->walk_again = false;
        d->retry_at = 0;
        gaps_unswept(i, d->row.id);
        dataset_ask(i, d->feed,
                  (Feed_WATCH) { .root = d->token, .walk = d->walk, .origin = ORIGIN_RECONCILE,
                                 .path = dataset_root(d), .inode = node.inode, .btime = node.btime });
        store_node_done(&node);
}

void datasets_hello(Intake *i, Feed *f) {
        f->there = true;
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].feed == f)
                        dataset_watch(i, &i->datasets[n]);
        addings_hello(i, f);
}

/* It is watched no longer, for one reason or another; its gaps are as open as before its last walk. */
void dataset_unwatched(Intake *i, Dataset *d) {
        d->token = d->walk = 0;
        fresh_drop(i);                  /* its look may not have come to its end */
        d->walk_again = d->watched = d->stalled = false;
        d->retry_at = 0;
        gaps_unswept(i, d->row.id);
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].dataset == d->row.id)
                        i->gaps[n].reconciled = false;
}

void datasets_lost(Intake *i, Feed *f, Cause why) {
        feed_forget(i, f);
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (d->feed != f)
                        continue;
                dataset_unwatched(i, d);
                gap_open(i, d, 0, why, d->row.covered_until);
        }
}

void datasets_tick(Intake *i, int64_t now) {
        addings_tick(i, now);
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (d->feed && d->feed->there && d->retry_at != 0 && d->retry_at <= now)
                        dataset_watch(i, d);
        }
}

static void ask_walk(Intake *i, Dataset *d, bool idle) {
        FeedMessage m = { .type = FEED_WALK };

        if (!d->watched)
                return;                 /* it is walked when it is watched */
        if (d->walk != 0) {
                d->walk_again = true;
                return;
        }
        d->walk = i->next_walk++;
        d->walked_seq = store_last_seq(i->store);
        m.WALK = (Feed_WALK) { .root = d->token, .origin = ORIGIN_RECONCILE, .walk = d->walk, .idle = idle };
        intake_request(i, d->feed, &m);
}

void dataset_walk(Intake *i, Dataset *d) {
        ask_walk(i, d, false);
}

void dataset_poll(Intake *i, Dataset *d) {
        ask_walk(i, d, true);
}

void observe_walk_end(Intake *i, const Feed_WALK_END *m) {
        Dataset *d = dataset_of_token(i, m->root);

        if (!d || d->walk != m->walk)
                return;
        d->walk = 0;
        fresh_forget(i);
        rehome_end(i, d);
        if (d->walk_again) {
                d->walk_again = false;
                dataset_walk(i, d);
        } else {
                gaps_reconciled(i, d);
        }
}

void observe_head(Intake *i, const Feed_HEAD *m) {
        Dataset *d = dataset_of_token(i, m->root);
        DatasetKind kind = (DatasetKind) m->kind;
        Event e = { .kind = KIND_COMMIT, .origin = ORIGIN_LIVE, .first = m->time, .last = m->time,
                    .detail = m->commit };

        if (!d || !dataset_kind_to_word(m->kind) || m->commit.size >= sizeof(d->row.commit))
                return;
        if (d->row.kind != kind) {
                d->row.kind = kind;
                if (store_dataset_kind(i->store, d->row.id, kind) != 0)
                        intake_fail(i, STORE_E_FAILED);
        }
        if (bytes_equal(m->commit, BYTES_STR(d->row.commit)) || m->commit.size == 0)
                return;
        e.dataset = d->row.id;
        e.node = d->row.root_node;
        if (intake_append(i, &e) != 0)
                return;
        memcpy(d->row.commit, m->commit.data, m->commit.size);
        d->row.commit[m->commit.size] = '\0';
}

/* Nodes are the same nodes whichever dataset shows them: where another dataset is on the same file system,
 * its row. By UUID where there is one, else the root that was watched first is the hint. */
int dataset_filesystem(Intake *i, const Feed_ROOT *m, int64_t *ret) {
        bool uuid = m->fs_uuid.size == EVENT_ID_SIZE;
        char type[64];

        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].watched && i->datasets[n].device == m->device) {
                        *ret = i->datasets[n].row.filesystem;
                        return 0;
                }
        snprintf(type, sizeof(type), "%.*s", (int) MIN_OF(m->fs_type.size, sizeof(type) - 1),
                 (const char *) m->fs_type.data);
        return store_filesystem(i->store, uuid ? m->fs_uuid.data : NULL, type, uuid ? 0 : m->inode,
                                uuid ? 0 : m->btime, ret);
}

/* What a root is, where no directory tells of it by name. */
static Event event_of_root(const Dataset *d, Kind kind, const IntakeRoot *root) {
        int64_t now = now_usec(CLOCK_REALTIME);

        return (Event) { .kind = kind, .origin = ORIGIN_LIVE, .dataset = d->row.id, .node = d->row.root_node,
                         .first = now, .last = now, .has_state = root != NULL, .type = TYPE_DIRECTORY,
                         .mode = root ? root->mode & 07777 : 0, .uid = root ? root->uid : 0,
                         .gid = root ? root->gid : 0 };
}

void dataset_root_seen(Intake *i, const Dataset *d, const IntakeRoot *root) {
        Event e = event_of_root(d, KIND_ATTRIBUTE, root);
        StoreNode node = { 0 };

        if (store_node_get(i->store, d->row.root_node, &node) == 0 &&
            (node.mode != e.mode || node.uid != e.uid || node.gid != e.gid))
                (void) intake_append(i, &e);
        store_node_done(&node);
}

int dataset_append_place(Intake *i, const Dataset *d, Kind kind, const IntakeRoot *seen) {
        size_t name_size = strlen(d->row.name) + 1, size = name_size + d->row.root_size;
        CLEANUP(freep) uint8_t *detail = malloc(size);
        Event e = event_of_root(d, kind, seen);

        if (!detail)
                return -ENOMEM;
        memcpy(detail, d->row.name, name_size);
        memcpy(detail + name_size, d->row.root, d->row.root_size);
        e.detail = BYTES(detail, size);
        return intake_append(i, &e);
}

bool dataset_is_at(Intake *i, const Dataset *d, const Feed_ROOT *m) {
        StoreNode node = { 0 };
        bool same = store_node_get(i->store, d->row.root_node, &node) == 0 && node.inode == m->inode &&
                    node.btime == m->btime;

        store_node_done(&node);
        return same;
}

/* A dataset's root after a start, or after it was away: the directory that it was, or one in its place. */
static void root_of_dataset(Intake *i, Dataset *d, const Feed_ROOT *m) {
        bool same = m->error == 0 && dataset_is_at(i, d, m);

        if (m->error == 0 && !same && rehome_possible(i, d, m)) {
                rehome_begin(i, d, m);
                same = true;
        }
        if (same) {
                d->watched = true;
                d->device = m->device;
                dataset_root_seen(i, d, &(IntakeRoot) { m->mode, m->uid, m->gid });
                nesting_claim(i, d);
                dataset_returned(i, d);
                gaps_entered(i, d);
                dataset_network(i, d, m->network);
                return;
        }
        if (m->error == 0)
                dataset_unask(i, d->feed, d->token);
        dataset_unwatched(i, d);
        d->retry_at = now_usec(CLOCK_MONOTONIC) + RETRY_USEC;
        if (m->error == EACCES)
                gap_open(i, d, 0, CAUSE_PERMISSION, d->row.covered_until);
        else if (!gap_on(i, d->row.id, 0, CAUSE_UNMOUNTED))     /* else it is where that was mounted */
                gap_open(i, d, 0, CAUSE_ROOT_MOVED, d->row.covered_until);
}

void observe_root(Intake *i, const Feed_ROOT *m) {
        Dataset *d = dataset_of_token(i, m->root);

        if (d) {
                root_of_dataset(i, d, m);
                return;
        }
        if (adding_root(i, m))
                return;
        if (m->error == 0)              /* nobody wants it any more */
                dataset_unask(i, i->from, m->root);
}

void dataset_remove(Intake *i, Work *w) {
        Dataset *d = dataset_named(i, w->name);
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_DATASET_REMOVE, .origin = ORIGIN_LIVE, .first = now, .last = now };

        if (!d) {
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_NO_DATASET,
                                                              .dataset = w->name });
                return;
        }
        e.dataset = d->row.id;
        e.node = d->row.root_node;
        if (intake_append(i, &e) != 0 || store_dataset_covered(i->store, d->row.id, now) != 0) {
                intake_fail(i, STORE_E_FAILED);
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED, .error = -EIO });
                return;
        }
        d->row.covered_until = now;
        d->row.removed = true;
        dataset_unask(i, d->feed, d->token);
        nesting_release(i, d, d->token);
        for (size_t n = 0; n < i->n_gaps;)      /* nothing of it is expected any more */
                if (i->gaps[n].dataset == d->row.id)
                        gap_forget(i, n);
                else
                        n++;
        d->again = (Again) { 0 };
        dataset_unwatched(i, d);
        d->feed = NULL;
        log_event(LOG_NOTICE, MSG_DATASET_REMOVED, 0, "Dataset %s is no longer watched; its record stays",
                  d->row.name, "SCITRACE_DATASET=%s", d->row.name);
        intake_finish(i, w->ticket, &(IntakeResult) { .dataset = d->row.name });
}

void dataset_scan(Intake *i, Work *w) {
        Dataset *d = dataset_named(i, w->name);
        IntakeResult result = { .outcome = d ? INTAKE_DONE : INTAKE_E_NO_DATASET, .dataset = w->name };

        if (d)
                dataset_walk(i, d);
        intake_finish(i, w->ticket, &result);
}
