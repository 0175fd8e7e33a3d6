/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/intake/internal.h"

/* requests: what intake asks of the watcher, a bounded number at a time. Digests that are still to be read
 * are not kept here: the store knows them (node.wanted), and the pump takes the next ones from there, so
 * that they survive a restart and cost no memory, however many there are. */

enum { PUMP_PAGE = 64 };

static void send_request(Intake *i, Request *r) {
        uint32_t dir = 0;
        FeedMessage m;

        r->sent = true;
        r->feed->n_sent++;
        if (feed_of_node(i, r->parent, &dir) != r->feed)
                dir = 0;                /* nothing watches it now: the watcher answers that it failed */
        r->dir = dir;
        if (r->relist)
                m = (FeedMessage) { .type = FEED_LIST, .LIST = { .request = r->id, .dir = dir } };
        else if (r->digest)
                m = (FeedMessage) { .type = FEED_DIGEST,
                                    .DIGEST = { .request = r->id, .dir = dir,
                                                .name = BYTES(r->name, r->name_size), .inode = r->inode,
                                                .btime = r->btime, .origin = r->origin,
                                                .progress = r->large ? reading_of(i, r->node)
                                                                     : BYTES_NONE } };
        else
                m = (FeedMessage) { .type = FEED_CHECK,
                                    .CHECK = { .request = r->id, .dir = dir,
                                               .name = BYTES(r->name, r->name_size), .origin = r->origin,
                                               .list = r->list } };
        intake_request(i, r->feed, &m);
}

static void send_more(Intake *i, Feed *f) {
        while (f->unsent && f->n_sent < REQUESTS_SENT_MAX) {
                Request *r = f->unsent;

                f->unsent = r->next;
                send_request(i, r);
        }
}

/* What nobody watches cannot be asked about. */
static void add(Intake *i, Bytes name, const Request *fields) {
        uint32_t dir;
        Feed *f = feed_of_node(i, fields->parent, &dir);
        Request *r = f ? malloc(sizeof(*r) + name.size) : NULL;

        if (!f)
                return;
        if (!r) {
                intake_fail(i, -ENOMEM);
                return;
        }
        *r = *fields;
        r->id = i->next_request++;
        r->name_size = (uint8_t) name.size;
        memcpy(r->name, name.data, name.size);
        r->next = NULL;
        r->feed = f;
        r->previous = f->last;
        if (map_put(&i->requests, r->id, (uint64_t) (uintptr_t) r) < 0 ||
            (r->digest && map_put(&i->asked, (uint64_t) r->node, r->id) < 0)) {
                map_remove(&i->requests, r->id);
                free(r);
                intake_fail(i, -ENOMEM);
                return;
        }
        if (f->last)
                f->last->next = r;
        else
                f->first = r;
        f->last = r;
        f->n_requests++;
        f->n_asked += r->digest;
        f->n_lists += r->relist;
        f->n_large += r->large;
        if (!f->unsent)
                f->unsent = r;
        send_more(i, f);
}

/* Marked as wanted until it is there: what has the name by then may be the answer. Beyond its budget it is
 * only marked. */
void request_digest(Intake *i, int64_t parent, Bytes name, int64_t node, uint64_t inode, int64_t btime,
                    uint8_t origin) {
        uint32_t dir;
        Feed *f = feed_of_node(i, parent, &dir);

        if (store_node_want(i->store, node, true) != 0)
                intake_fail(i, STORE_E_FAILED);
        if (f && f->n_requests >= REQUESTS_MAX) {
                wanted(f, node);
                return;
        }
        add(i, name, &(Request) { .digest = true, .parent = parent, .node = node, .inode = inode,
                                  .btime = btime, .origin = origin });
}

static void request_large(Intake *i, Feed *f, const StoreWanted *w, uint8_t origin) {
        if (f->n_large >= LARGE_MAX) {
                f->large_left = true;   /* it stays wanted: asked for when there is room */
                return;
        }
        add(i, BYTES(w->link.name, w->link.name_size),
            &(Request) { .digest = true, .large = true, .parent = w->link.parent, .node = w->link.node,
                         .inode = w->inode, .btime = w->btime, .origin = origin });
}

void wanted(Feed *f, int64_t node) {
        f->wanted_cursor = MIN_OF(f->wanted_cursor, node - 1);
        f->wanted_done = false;
}

/* The next large one, if any, is looked for from the beginning. */
static void large_answered(Feed *f) {
        if (!f->large_left)
                return;
        f->large_left = false;
        wanted(f, 1);
}

void request_list(Intake *i, Feed *f, int64_t directory) {
        if (map_put(&f->again, (uint64_t) directory, 1) < 0)
                intake_fail(i, -ENOMEM);
}

/* Beyond its budget the directory is listed again, later: what is missing then is what is still to be
 * checked. So is one that was to be listed, by itself. */
void request_check(Intake *i, int64_t parent, Bytes name, uint8_t origin, bool list) {
        uint32_t dir;
        Feed *f = feed_of_node(i, parent, &dir);
        StoreLink link;
        bool known = list && store_link_find(i->store, parent, name, &link) == 0;

        if (f && f->n_requests >= REQUESTS_MAX) {
                request_list(i, f, known ? link.node : parent);
                return;
        }
        add(i, name, &(Request) { .parent = parent, .node = known ? link.node : 0, .origin = origin,
                                  .list = list });
}

/* What was to be listed had moved before the watcher was asked: it is asked for where it is now. */
static void follow(Intake *i, const Request *r) {
        StoreLink link;

        if (!r->list || r->node == 0 || store_links_of_node(i->store, r->node, &link, 1) != 1 ||
            (link.parent == r->parent &&
             bytes_equal(BYTES(link.name, link.name_size), BYTES(r->name, r->name_size))))
                return;
        request_check(i, link.parent, BYTES(link.name, link.name_size), r->origin, true);
}

/* One directory at a time, once most of what the last one led to is answered. */
static void list_again(Intake *i, Feed *f) {
        uint64_t node, value;
        size_t at = 0;

        if (f->n_lists > 0 || f->n_requests >= REQUESTS_MAX / 4 || !map_next(&f->again, &at, &node, &value))
                return;
        map_remove(&f->again, node);
        add(i, BYTES("", 0), &(Request) { .relist = true, .parent = (int64_t) node });
}

bool requests_compared(const Feed *f) {
        return f->wanted_done && f->again.count == 0 && f->n_lists == 0;
}

static void unlink_request(Request *r) {
        Feed *f = r->feed;

        if (r->previous)
                r->previous->next = r->next;
        else
                f->first = r->next;
        if (r->next)
                r->next->previous = r->previous;
        else
                f->last = r->previous;
        if (f->unsent == r)
                f->unsent = r->next;
        f->n_requests--;
        f->n_sent -= r->sent;
        f->n_asked -= r->digest;
        f->n_lists -= r->relist;
        f->n_large -= r->large;
}

Request *request_find(const Intake *i, uint32_t id) {
        uint64_t value;
        Request *r;

        if (!map_get(&i->requests, id, &value))
                return NULL;
        r = (Request *) (uintptr_t) value;
        return r->feed == i->from ? r : NULL;
}

Request *request_answered(Intake *i, uint32_t id) {
        Request *r = request_find(i, id);

        if (!r)
                return NULL;
        map_remove(&i->requests, id);
        if (r->list)
                settlings_listed(i, r->feed, id);
        if (r->digest)
                map_remove(&i->asked, (uint64_t) r->node);
        unlink_request(r);
        if (r->large) {
                reading_end(i, r->node);
                large_answered(r->feed);
        }
        follow(i, r);
        send_more(i, r->feed);
        return r;
}

/* While it was asked for, whoever wanted its digest once more found it asked for. */
bool request_missed(Intake *i, const Request *r) {
        StoreNode node = { 0 };
        StoreLink link;
        bool missed;

        if (i->error != 0 || !r || !r->digest || store_node_get(i->store, r->node, &node) != 0)
                return false;
        missed = node.wanted && store_links_of_node(i->store, r->node, &link, 1) > 0 &&
                 (link.parent != r->parent ||
                  !bytes_equal(BYTES(link.name, link.name_size), BYTES(r->name, r->name_size)));
        store_node_done(&node);
        if (missed) {
                wanted(r->feed, r->node);
                settlings_again(i, r->feed, r->id);
        }
        return missed;
}

bool requests_open_before(const Feed *f, uint32_t limit) {
        const Request *r = f->first;

        while (r && r->id < limit && r->large)
                r = r->next;
        return r && r->id < limit;
}

void requests_clear(Intake *i, Feed *f) {
        for (Request *r = f->first, *next; r; r = next) {
                next = r->next;
                map_remove(&i->requests, r->id);
                if (r->digest)
                        map_remove(&i->asked, (uint64_t) r->node);
                free(r);
        }
        f->first = f->last = f->unsent = NULL;
        f->n_requests = f->n_sent = f->n_asked = f->n_lists = f->n_large = 0;
        map_clear(&f->again);
        f->large_left = false;
        f->wanted_cursor = 0;
        f->wanted_done = false;
}

static bool walking(const Intake *i, const Feed *f) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].feed == f && i->datasets[n].walk != 0)
                        return true;
        for (const Adding *a = i->addings; a; a = a->next)
                if (a->feed == f)
                        return true;
        return false;
}

/* How the digest's event knows it: gaps stay open until the digests that their walk found
 * wanting are there. */
static uint8_t digest_origin(Intake *i, int64_t dataset) {
        const Dataset *d = dataset_find(i, dataset);

        if (d && d->first_look)
                return ORIGIN_SCAN;
        return d && (d->network || gap_on_dataset(i, d) || gap_of_watches(i, dataset)) ? ORIGIN_RECONCILE :
                                                                                         ORIGIN_LIVE;
}

static void ask_digest(Intake *i, Feed *f, const StoreWanted *w) {
        const StoreLink *link = &w->link;
        uint32_t dir;

        if (map_get(&i->asked, (uint64_t) link->node, NULL))
                return;                 /* the cursor went back past it */
        if (feed_of_node(i, link->parent, &dir) != f)
                return;                 /* another watcher's, or nobody's */
        if (w->size > i->digest_max)
                request_large(i, f, w, digest_origin(i, link->dataset));
        else
                add(i, BYTES(link->name, link->name_size),
                    &(Request) { .digest = true, .parent = link->parent, .node = link->node,
                                 .inode = w->inode, .btime = w->btime,
                                 .origin = digest_origin(i, link->dataset) });
}

/* Names come first: while a tree is walked, no digest is asked for. */
static void pump(Intake *i, Feed *f) {
        StoreWanted page[PUMP_PAGE];
        unsigned most = 0;

        if (!f->there || walking(i, f))
                return;
        if (f->n_sent < REQUESTS_SENT_MAX / 2)
                most = REQUESTS_SENT_MAX - PUMP_PAGE;
        while (!f->wanted_done && !f->unsent && f->n_sent < most) {
                int n = store_wanted(i->store, f->wanted_cursor, page, PUMP_PAGE);

                if (n < 0) {
                        intake_fail(i, n);
                        return;
                }
                if (n > 0)
                        f->wanted_cursor = page[n - 1].link.node;
                f->wanted_done = n < PUMP_PAGE;
                for (int l = 0; l < n; l++)     /* which may set the cursor back */
                        ask_digest(i, f, &page[l]);
        }
        list_again(i, f);
        for (size_t n = 0; f->wanted_done && f->n_asked == f->n_large && n < i->n_datasets; n++)
                if (i->datasets[n].feed == f)
                        i->datasets[n].first_look = false;
        gaps_settle(i, f);
}

void requests_pump(Intake *i) {
        for (Feed *f = i->feeds; f && i->error == 0; f = f->next)
                pump(i, f);
}

/* What could not be had for want of room is asked for once more, and so is the listing of what has another
 * watch by now. What was not found, and is recorded there all the same, is looked at. Of another failure a
 * gap tells; a notice, or the next start, tries again. */
void observe_failed(Intake *i, const Feed_FAILED *m) {
        CLEANUP(freep) Request *r = request_answered(i, m->request);
        bool again = m->error == EAGAIN, missing = m->error == ENOENT;
        uint32_t dir;

        if (request_missed(i, r) || !r || (!r->digest && !r->relist) ||
            feed_of_node(i, r->parent, &dir) != r->feed)
                return;
        if (r->relist && (again || (missing && dir != r->dir)))
                request_list(i, r->feed, r->parent);
        else if (r->digest && again)
                wanted(r->feed, r->node);
        else if (r->digest && missing)
                request_check(i, r->parent, BYTES(r->name, r->name_size), r->origin, false);
        else
                return;
        settlings_again(i, r->feed, m->request);
}
