/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* datasets: which trees are watched, from being added to being removed, across watchers that come and go. */

enum {
        NAME_MAX_SIZE = 64,
        RETRY_USEC = 5000000,           /* between tries to reach a root that is away */
};

static void dataset_done(Dataset *d) {
        store_dataset_done(&d->row);
}

static void adding_free(Adding *a) {
        free(a->root);
        free(a->name);
        free(a);
}

void datasets_free(Intake *i) {
        for (size_t n = 0; n < i->n_datasets; n++)
                dataset_done(&i->datasets[n]);
        free(i->datasets);
        i->datasets = NULL;
        i->n_datasets = 0;
        free(i->gaps);
        i->gaps = NULL;
        i->n_gaps = 0;
        for (Adding *a = i->addings, *next; a; a = next) {
                next = a->next;
                adding_free(a);
        }
        i->addings = NULL;
}

static Dataset *dataset_new(Intake *i) {
        Dataset *datasets = reallocarray(i->datasets, i->n_datasets + 1, sizeof(*datasets));

        if (!datasets) {
                intake_fail(i, -ENOMEM);
                return NULL;
        }
        i->datasets = datasets;
        i->datasets[i->n_datasets] = (Dataset) { 0 };
        return &i->datasets[i->n_datasets++];
}

static int copy_row(const StoreDataset *from, StoreDataset *to) {
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

        return d ? copy_row(row, &d->row) : -ENOMEM;
}

int datasets_load(Intake *i, bool clean, bool first) {
        int r = store_datasets(i->store, load_dataset, i);

        if (r == 0)
                r = gaps_load(i);
        for (size_t n = 0; r == 0 && !first && n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (!d->row.removed && !gap_on_dataset(i, d))
                        gap_open(i, d, 0, clean ? CAUSE_STOPPED : CAUSE_CRASHED, d->row.covered_until);
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

static Dataset *dataset_named(Intake *i, const char *name) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed && strcmp(i->datasets[n].row.name, name) == 0)
                        return &i->datasets[n];
        return NULL;
}

/* Asking the watcher. */

static void ask_watch(Intake *i, const Feed *f, uint32_t token, uint32_t walk, uint8_t origin,
                      Bytes root) {
        FeedMessage m = { .type = FEED_WATCH,
                          .WATCH = { .root = token, .walk = walk, .origin = origin, .path = root } };

        intake_request(i, f, &m);
}

static void unwatch(Intake *i, const Feed *f, uint32_t token) {
        FeedMessage m = { .type = FEED_UNWATCH, .UNWATCH = { .root = token } };

        if (f && token != 0)
                intake_request(i, f, &m);
}

static void watch_dataset(Intake *i, Dataset *d) {
        d->token = (uint32_t) d->row.id;
        d->walk = i->next_walk++;
        d->walked_seq = store_last_seq(i->store);
        d->walk_again = false;
        d->retry_at = 0;
        gaps_unswept(i, d->row.id);
        ask_watch(i, d->feed, d->token, d->walk, ORIGIN_RECONCILE, BYTES(d->row.root, d->row.root_size));
}

/* A tree that was a dataset once is compared with what is recorded of it. */
static uint8_t first_origin(const Intake *i, const Adding *a) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (bytes_equal(BYTES(i->datasets[n].row.root, i->datasets[n].row.root_size),
                                BYTES(a->root, a->root_size)))
                        return ORIGIN_RECONCILE;
        return ORIGIN_SCAN;
}

static void watch_adding(Intake *i, const Adding *a) {
        ask_watch(i, a->feed, a->token, a->walk, first_origin(i, a), BYTES(a->root, a->root_size));
}

void datasets_hello(Intake *i, Feed *f) {
        f->there = true;
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].feed == f)
                        watch_dataset(i, &i->datasets[n]);
        for (Adding *a = i->addings; a; a = a->next)
                if (a->feed == f)
                        watch_adding(i, a);
}

/* It is watched no longer, for one reason or another; its gaps are as open as before its last walk. */
static void dataset_unwatched(Intake *i, Dataset *d) {
        d->token = d->walk = 0;
        d->walk_again = d->watched = false;
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

/* A dataset's file system may be another one than before: it was unmounted, or is back. */
static void place_dataset(Intake *i, Dataset *d) {
        Feed *f = feed_of_root(i, BYTES(d->row.root, d->row.root_size));

        if (f == d->feed)
                return;
        unwatch(i, d->feed, d->token);
        dataset_unwatched(i, d);
        d->feed = f;
        if (f && f->there)
                watch_dataset(i, d);
}

void datasets_place(Intake *i) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed)
                        place_dataset(i, &i->datasets[n]);
}

void datasets_tick(Intake *i, int64_t now) {
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];

                if (d->feed && d->feed->there && d->retry_at != 0 && d->retry_at <= now)
                        watch_dataset(i, d);
        }
}

void dataset_walk(Intake *i, Dataset *d) {
        FeedMessage m = { .type = FEED_WALK };

        if (!d->watched)
                return;                 /* it is walked when it is watched */
        if (d->walk != 0) {
                d->walk_again = true;
                return;
        }
        d->walk = i->next_walk++;
        d->walked_seq = store_last_seq(i->store);
        m.WALK = (Feed_WALK) { .root = d->token, .origin = ORIGIN_RECONCILE, .walk = d->walk };
        intake_request(i, d->feed, &m);
}

void observe_walk_end(Intake *i, const Feed_WALK_END *m) {
        Dataset *d = dataset_of_token(i, m->root);

        if (!d || d->walk != m->walk)
                return;
        d->walk = 0;
        fresh_forget(i);
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

/* Adding. */

static bool name_valid(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

        return name[0] != '\0' && name[n] == '\0' && n <= NAME_MAX_SIZE && name[0] != '.' && name[0] != '-';
}

/* From the last component of the path: what a name may not hold becomes '-',
 * and a number is added until it is free. */
static char *make_name(Intake *i, Bytes root) {
        size_t from = root.size, n = 0;
        char *name = NULL, base[NAME_MAX_SIZE - 8 + 1];

        while (from > 0 && root.data[from - 1] != '/')
                from--;
        for (; from < root.size && n < sizeof(base) - 1; from++) {
                char c[2] = { (char) root.data[from], '\0' };

                if (!name_valid(c) && !((c[0] == '.' || c[0] == '-') && n > 0))
                        c[0] = '-';
                if (c[0] != '-' || n > 0)
                        base[n++] = c[0];
        }
        base[n] = '\0';
        if (n == 0)
                strcpy(base, "dataset");
        for (int suffix = 1; suffix < 100000; suffix++) {
                int r = suffix == 1 ? asprintf(&name, "%s", base) : asprintf(&name, "%s-%d", base, suffix);

                if (r < 0)
                        return NULL;
                if (!dataset_named(i, name))
                        return name;
                free(name);
        }
        return NULL;
}

static bool within(Bytes path, Bytes root) {
        return path.size > root.size && memcmp(path.data, root.data, root.size) == 0 &&
               (root.size == 1 || path.data[root.size] == '/');
}

/* 0 or why not; *ret_other: the dataset that is in the way. */
static IntakeOutcome check_place(Intake *i, Bytes root, const char **ret_other) {
        if (root.size == 0 || root.data[0] != '/' || memchr(root.data, '\0', root.size))
                return INTAKE_E_NOT_ABSOLUTE;
        for (size_t n = 0; n < i->n_datasets; n++) {
                const Dataset *d = &i->datasets[n];
                Bytes other = BYTES(d->row.root, d->row.root_size);

                if (d->row.removed)
                        continue;
                *ret_other = d->row.name;
                if (bytes_equal(root, other))
                        return INTAKE_E_WATCHED;
                if (within(root, other))
                        return INTAKE_E_INSIDE;
                if (within(other, root))
                        return INTAKE_E_AROUND;
        }
        *ret_other = NULL;
        return INTAKE_DONE;
}

void dataset_add(Intake *i, Work *w) {
        Bytes root = BYTES(w->data, w->size);
        IntakeResult result = { 0 };
        Adding *a;

        result.outcome = check_place(i, root, &result.dataset);
        if (result.outcome == INTAKE_DONE && w->name && !name_valid(w->name))
                result = (IntakeResult) { .outcome = INTAKE_E_NAME_INVALID, .dataset = w->name };
        if (result.outcome == INTAKE_DONE && w->name && dataset_named(i, w->name))
                result = (IntakeResult) { .outcome = INTAKE_E_NAME_TAKEN, .dataset = w->name };
        for (a = i->addings; result.outcome == INTAKE_DONE && a; a = a->next)
                if (a->root_size == root.size && memcmp(a->root, root.data, root.size) == 0)
                        result = (IntakeResult) { .outcome = INTAKE_E_WATCHED, .dataset = a->name };
        if (result.outcome != INTAKE_DONE) {
                intake_finish(i, w->ticket, &result);
                return;
        }
        a = calloc(1, sizeof(*a));
        if (a)
                a->name = w->name ? STEAL(w->name) : make_name(i, root);
        if (!a || !a->name) {
                free(a);
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED,
                                                              .error = -ENOMEM });
                return;
        }
        a->root = STEAL(w->data);
        a->root_size = w->size;
        a->feed = feed_of_root(i, root);
        a->token = i->next_token++;
        a->walk = i->next_walk++;
        a->ticket = w->ticket;
        if (!a->feed) {
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED,
                                                              .error = -EMFILE });
                adding_free(a);
                return;
        }
        a->next = i->addings;
        i->addings = a;
        if (a->feed->there)
                watch_adding(i, a);
}

static IntakeOutcome outcome_of(uint32_t error) {
        switch (error) {
        case 0:
                return INTAKE_DONE;
        case ENOENT:
                return INTAKE_E_MISSING;
        case ENOTDIR:
        case ELOOP:
                return INTAKE_E_NOT_DIRECTORY;
        case EACCES:
        case EPERM:
                return INTAKE_E_PERMISSION;
        case EBUSY:
                return INTAKE_E_WATCHED;
        case EDEADLK:
                return INTAKE_E_OWN;
        default:
                return INTAKE_E_FAILED;
        }
}

/* Nodes are the same nodes whichever dataset shows them: where another dataset is on the same file system,
 * its row. By UUID where there is one, else the root that was watched first is the hint. */
static int find_filesystem(Intake *i, const Feed_ROOT *m, int64_t *ret) {
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

static int append_added(Intake *i, Dataset *d) {
        size_t name_size = strlen(d->row.name) + 1, size = name_size + d->row.root_size;
        CLEANUP(freep) uint8_t *detail = malloc(size);
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_DATASET_ADD, .origin = ORIGIN_LIVE, .dataset = d->row.id,
                    .node = d->row.root_node, .first = now, .last = now, .detail = BYTES(detail, size) };

        if (!detail)
                return -ENOMEM;
        memcpy(detail, d->row.name, name_size);
        memcpy(detail + name_size, d->row.root, d->row.root_size);
        return intake_append(i, &e);
}

/* A removed dataset of the same root goes on under its UUID; what it missed is a gap. */
static Dataset *resume(Intake *i, const Adding *a, const Feed_ROOT *m) {
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];
                StoreNode node = { 0 };
                char *name;
                bool same;

                if (!d->row.removed || d->row.root_size != a->root_size ||
                    memcmp(d->row.root, a->root, a->root_size) != 0)
                        continue;
                same = store_node_get(i->store, d->row.root_node, &node) == 0 && node.inode == m->inode &&
                       node.btime == m->btime;
                store_node_done(&node);
                name = same ? strdup(a->name) : NULL;
                if (!name)
                        continue;
                free(d->row.name);
                d->row.name = name;
                d->row.removed = false;
                if (append_added(i, d) != 0)
                        return NULL;
                gap_open(i, d, 0, CAUSE_REMOVED, d->row.covered_until);
                return d;
        }
        return NULL;
}

static Dataset *make_dataset(Intake *i, const Adding *a, const Feed_ROOT *m) {
        StoreDataset row = { .name = a->name, .root = a->root, .root_size = a->root_size,
                             .kind = DATASET_KIND_PLAIN, .covered_until = now_usec(CLOCK_REALTIME) };
        Dataset *d;
        int r;

        if (getrandom(row.uuid, sizeof(row.uuid), 0) != sizeof(row.uuid))
                return NULL;
        row.uuid[6] = (uint8_t) ((row.uuid[6] & 0x0f) | 0x40);  /* RFC 4122, version 4 */
        row.uuid[8] = (uint8_t) ((row.uuid[8] & 0x3f) | 0x80);
        r = find_filesystem(i, m, &row.filesystem);
        if (r == 0)
                r = store_dataset_add(i->store, &row, m->inode, m->btime);
        if (r != 0) {
                intake_fail(i, r);
                return NULL;
        }
        d = dataset_new(i);
        if (!d || copy_row(&row, &d->row) < 0) {
                intake_fail(i, -ENOMEM);
                return NULL;
        }
        if (append_added(i, d) != 0 ||
            store_dataset_covered(i->store, d->row.id, now_usec(CLOCK_REALTIME)) != 0)
                return NULL;
        return d;
}

static void refuse(Intake *i, const Adding *a, const IntakeResult *result) {
        unwatch(i, a->feed, a->token);
        intake_finish(i, a->ticket, result);
}

/* The dataset that watches a directory already, by another way to it (a bind mount). NULL: not known. */
static const char *watched_as(Intake *i, const Feed_ROOT *m) {
        for (size_t n = 0; n < i->n_datasets; n++) {
                const Dataset *d = &i->datasets[n];
                StoreNode node = { 0 };
                StoreLink link;

                if (!d->watched || d->device != m->device ||
                    store_node_find(i->store, d->row.filesystem, m->inode, m->btime, &node) != 0)
                        continue;
                if (node.id != d->row.root_node && store_links_of_node(i->store, node.id, &link, 1) == 1)
                        d = dataset_find(i, link.dataset);
                store_node_done(&node);
                return d ? d->row.name : NULL;
        }
        return NULL;
}

static void root_of_adding(Intake *i, Adding *a, const Feed_ROOT *m) {
        IntakeResult result = { .outcome = outcome_of(m->error), .error = -(int) m->error };
        CLEANUP(freep) char *type =
                m->fs_type.data ? strndup((const char *) m->fs_type.data, m->fs_type.size) : NULL;
        Dataset *d;

        if (result.outcome == INTAKE_E_WATCHED)
                result.dataset = watched_as(i, m);
        if (result.outcome == INTAKE_DONE && m->network)
                result = (IntakeResult) { .outcome = INTAKE_E_NETWORK, .dataset = type };
        if (result.outcome != INTAKE_DONE) {
                refuse(i, a, &result);
                return;
        }
        d = resume(i, a, m);
        if (!d && i->error == 0) {
                int64_t next = store_next_node(i->store);

                d = make_dataset(i, a, m);
                if (d)
                        d->first_look = true;
                if (d && d->row.root_node >= next)
                        fresh_directory(i, d->row.root_node);
        }
        if (!d) {
                refuse(i, a, &(IntakeResult) { .outcome = INTAKE_E_FAILED, .error = -EIO });
                return;
        }
        d->feed = a->feed;
        d->token = a->token;
        d->walk = a->walk;
        d->walked_seq = store_last_seq(i->store);
        d->watched = true;
        d->device = m->device;
        log_event(LOG_NOTICE, MSG_DATASET_ADDED, 0, "Dataset %s is watched from now on", d->row.name,
                  "SCITRACE_DATASET=%s", d->row.name);
        result.dataset = d->row.name;
        intake_finish(i, a->ticket, &result);
}

/* A dataset's root after a start, or after it was away: it must be the directory that it was. */
static void root_of_dataset(Intake *i, Dataset *d, const Feed_ROOT *m) {
        StoreNode node = { 0 };
        bool same = false;

        if (m->error == 0 && store_node_get(i->store, d->row.root_node, &node) == 0)
                same = node.inode == m->inode && node.btime == m->btime;
        store_node_done(&node);
        if (same) {
                d->watched = true;
                d->device = m->device;
                return;
        }
        if (m->error == 0)
                unwatch(i, d->feed, d->token);
        dataset_unwatched(i, d);
        d->retry_at = now_usec(CLOCK_MONOTONIC) + RETRY_USEC;
        gap_open(i, d, 0, m->error == EACCES ? CAUSE_PERMISSION : CAUSE_ROOT_MOVED, d->row.covered_until);
}

void observe_root(Intake *i, const Feed_ROOT *m) {
        Dataset *d = dataset_of_token(i, m->root);

        if (d) {
                root_of_dataset(i, d, m);
                return;
        }
        for (Adding **p = &i->addings, *a; (a = *p); p = &a->next)
                if (a->token == m->root && a->feed == i->from) {
                        *p = a->next;
                        root_of_adding(i, a, m);
                        adding_free(a);
                        return;
                }
        if (m->error == 0)              /* nobody wants it any more */
                unwatch(i, i->from, m->root);
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
        for (size_t n = 0; n < i->n_gaps;)      /* nothing of it is expected any more */
                if (i->gaps[n].dataset == d->row.id)
                        i->gaps[n] = i->gaps[--i->n_gaps];
                else
                        n++;
        e.dataset = d->row.id;
        e.node = d->row.root_node;
        if (intake_append(i, &e) != 0 || store_dataset_covered(i->store, d->row.id, now) != 0) {
                intake_fail(i, STORE_E_FAILED);
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED, .error = -EIO });
                return;
        }
        d->row.covered_until = now;
        d->row.removed = true;
        unwatch(i, d->feed, d->token);
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
