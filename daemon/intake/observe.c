/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

#include "daemon/intake/internal.h"

/* observe: is it news? Compares what the watcher says with the record and makes events of what differs. The
 * order of observations is the kernel's; where several looks and notices tell the same thing,
 * the second finds no difference. */

enum {
        PAGE = 64,                      /* links read at once when a subtree goes */
        COVERED_USEC = 3000000,         /* from a ctime to its notice: a write of many bytes, and what the
                                         * coarsest clock of a file system counts as one time */
};

typedef struct Observed {               /* one STATE, with what the record has of it */
        const Feed_STATE *m;
        Dataset *dataset;
        int64_t parent;
        bool has_link, has_node;
        StoreLink link;                 /* open link of the name */
        StoreNode node;                 /* of that identity */
        Type type;
        int64_t count;                  /* operations */
        bool counted;                   /* an event has taken the count already */
        bool nameless;                  /* it had no name: what was noticed under its last one is lost */
} Observed;

static int64_t node_of_dir(const Intake *i, uint32_t dir) {
        uint64_t node = 0;

        return map_get(&i->nodes, feed_key(i->from, dir), &node) ? (int64_t) node : 0;
}

static void append_transient(Intake *i, const Dataset *d, int64_t parent, Bytes name, uint8_t origin,
                             int64_t first, int64_t last, int64_t count) {
        Event e = { .kind = KIND_TRANSIENT, .origin = origin, .dataset = d->row.id, .first = first,
                    .last = last, .count = count, .parent = parent, .name = name };

        (void) intake_append(i, &e);
}

/* Of a symbolic link where it leads; of a pointer file of git-annex its key, and once it has none the empty
 * run. Who only looked at a file knows nothing of it. */
static Bytes target_of(const Observed *o) {
        if (o->type == TYPE_FILE && o->m->digest.data && !o->m->target.data && o->node.target_size > 0)
                return BYTES("", 0);
        return o->type == TYPE_SYMLINK || o->type == TYPE_FILE ? o->m->target : BYTES_NONE;
}

static void owe(Intake *i, const Dataset *d, int64_t parent, Bytes name, int64_t count, int64_t first,
                int64_t last) {
        if (count > 0 && owed_add(i, parent, name, count) == OWED_E_FULL)
                append_transient(i, d, parent, name, ORIGIN_LIVE, first, last, count);
}

static Event event_of_state(const Observed *o, Kind kind) {
        const Feed_STATE *m = o->m;

        return (Event) {
                .kind = kind,
                .origin = m->origin,
                .dataset = o->dataset->row.id,
                .first = m->first,
                .last = m->last,
                .count = o->counted ? 0 : o->count,
                .parent = o->parent,
                .name = m->name,
                .has_state = true,
                .type = o->type,
                .size = o->type == TYPE_FILE ? m->size : 0,
                .mode = m->mode & 07777,
                .uid = m->uid,
                .gid = m->gid,
                .mtime = o->type == TYPE_FILE ? m->mtime : 0,
                .digest = m->digest,
                .digest_source = m->digest_source,
                .target = target_of(o),
        };
}

static int64_t seq_of_node(Intake *i, int64_t node) {
        StoreNode n = { 0 };
        int64_t seq = store_node_get(i->store, node, &n) == 0 ? n.seq : 0;

        store_node_done(&n);
        return seq;
}

/* The seq that the name had before: of the node that it holds or held last. */
static int64_t replaced_seq(Intake *i, int64_t parent, Bytes name, int64_t except) {
        StoreLink last;

        if (store_link_last(i->store, parent, name, &last) != 0 || last.node == except)
                return 0;
        return seq_of_node(i, last.node);
}

static void remember_ctime(Intake *i, int64_t node, int64_t known, int64_t ctime) {
        if (known != ctime && store_node_seen(i->store, node, ctime) != 0)
                intake_fail(i, STORE_E_FAILED);
}

/* Names that go. */

/* A removal that a walk was faster to find. */
static bool found_gone(Intake *i, const Dataset *d, int64_t parent, const Feed_GONE *m) {
        StoreLink former;

        return (d->walk != 0 || gap_on_dataset(i, d)) && m->count == 1 && !(m->flags & FEED_FLAG_CREATED) &&
               store_link_closed(i->store, parent, m->name, &former) == 0 && former.until > d->walked_seq;
}

static void record_gone(Intake *i, const Feed_GONE *m) {
        Dataset *d = dataset_of_dir(i, m->dir);
        int64_t parent = node_of_dir(i, m->dir);
        int64_t count;
        StoreLink link;
        int r;

        if (!d || parent == 0)
                return;
        count = m->count + owed_take(i, parent, m->name);
        i->elsewhere_due = true;
        r = store_link_find(i->store, parent, m->name, &link);
        if (r == 0) {
                if (unlink_name(i, d, &link, m->origin, m->first, m->last, count) == 0 &&
                    m->flags & FEED_FLAG_CONTENT)
                        elsewhere_look(i, link.node, m->origin);
        } else if (r == STORE_E_NONE && m->flags & FEED_FLAG_CONTENT) {
                elsewhere_former(i, parent, m->name, 0, m->origin);
                elsewhere_unnamed(i, d->row.filesystem, m->name, m->origin);
        }
        if (r == STORE_E_NONE && count > 0 && (count > m->count || !found_gone(i, d, parent, m)))
                append_transient(i, d, parent, m->name, m->origin, m->first, m->last, count);
        else if (r < 0)
                intake_fail(i, r);
}

void observe_gone(Intake *i, const Feed_GONE *m) {
        CLEANUP(freep) Request *request = request_answered(i, m->request);

        record_gone(i, m);
        (void) request_missed(i, request);
}

/* Names that move. */

void observe_moved(Intake *i, const Feed_MOVED *m) {
        Dataset *d = dataset_of_dir(i, m->dir);
        int64_t old_parent = node_of_dir(i, m->old_dir), parent = node_of_dir(i, m->dir);
        Event e = { .kind = KIND_RENAME, .origin = ORIGIN_LIVE, .first = m->first, .last = m->last,
                    .count = m->count, .parent = parent, .name = m->name, .old_parent = old_parent,
                    .old_name = m->old_name };
        StoreLink link, victim;
        bool over;

        /* A name that has no place yet may go before it has: then nobody tells of the old one again. */
        if (old_parent != 0 && (!d || parent == 0))
                request_check(i, old_parent, m->old_name, ORIGIN_LIVE, false);
        if (!d || old_parent == 0 || parent == 0)
                return;
        i->elsewhere_due = true;
        e.count += owed_take(i, old_parent, m->old_name);
        over = store_link_find(i->store, parent, m->name, &victim) == 0;
        if (store_link_find(i->store, old_parent, m->old_name, &link) != 0) {
                /* The look at the new name tells, or did; one at the old name may have met another file, and
                 * with that answered what was noticed of this one. */
                owe(i, d, parent, m->name, e.count, m->first, m->last);
                if (over)
                        elsewhere_look(i, victim.node, ORIGIN_LIVE);
                return;
        }
        over = over && victim.node != link.node;        /* else a look was faster: only the old name goes */
        if (over && victim.type == TYPE_DIRECTORY &&
            unlink_below(i, d, victim.node, ORIGIN_LIVE, m->last) != 0) {
                intake_fail(i, -EIO);
                return;
        }
        e.dataset = d->row.id;
        e.node = link.node;
        e.replaces = replaced_seq(i, parent, m->name, link.node);
        if (intake_append(i, &e) == 0 && over) {
                gaps_gone(i, victim.node);
                elsewhere_look(i, victim.node, ORIGIN_LIVE);
        }
}

/* Where only one of the names is recorded, its node moved to the other one; a look tells the rest. */
void observe_exchanged(Intake *i, const Feed_EXCHANGED *m) {
        Dataset *d = dataset_of_dir(i, m->dir), *old_d = dataset_of_dir(i, m->old_dir);
        int64_t old_parent = node_of_dir(i, m->old_dir), parent = node_of_dir(i, m->dir);
        Event e = { .kind = KIND_EXCHANGE, .origin = ORIGIN_LIVE, .first = m->first, .last = m->last,
                    .count = m->count, .parent = parent, .name = m->name, .old_parent = old_parent,
                    .old_name = m->old_name };
        StoreLink first, second;
        bool has_first, has_second;

        if (!d || !old_d || old_parent == 0 || parent == 0)
                return;
        has_first = store_link_find(i->store, old_parent, m->old_name, &first) == 0;
        has_second = store_link_find(i->store, parent, m->name, &second) == 0;
        if ((!has_first && !has_second) || (has_first && has_second && first.node == second.node)) {
                owe(i, d, parent, m->name, m->count, m->first, m->last);
                return;
        }
        e.dataset = has_first ? d->row.id : old_d->row.id;
        e.node = has_first ? first.node : second.node;
        if (has_first && has_second) {
                e.replaces = seq_of_node(i, second.node);
        } else {
                e.kind = KIND_RENAME;
                if (!has_first) {
                        e.parent = old_parent;
                        e.name = m->old_name;
                        e.old_parent = parent;
                        e.old_name = m->name;
                }
                e.replaces = replaced_seq(i, e.parent, e.name, e.node);
        }
        (void) intake_append(i, &e);
}

/* What a name is. */

static bool state_differs(const StoreNode *n, const Observed *o) {
        const Feed_STATE *m = o->m;

        return n->mode != (m->mode & 07777) || n->uid != m->uid || n->gid != m->gid ||
               (o->type == TYPE_FILE && (n->mtime != m->mtime || n->size != m->size));
}

static bool same_target(const StoreNode *n, const Observed *o) {
        return o->type != TYPE_SYMLINK ||
               (n->target && bytes_equal(BYTES(n->target, n->target_size), o->m->target));
}

static void append_for(Intake *i, const Observed *o, Kind kind, int64_t node) {
        Event e = event_of_state(o, kind);

        e.node = node;
        e.has_state = kind != KIND_IDENTIFY;
        if (intake_append(i, &e) == 0)
                remember_ctime(i, node, 0, o->m->ctime);
}

/* A file whose bytes were read: its digest decides. */
static void compare_digest(Intake *i, const Observed *o) {
        const StoreNode *n = &o->node;
        bool other = state_differs(n, o);

        if (i->n_gaps > 0)
                gaps_resolve(i, n->id);
        if (!n->has_digest && !other) {
                append_for(i, o, KIND_IDENTIFY, n->id);
        } else if (!n->has_digest || memcmp(n->digest, o->m->digest.data, EVENT_DIGEST_SIZE) != 0) {
                append_for(i, o, KIND_MODIFY, n->id);
        } else if (other) {
                append_for(i, o, KIND_ATTRIBUTE, n->id);
        } else {
                remember_ctime(i, n->id, n->ctime, o->m->ctime);
                if (o->m->request == 0)
                        elsewhere_former(i, o->parent, o->m->name, n->id, o->m->origin);
        }
        if (i->error == 0 && n->wanted && store_node_want(i->store, n->id, false) != 0)
                intake_fail(i, STORE_E_FAILED);
}

static bool live_touch(const Observed *o) {
        return o->m->origin == ORIGIN_LIVE && o->m->request == 0 && o->node.size == o->m->size &&
               !(o->m->flags & (FEED_FLAG_CONTENT | FEED_FLAG_LISTED));
}

/* It was asked for and cannot be read: there is a gap; a notice, or the next start, tries again. */
static void want_later(Intake *i, const Observed *o) {
        if (store_node_want(i->store, o->node.id, true) != 0)
                intake_fail(i, STORE_E_FAILED);
}

/* What is seen live is asked for at once; of walks there may be any number, and the pump asks for those. */
static void want(Intake *i, const Observed *o) {
        if (o->m->origin == ORIGIN_LIVE && o->m->size <= i->digest_max) {
                request_digest(i, o->parent, o->m->name, o->node.id, o->m->inode, o->m->btime, ORIGIN_LIVE);
                return;
        }
        want_later(i, o);
        wanted(i->from, o->node.id);
}

/* Whether no notice of what happened up to then can still be lost: the next gap begins at covered_until. */
static bool is_covered(const Dataset *d, int64_t ctime) {
        int64_t covered = d->row.covered_until;

        return !d->network && ctime / 1000 < covered - COVERED_USEC && covered <= now_usec(CLOCK_REALTIME);
}

/* A negative ctime is one at which the content is known by notices alone: if all have come, it is what was
 * read last. */
static bool is_as_seen(const Observed *o) {
        int64_t ctime = o->m->ctime;

        return o->node.ctime == ctime || (o->node.ctime == -ctime && is_covered(o->dataset, ctime));
}

/* Where notices were lost, what is not as it was seen may have been written to. */
static bool is_suspect(const Intake *i, const Observed *o) {
        return (o->m->flags & FEED_FLAG_LISTED || (i->n_gaps > 0 && gap_on_dataset(i, o->dataset))) &&
               !is_as_seen(o);
}

/* The ctime to remember after a look that read nothing; 0: the next listing has the file read. */
static int64_t ctime_seen(const Observed *o, bool moved) {
        const StoreNode *n = &o->node;
        int64_t ctime = o->m->ctime;

        if (moved || n->ctime == 0)
                return 0;
        return n->ctime == ctime || n->ctime == -ctime ? n->ctime : -ctime;
}

/* A file that was only looked at. Live notices of content come with a digest, unless it is too large, still
 * being written, or cannot be read; a walk asks for one where anything differs;
 * else only attributes are news. */
static void compare_look(Intake *i, const Observed *o) {
        const StoreNode *n = &o->node;
        const Feed_STATE *m = o->m;
        bool moved = n->size != m->size || n->mtime != m->mtime, content = !live_touch(o) && moved;
        bool read = is_suspect(i, o) || (o->nameless && !(m->flags & FEED_FLAG_LISTED));

        if (!content && n->has_digest && !read && !(m->flags & FEED_FLAG_CONTENT)) {
                bool other = state_differs(n, o);

                if (other)
                        append_for(i, o, KIND_ATTRIBUTE, n->id);
                if (i->error == 0)
                        remember_ctime(i, n->id, other ? INT64_MIN : n->ctime, ctime_seen(o, moved));
        } else if (m->flags & (FEED_FLAG_CONTENT | FEED_FLAG_OPEN) || m->size > i->digest_max) {
                if (state_differs(n, o))
                        append_for(i, o, KIND_MODIFY, n->id);
                if (m->request != 0 && m->size <= i->digest_max && !(m->flags & FEED_FLAG_OPEN))
                        want_later(i, o);
                else if (!(m->flags & FEED_FLAG_OPEN))
                        want(i, o);
        } else {
                want(i, o);             /* the answer says what is different */
        }
}

static void compare(Intake *i, const Observed *o) {
        if (o->type == TYPE_FILE && o->m->digest.size == EVENT_DIGEST_SIZE)
                compare_digest(i, o);
        else if (o->type == TYPE_FILE)
                compare_look(i, o);
        else if (!same_target(&o->node, o))
                append_for(i, o, KIND_MODIFY, o->node.id);
        else if (state_differs(&o->node, o))
                append_for(i, o, KIND_ATTRIBUTE, o->node.id);
}

/* A node that the record does not know. */
static void meet_new(Intake *i, Observed *o) {
        bool takes_over = o->has_link && (o->link.type == TYPE_DIRECTORY) == (o->type == TYPE_DIRECTORY) &&
                          o->type != TYPE_DIRECTORY;
        Event e = event_of_state(o, takes_over ? KIND_MODIFY : KIND_CREATE);

        if (o->has_link && !takes_over &&
            unlink_name(i, o->dataset, &o->link, o->m->origin, o->m->first, o->m->last, 0) != 0)
                return;
        e.node = store_next_node(i->store);
        e.introduces = true;
        e.inode = o->m->inode;
        e.btime = o->m->btime;
        e.replaces = replaced_seq(i, o->parent, o->m->name, e.node);
        if (intake_append(i, &e) != 0)
                return;
        o->node.id = e.node;
        remember_ctime(i, e.node, 0, o->m->ctime);
        if (o->type == TYPE_FILE && !e.digest.data)
                wanted(i->from, e.node);
        /* The watcher told of what is in it when the record had no place for it yet. */
        if (o->type == TYPE_DIRECTORY && !(o->m->flags & (FEED_FLAG_ADOPTED | FEED_FLAG_FOREIGN)))
                request_check(i, o->parent, o->m->name, o->m->origin, true);
        if (takes_over) {
                gaps_gone(i, o->link.node);
                elsewhere_look(i, o->link.node, o->m->origin);
        }
}

/* A node that the record does not know, at a name that it never had. */
static bool append_new(Intake *i, const Observed *o, Event *ret) {
        int r;

        *ret = event_of_state(o, KIND_CREATE);
        ret->node = store_next_node(i->store);
        ret->introduces = true;
        ret->inode = o->m->inode;
        ret->btime = o->m->btime;
        r = store_append_new(i->store, ret, o->m->ctime, NULL);
        if (r != 0) {
                intake_fail(i, r);
                return false;
        }
        i->appended++;
        if (o->type == TYPE_FILE && !ret->digest.data)
                wanted(i->from, ret->node);
        return true;
}

/* At a first look. */
static void meet_fresh(Intake *i, const Observed *o) {
        Event e;

        if (!append_new(i, o, &e) || o->type != TYPE_DIRECTORY)
                return;
        fresh_named(i, o->parent, e.name);
        fresh_directory(i, e.node);
        i->made.parent = o->parent;
        i->made.node = e.node;
        i->made.name_size = (uint8_t) e.name.size;
        memcpy(i->made.name, e.name.data, e.name.size);
}

/* What people make and nobody had before: nearly all of a storm. */
static bool meet_unheard(Intake *i, const Observed *o) {
        const Feed_STATE *m = o->m;
        Event e;

        if (o->type == TYPE_DIRECTORY || m->nlink > 1 || m->flags & FEED_FLAG_FOREIGN ||
            !store_is_new(i->store, o->dataset->row.filesystem, m->inode, m->btime, o->parent, m->name))
                return false;
        if (append_new(i, o, &e))
                fresh_appended(i, &e);
        return true;
}

static bool is_fresh(Intake *i, const Observed *o) {
        const Feed_STATE *m = o->m;

        return m->origin == ORIGIN_SCAN && m->request == 0 && !m->digest.data &&
               fresh_name(i, o->parent, m->name) &&
               (m->flags & FEED_FLAG_LISTED ? !map_get(&i->from->listed, hash_name(m->name), NULL) :
                                              o->type == TYPE_DIRECTORY) &&
               (o->type != TYPE_DIRECTORY || m->flags & FEED_FLAG_ADOPTED) &&
               store_identity_is_new(i->store, o->dataset->row.filesystem, m->inode, m->btime);
}

/* A node that is recorded under another name, or was. Where it cannot have both names, it moved. */
static void meet_known(Intake *i, Observed *o) {
        StoreLink old[8];
        int n = store_links_of_node(i->store, o->node.id, old, (int) ELEMENTS(old));
        bool moved = n == 1 && (o->type == TYPE_DIRECTORY || o->m->nlink == 1);
        Event e = event_of_state(o, moved ? KIND_RENAME : KIND_LINK);

        if (n < 0) {
                intake_fail(i, n);
                return;
        }
        if (o->has_link && (o->link.type == TYPE_DIRECTORY || !moved) &&
            unlink_name(i, o->dataset, &o->link, o->m->origin, o->m->first, o->m->last, 0) != 0)
                return;
        e.node = o->node.id;
        e.has_state = false;            /* what changed besides is an event of its own */
        e.digest = e.target = BYTES_NONE;
        e.digest_source = 0;
        e.replaces = replaced_seq(i, o->parent, o->m->name, o->node.id);
        if (moved) {
                e.old_parent = old[0].parent;
                e.old_name = BYTES(old[0].name, old[0].name_size);
        }
        if (intake_append(i, &e) != 0)
                return;
        if (!moved && (unsigned) n + 1 > o->m->nlink)   /* some other name of it is gone: find out which */
                for (int l = 0; l < n; l++)
                        request_check(i, old[l].parent, BYTES(old[l].name, old[l].name_size), o->m->origin,
                                      false);
        if (o->has_link)
                elsewhere_look(i, o->link.node, o->m->origin);
        o->counted = true;
        o->nameless = n == 0;
        if (n == 0 && o->type == TYPE_DIRECTORY && !(o->m->flags & FEED_FLAG_ADOPTED) &&
            !dataset_beginning(i, o->node.id))
                request_check(i, o->parent, o->m->name, o->m->origin, true); /* none of its names is left */
        compare(i, o);
}

/* Where another file system is mounted: nothing is known of the directory that it covers. One that was never
 * seen is recorded by its place. */
static void observe_foreign(Intake *i, Observed *o) {
        Feed_STATE placed = *o->m;

        if (o->has_link && o->link.type == TYPE_DIRECTORY)
                return;
        placed.inode = hash_in_directory(o->parent, o->m->name) | UINT64_C(1) << 63;
        placed.btime = 0;
        o->m = &placed;
        meet_new(i, o);
}

/* The digest that was asked for, of a file that is recorded as it was then, and is so still. */
static bool is_as_asked(const Intake *i, Observed *o, const Request *request) {
        const Feed_STATE *m = o->m;
        StoreNode *n = &o->node;

        return request && request->digest && m->digest.size == EVENT_DIGEST_SIZE && !m->target.data &&
               !(m->flags & (FEED_FLAG_FOREIGN | FEED_FLAG_LISTED | FEED_FLAG_ARRIVED)) &&
               o->type == TYPE_FILE &&
               store_node_known(i->store, request->node, o->parent, m->name, n) == 0 &&
               n->inode == m->inode && n->btime == m->btime &&
               n->filesystem == o->dataset->row.filesystem && !state_differs(n, o);
}

static void meet_as_asked(Intake *i, const Observed *o) {
        Event e = event_of_state(o, KIND_IDENTIFY);
        int r;

        if (i->n_gaps > 0)
                gaps_resolve(i, o->node.id);
        if (store_node_known(i->store, o->node.id, o->parent, o->m->name, &(StoreNode) { 0 }) != 0) {
                append_for(i, o, KIND_IDENTIFY, o->node.id);    /* a gap that was closed changed it */
                return;
        }
        e.node = o->node.id;
        e.has_state = false;
        r = store_append_digest(i->store, &e, o->m->ctime, NULL);
        if (r != 0)
                intake_fail(i, r);
        else
                i->appended++;
}

/* A directory that the watcher had lost sight of, where notices were lost. It tells what is in it, and not
 * what went meanwhile. */
static bool is_met_again(Intake *i, const Observed *o) {
        StoreLink any;

        return o->has_node && o->type == TYPE_DIRECTORY && o->dataset->walk == 0 && o->m->request == 0 &&
               gap_on_dataset(i, o->dataset) &&
               (o->m->flags & (FEED_FLAG_ADOPTED | FEED_FLAG_LISTED)) == FEED_FLAG_ADOPTED &&
               store_links(i->store, o->node.id, BYTES_NONE, &any, 1) > 0;
}

/* Whether it was the digest that was asked for: then its node is wanted no more, nobody need look. */
static bool record_state(Intake *i, const Feed_STATE *m, const Request *request) {
        Observed o = { .m = m, .dataset = dataset_of_dir(i, m->dir), .parent = node_of_dir(i, m->dir),
                       .type = type_from_mode(m->mode) };
        int64_t before = i->appended, owed;
        bool fresh;
        int r;

        if (!o.dataset || o.parent == 0 || o.type == TYPE_NONE)
                return false;
        if (m->name.size == 0) {        /* the root itself */
                dataset_root_seen(i, o.dataset, &(IntakeRoot) { m->mode, m->uid, m->gid });
                return false;
        }
        owed = owed_take(i, o.parent, m->name);
        o.count = m->count + owed;
        fresh = is_fresh(i, &o);
        if (m->flags & FEED_FLAG_LISTED && map_put(&i->from->listed, hash_name(m->name), 1) < 0)
                intake_fail(i, -ENOMEM);
        if (fresh && !(m->flags & FEED_FLAG_FOREIGN)) {
                meet_fresh(i, &o);
                return false;
        }
        if (is_as_asked(i, &o, request)) {
                meet_as_asked(i, &o);
                if (i->error == 0 && m->origin == ORIGIN_LIVE)
                        elsewhere_note(i, o.node.id, m->nlink);
                return true;
        }
        if (meet_unheard(i, &o))
                return false;
        r = store_link_find(i->store, o.parent, m->name, &o.link);
        o.has_link = r == 0;
        if (r >= 0 && m->flags & FEED_FLAG_FOREIGN) {
                observe_foreign(i, &o);
                return false;
        }
        if (r >= 0)
                r = store_node_find(i->store, o.dataset->row.filesystem, m->inode, m->btime, &o.node);
        o.has_node = r == 0 && o.node.type == o.type;
        if (r < 0)
                intake_fail(i, r);
        else if (o.has_link && o.link.node != o.node.id && rehome_node(i, o.dataset, &o.link, m, &o.node))
                compare(i, &o);
        else if (!o.has_node)
                meet_new(i, &o);
        else if (o.has_link && o.link.node == o.node.id)
                compare(i, &o);
        else
                meet_known(i, &o);
        if (m->flags & FEED_FLAG_ARRIVED)
                owed = o.count;
        if (i->error == 0 && i->appended == before && owed > 0) /* what had the name before came and went */
                append_transient(i, o.dataset, o.parent, m->name, m->origin, m->first, m->last, owed);
        if (i->error == 0 && o.type == TYPE_FILE && m->origin == ORIGIN_LIVE)
                elsewhere_note(i, o.node.id, m->nlink);
        if (i->error == 0 && is_met_again(i, &o))
                request_list(i, i->from, o.node.id);
        store_node_done(&o.node);
        return false;
}

void observe_state(Intake *i, const Feed_STATE *m) {
        CLEANUP(freep) Request *request = request_answered(i, m->request);

        if (!record_state(i, m, request))
                (void) request_missed(i, request);
}

/* Directories and their listings. */

static int64_t node_of_name(Intake *i, int64_t parent, Bytes name) {
        StoreLink link;

        if (parent == i->made.parent && bytes_equal(name, BYTES(i->made.name, i->made.name_size)))
                return i->made.node;
        return store_link_find(i->store, parent, name, &link) == 0 && link.type == TYPE_DIRECTORY
                       ? link.node : 0;
}

void observe_dir(Intake *i, const Feed_DIR *m) {
        Dataset *d = dataset_of_token(i, m->root);
        int64_t parent = m->parent ? node_of_dir(i, m->parent) : 0, node = 0;
        uint64_t key = feed_key(i->from, m->dir);

        if (!d)
                return;
        if (m->parent == 0)
                node = d->row.root_node;
        else if (parent != 0)
                node = node_of_name(i, parent, m->name);
        i->made.parent = 0;
        if (node == 0)
                return;                 /* it cannot be placed; its parent's listing comes again */
        if (map_put(&i->nodes, key, (uint64_t) node) < 0 || map_put(&i->dirs, (uint64_t) node, key) < 0 ||
            map_put(&i->roots, key, m->root) < 0)
                intake_fail(i, -ENOMEM);
        if (i->n_gaps > 0 && gaps_reopened(i, node) && d->walk == 0)
                dataset_walk(i, d);
}

/* It can be read: what stood in the way of that is told again, or is over. */
void observe_list_begin(Intake *i, const Feed_LIST_BEGIN *m) {
        int64_t node = node_of_dir(i, m->dir);

        map_clear(&i->from->listed);
        if (node != 0 && i->n_gaps > 0)
                (void) gaps_reopened(i, node);
}

void observe_list_end(Intake *i, const Feed_LIST_END *m) {
        int64_t parent = node_of_dir(i, m->dir);
        bool fresh = map_get(&i->fresh, (uint64_t) parent, NULL);
        StoreLink links[PAGE];
        uint8_t after[256];
        Bytes from = BYTES_NONE;
        int n;

        fresh_ends(i, parent);
        if (parent == 0 || m->error != 0 || fresh)      /* in a fresh one nothing can be missing */
                return;
        do {
                n = store_links(i->store, parent, from, links, PAGE);
                for (int l = 0; l < n; l++) {
                        Bytes name = BYTES(links[l].name, links[l].name_size);

                        if (!map_get(&i->from->listed, hash_name(name), NULL))
                                request_check(i, parent, name, ORIGIN_RECONCILE, false);
                }
                if (n > 0) {
                        memcpy(after, links[n - 1].name, links[n - 1].name_size);
                        from = BYTES(after, links[n - 1].name_size);
                }
        } while (n == PAGE);
        if (n < 0)
                intake_fail(i, n);
        map_clear(&i->from->listed);
}

/* It is there, and was told of; where the record lacks it (what was told could not be placed), once more. */
void observe_present(Intake *i, const Feed_PRESENT *m) {
        int64_t parent = node_of_dir(i, m->dir);
        StoreLink link;

        if (parent == 0)
                return;
        if (map_put(&i->from->listed, hash_name(m->name), 1) < 0)
                intake_fail(i, -ENOMEM);
        if (fresh_has(i, parent, m->name))
                return;
        if (store_link_find(i->store, parent, m->name, &link) == STORE_E_NONE)
                request_check(i, parent, m->name, ORIGIN_RECONCILE, true);
}
