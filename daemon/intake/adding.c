/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/random.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* adding: from the wish that a directory be a dataset to the answer that it is one: a new one, one that was
 * removed, or one whose root moved there. */

enum { NAME_MAX_SIZE = 64 };

static void adding_free(Adding *a) {
        free(a->root);
        free(a->name);
        free(a);
}

void addings_free(Intake *i) {
        for (Adding *a = i->addings, *next; a; a = next) {
                next = a->next;
                adding_free(a);
        }
        i->addings = NULL;
}

static bool within(Bytes path, Bytes root) {
        return path.size > root.size && memcmp(path.data, root.data, root.size) == 0 &&
               (root.size == 1 || path.data[root.size] == '/');
}

/* A tree that was a dataset once is compared with what is recorded of it; so is one within a dataset of
 * which not all was seen. */
static uint8_t first_origin(const Intake *i, const Adding *a) {
        Bytes root = BYTES(a->root, a->root_size);

        if (a->flags & INTAKE_ADD_MOVE)
                return ORIGIN_RECONCILE;
        for (size_t n = 0; n < i->n_datasets; n++) {
                const Dataset *d = &i->datasets[n];

                if (d->row.removed ? bytes_equal(dataset_root(d), root) && !(a->flags & INTAKE_ADD_NEW)
                                   : within(root, dataset_root(d)) && gap_on_dataset(i, d))
                        return ORIGIN_RECONCILE;
        }
        return ORIGIN_SCAN;
}

static void watch_adding(Intake *i, const Adding *a) {
        dataset_ask(i, a->feed,
                  (Feed_WATCH) { .root = a->token, .walk = a->walk, .origin = first_origin(i, a),
                                 .path = BYTES(a->root, a->root_size) });
}

void addings_hello(Intake *i, Feed *f) {
        for (Adding *a = i->addings; a; a = a->next)
                if (a->feed == f)
                        watch_adding(i, a);
}

/* No watcher looks at their roots. */
void addings_tick(Intake *i, int64_t now) {
        for (Adding **p = &i->addings, *a; (a = *p);) {
                if (a->feed->there || now < a->deadline) {
                        p = &a->next;
                        continue;
                }
                *p = a->next;
                intake_finish(i, a->ticket, &(IntakeResult) { .outcome = INTAKE_E_NO_WATCHER });
                adding_free(a);
        }
}

static bool name_valid(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

        return name[0] != '\0' && name[n] == '\0' && n <= NAME_MAX_SIZE && name[0] != '.' && name[0] != '-';
}

/* By a dataset, or by one that is about to be. */
static bool name_taken(Intake *i, const char *name) {
        for (const Adding *a = i->addings; a; a = a->next)
                if (!(a->flags & INTAKE_ADD_MOVE) && strcmp(a->name, name) == 0)
                        return true;
        return dataset_named(i, name) != NULL;
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
                if (!name_taken(i, name))
                        return name;
                free(name);
        }
        return NULL;
}

/* Empty components, "." and ".." make two paths of one. */
static bool is_plain(Bytes root) {
        if (root.size == 0 || root.data[0] != '/' || memchr(root.data, '\0', root.size))
                return false;
        for (size_t at = 1, n; at < root.size; at += n + 1) {
                const uint8_t *c = root.data + at, *slash = memchr(c, '/', root.size - at);

                n = slash ? (size_t) (slash - c) : root.size - at;
                if (n == 0 || (n == 1 && c[0] == '.') || (n == 2 && c[0] == '.' && c[1] == '.'))
                        return false;
        }
        return true;
}

/* What the kernel makes up when it is read: it has no content to record, and tells of no change. */
static bool is_pseudo(const Intake *i, Bytes root) {
        static const char *const types[] = {
                "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf",
                "pstore", "efivarfs", "devpts", "binfmt_misc",
        };
        const Mount *mount = mounts_find(&i->mounts, root);

        for (size_t n = 0; mount && n < ELEMENTS(types); n++)
                if (strcmp(mount->type, types[n]) == 0)
                        return true;
        return false;
}

/* 0 or why not; *ret_other: the dataset that is in the way, or the name. */
static IntakeOutcome check_place(Intake *i, const Work *w, const char **ret_other) {
        Bytes root = BYTES(w->data, w->size);
        bool move = w->number & INTAKE_ADD_MOVE;

        *ret_other = w->name;
        if (!is_plain(root))
                return INTAKE_E_NOT_ABSOLUTE;
        if (is_pseudo(i, root))
                return INTAKE_E_PSEUDO;
        if (w->name && !name_valid(w->name))
                return INTAKE_E_NAME_INVALID;
        if (w->name && move && !dataset_named(i, w->name))
                return INTAKE_E_NO_DATASET;
        if (w->name && !move && name_taken(i, w->name))
                return INTAKE_E_NAME_TAKEN;
        for (size_t n = 0; n < i->n_datasets; n++) {
                const Dataset *d = &i->datasets[n];

                if (d->row.removed || !bytes_equal(root, dataset_root(d)) || (move && !d->watched))
                        continue;
                *ret_other = d->row.name;
                return INTAKE_E_WATCHED;
        }
        for (const Adding *a = i->addings; a; a = a->next)
                if (bytes_equal(root, BYTES(a->root, a->root_size))) {
                        *ret_other = a->name;
                        return INTAKE_E_WATCHED;
                }
        return INTAKE_DONE;
}

void dataset_add(Intake *i, Work *w) {
        IntakeResult result = { 0 };
        bool move = w->number & INTAKE_ADD_MOVE;
        Adding *a;

        result.outcome = check_place(i, w, &result.dataset);
        if (result.outcome != INTAKE_DONE) {
                intake_finish(i, w->ticket, &result);
                return;
        }
        a = calloc(1, sizeof(*a));
        if (a)
                a->name = w->name || move ? STEAL(w->name) : make_name(i, BYTES(w->data, w->size));
        if (!a || (!a->name && !move)) {
                free(a);
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED,
                                                              .error = -ENOMEM });
                return;
        }
        a->root = STEAL(w->data);
        a->root_size = w->size;
        a->feed = feed_of_root(i, BYTES(a->root, a->root_size));
        a->token = i->next_token++;
        a->walk = i->next_walk++;
        a->ticket = w->ticket;
        if (!a->feed) {
                intake_finish(i, w->ticket, &(IntakeResult) { .outcome = INTAKE_E_FAILED,
                                                              .error = -EMFILE });
                adding_free(a);
                return;
        }
        a->flags = (unsigned) w->number;
        a->deadline = now_usec(CLOCK_MONOTONIC) + INTAKE_ADD_WAIT_USEC;
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

/* A removed dataset of the same root goes on under its UUID; what it missed is a gap. */
static Dataset *resume(Intake *i, const Adding *a, const Feed_ROOT *m) {
        for (size_t n = 0; n < i->n_datasets; n++) {
                Dataset *d = &i->datasets[n];
                char *name;

                if (!d->row.removed || !bytes_equal(dataset_root(d), BYTES(a->root, a->root_size)) ||
                    !dataset_is_at(i, d, m))
                        continue;
                name = strdup(a->name);
                if (!name)
                        return NULL;
                free(d->row.name);
                d->row.name = name;
                d->row.removed = false;
                if (dataset_append_place(i, d, KIND_DATASET_ADD, NULL) != 0 ||
                    gaps_resume(i, d->row.id) != 0)
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
        r = dataset_filesystem(i, m, &row.filesystem);
        if (r == 0)
                r = store_dataset_add(i->store, &row, m->inode, m->btime);
        if (r != 0) {
                intake_fail(i, r);
                return NULL;
        }
        d = dataset_new(i);
        if (!d || dataset_copy_row(&row, &d->row) < 0) {
                intake_fail(i, -ENOMEM);
                return NULL;
        }
        if (dataset_append_place(i, d, KIND_DATASET_ADD, &(IntakeRoot) { m->mode, m->uid, m->gid }) != 0 ||
            store_dataset_covered(i->store, d->row.id, now_usec(CLOCK_REALTIME)) != 0)
                return NULL;
        return d;
}

static void refuse(Intake *i, const Adding *a, const IntakeResult *result) {
        dataset_unask(i, a->feed, a->token);
        intake_finish(i, a->ticket, result);
}

/* The dataset that watches a directory already, by another way to it (a bind mount): as its root, or as one
 * of the directories in it. NULL: not known. */
static const char *watched_as(Intake *i, const Feed_ROOT *m, IntakeOutcome *outcome) {
        for (size_t n = 0; n < i->n_datasets; n++) {
                const Dataset *d = &i->datasets[n];
                StoreNode node = { 0 };
                StoreLink link;

                if (!d->watched || d->device != m->device ||
                    store_node_find(i->store, d->row.filesystem, m->inode, m->btime, &node) != 0)
                        continue;
                d = dataset_beginning(i, node.id);
                if (!d && store_links_of_node(i->store, node.id, &link, 1) == 1) {
                        d = dataset_find(i, link.dataset);
                        *outcome = INTAKE_E_INSIDE;
                }
                store_node_done(&node);
                return d ? d->row.name : NULL;
        }
        return NULL;
}

/* The dataset that is to be moved: the one named, or the one whose root it is. */
static Dataset *to_be_moved(Intake *i, const Adding *a, const Feed_ROOT *m) {
        if (a->name)
                return dataset_named(i, a->name);
        for (size_t n = 0; n < i->n_datasets; n++)
                if (!i->datasets[n].row.removed && dataset_is_at(i, &i->datasets[n], m))
                        return &i->datasets[n];
        return NULL;
}

/* Its root is elsewhere, which was not noticed (yet). */
static void leave_root(Intake *i, Dataset *d) {
        dataset_unask(i, d->feed, d->token);
        dataset_unwatched(i, d);
        d->again = (Again) { 0 };
        gap_open(i, d, 0, CAUSE_ROOT_MOVED, 0);
}

int dataset_move(Intake *i, Dataset *d, Bytes to) {
        uint8_t *root = malloc(to.size + 1);

        if (!root)
                return -ENOMEM;
        leave_root(i, d);
        memcpy(root, to.data, to.size);
        root[to.size] = '\0';
        free(d->row.root);
        d->row.root = root;
        d->row.root_size = to.size;
        d->retry_at = 0;
        log_event(LOG_NOTICE, MSG_DATASET_MOVED, 0, "The root of dataset %s has another path from now on",
                  d->row.name, "SCITRACE_DATASET=%s", d->row.name);
        return dataset_append_place(i, d, KIND_DATASET_MOVE, NULL);
}

static Dataset *move_dataset(Intake *i, const Adding *a, const Feed_ROOT *m, IntakeOutcome *outcome) {
        Dataset *d = to_be_moved(i, a, m);
        CLEANUP(freep) char *was = d ? strdup((const char *) d->row.root) : NULL;

        *outcome = d ? INTAKE_E_FAILED : INTAKE_E_NOT_KNOWN;
        if (!was || dataset_move(i, d, BYTES(a->root, a->root_size)) != 0)
                return NULL;
        if (!dataset_is_at(i, d, m))
                rehome_begin(i, d, m);
        nesting_moved(i, d, was, a->feed);
        return d;
}

static Dataset *begin_dataset(Intake *i, const Adding *a, const Feed_ROOT *m, IntakeOutcome *outcome) {
        Dataset *d = a->flags & INTAKE_ADD_NEW ? NULL : resume(i, a, m);

        *outcome = INTAKE_E_FAILED;
        if (!d && i->error == 0) {
                int64_t next = store_next_node(i->store);

                d = make_dataset(i, a, m);
                if (d)
                        d->first_look = true;
                if (d && d->row.root_node >= next)
                        fresh_directory(i, d->row.root_node);
        }
        if (d)
                log_event(LOG_NOTICE, MSG_DATASET_ADDED, 0, "Dataset %s is watched from now on", d->row.name,
                          "SCITRACE_DATASET=%s", d->row.name);
        return d;
}

/* 0, or why the root cannot be watched. */
static IntakeResult check_root(Intake *i, const Feed_ROOT *m) {
        IntakeResult result = { .outcome = outcome_of(m->error), .error = -(int) m->error };

        if (result.outcome == INTAKE_E_WATCHED)
                result.dataset = watched_as(i, m, &result.outcome);
        return result;
}

/* Whether it is to be asked for again: the watcher still has it at its old path. */
static bool move_under_way(Intake *i, Adding *a, const Feed_ROOT *m) {
        Dataset *d = m->error == EBUSY && a->flags & INTAKE_ADD_MOVE ? to_be_moved(i, a, m) : NULL;

        if (!d || !d->watched || !dataset_is_at(i, d, m))
                return false;
        leave_root(i, d);
        watch_adding(i, a);
        return true;
}

static void root_of_adding(Intake *i, Adding *a, const Feed_ROOT *m) {
        IntakeResult result = check_root(i, m);
        Dataset *d = NULL;

        if (result.outcome == INTAKE_DONE)
                d = a->flags & INTAKE_ADD_MOVE ? move_dataset(i, a, m, &result.outcome)
                                               : begin_dataset(i, a, m, &result.outcome);
        if (!d) {
                if (result.error == 0)
                        result.error = -EIO;
                refuse(i, a, &result);
                return;
        }
        d->feed = a->feed;
        d->token = a->token;
        d->walk = a->walk;
        d->walked_seq = store_last_seq(i->store);
        d->watched = true;
        d->device = m->device;
        dataset_placed(i, d);
        d->mounted = true;
        dataset_network(i, d, m->network);
        places_covered(i, d);
        dataset_root_seen(i, d, &(IntakeRoot) { m->mode, m->uid, m->gid });
        nesting_claim(i, d);
        nesting_inherit(i, d);
        intake_finish(i, a->ticket, &(IntakeResult) { .dataset = d->row.name });
}

bool adding_root(Intake *i, const Feed_ROOT *m) {
        for (Adding **p = &i->addings, *a; (a = *p); p = &a->next) {
                if (a->token != m->root || a->feed != i->from)
                        continue;
                if (move_under_way(i, a, m))
                        return true;
                *p = a->next;
                root_of_adding(i, a, m);
                adding_free(a);
                return true;
        }
        return false;
}
