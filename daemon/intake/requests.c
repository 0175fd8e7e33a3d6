/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/intake/internal.h"

/* requests: what intake asks of the watcher, a bounded number at a time. Digests that are still to be read
 * are not kept here: the store knows them (node.wanted), and the pump takes the next ones from there, so
 * that they survive a restart and cost no memory, however many there are. */

enum { PUMP_PAGE = 64 };

static void send_request(Intake *i, Request *r) {
        uint64_t dir = 0;
        FeedMessage m;

        r->sent = true;
        i->n_sent++;
        if (!map_get(&i->dirs, (uint64_t) r->parent, &dir))
                dir = 0;                /* nothing watches it: the watcher answers that it failed */
        if (r->digest)
                m = (FeedMessage) { .type = FEED_DIGEST,
                                    .DIGEST = { .request = r->id, .dir = (uint32_t) dir,
                                                .name = BYTES(r->name, r->name_size), .inode = r->inode,
                                                .btime = r->btime, .origin = r->origin,
                                                .progress = r->large ? reading_of(i, r->node)
                                                                     : BYTES_NONE } };
        else
                m = (FeedMessage) { .type = FEED_CHECK,
                                    .CHECK = { .request = r->id, .dir = (uint32_t) dir,
                                               .name = BYTES(r->name, r->name_size), .origin = r->origin,
                                               .list = r->list } };
        intake_request(i, &m);
}

static void send_more(Intake *i) {
        while (i->unsent && i->n_sent < REQUESTS_SENT_MAX) {
                Request *r = i->unsent;

                i->unsent = r->next;
                send_request(i, r);
        }
}

static void add(Intake *i, Bytes name, const Request *fields) {
        Request *r = malloc(sizeof(*r) + name.size);

        if (!r) {
                intake_fail(i, -ENOMEM);
                return;
        }
        *r = *fields;
        r->id = i->next_request++;
        r->name_size = (uint8_t) name.size;
        memcpy(r->name, name.data, name.size);
        r->next = NULL;
        r->previous = i->last;
        if (map_put(&i->requests, r->id, (uint64_t) (uintptr_t) r) < 0 ||
            (r->digest && map_put(&i->asked, (uint64_t) r->node, r->id) < 0)) {
                map_remove(&i->requests, r->id);
                free(r);
                intake_fail(i, -ENOMEM);
                return;
        }
        if (i->last)
                i->last->next = r;
        else
                i->first = r;
        i->last = r;
        if (!i->unsent)
                i->unsent = r;
        send_more(i);
}

void request_digest(Intake *i, int64_t parent, Bytes name, int64_t node, uint64_t inode, int64_t btime,
                    uint8_t origin) {
        add(i, name, &(Request) { .digest = true, .parent = parent, .node = node, .inode = inode,
                                  .btime = btime, .origin = origin });
}

static void request_large(Intake *i, const StoreLink *link, const StoreNode *node, uint8_t origin) {
        if (i->n_large >= LARGE_MAX) {
                i->large_left = true;   /* it stays wanted: asked for when there is room */
                return;
        }
        i->n_large++;
        add(i, BYTES(link->name, link->name_size),
            &(Request) { .digest = true, .large = true, .parent = link->parent, .node = node->id,
                         .inode = node->inode, .btime = node->btime, .origin = origin });
}

void wanted(Intake *i, int64_t node) {
        i->wanted_cursor = MIN_OF(i->wanted_cursor, node - 1);
        i->wanted_done = false;
}

/* The next large one, if any, is looked for from the beginning. */
static void large_answered(Intake *i) {
        i->n_large--;
        if (!i->large_left)
                return;
        i->large_left = false;
        wanted(i, 1);
}

void request_check(Intake *i, int64_t parent, Bytes name, uint8_t origin, bool list) {
        add(i, name, &(Request) { .parent = parent, .origin = origin, .list = list });
}

static void unlink_request(Intake *i, Request *r) {
        if (r->previous)
                r->previous->next = r->next;
        else
                i->first = r->next;
        if (r->next)
                r->next->previous = r->previous;
        else
                i->last = r->previous;
        if (i->unsent == r)
                i->unsent = r->next;
        i->n_sent -= r->sent;
}

Request *request_find(const Intake *i, uint32_t id) {
        uint64_t value;

        return map_get(&i->requests, id, &value) ? (Request *) (uintptr_t) value : NULL;
}

Request *request_answered(Intake *i, uint32_t id) {
        Request *r = request_find(i, id);

        if (!r)
                return NULL;
        map_remove(&i->requests, id);
        if (r->digest)
                map_remove(&i->asked, (uint64_t) r->node);
        if (r->large) {
                reading_end(i, r->node);
                large_answered(i);
        }
        unlink_request(i, r);
        send_more(i);
        return r;
}

bool requests_open_before(const Intake *i, uint32_t limit) {
        const Request *r = i->first;

        while (r && r->id < limit && r->large)
                r = r->next;
        return r && r->id < limit;
}

void requests_clear(Intake *i) {
        for (Request *r = i->first, *next; r; r = next) {
                next = r->next;
                free(r);
        }
        i->first = i->last = i->unsent = NULL;
        i->n_sent = i->n_large = 0;
        i->large_left = false;
        map_clear(&i->requests);
        map_clear(&i->asked);
        i->wanted_cursor = 0;
        i->wanted_done = false;
}

static bool walking(const Intake *i) {
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].walk != 0)
                        return true;
        return i->addings;
}

/* How the digest's event knows it: gaps stay open until the digests that their walk found
 * wanting are there. */
static uint8_t digest_origin(Intake *i, int64_t dataset) {
        const Dataset *d = dataset_find(i, dataset);

        if (d && d->first_look)
                return ORIGIN_SCAN;
        return d && gap_on_dataset(i, d) ? ORIGIN_RECONCILE : ORIGIN_LIVE;
}

static void ask_digest(Intake *i, const StoreLink *link) {
        StoreNode node = { 0 };

        if (map_get(&i->asked, (uint64_t) link->node, NULL))
                return;                 /* the cursor went back past it */
        if (store_node_get(i->store, link->node, &node) != 0 ||
            !map_get(&i->dirs, (uint64_t) link->parent, NULL)) {
                store_node_done(&node); /* nobody watches it now */
                return;
        }
        if (node.size > i->digest_max)
                request_large(i, link, &node, digest_origin(i, link->dataset));
        else
                request_digest(i, link->parent, BYTES(link->name, link->name_size), link->node, node.inode,
                               node.btime, digest_origin(i, link->dataset));
        store_node_done(&node);
}

/* Names come first: while a tree is walked, no digest is asked for. */
void requests_pump(Intake *i) {
        StoreLink links[PUMP_PAGE];

        if (!i->feed || walking(i))
                return;
        while (!i->wanted_done && !i->unsent && i->n_sent < REQUESTS_SENT_MAX / 2) {
                int n = store_wanted(i->store, 0, i->wanted_cursor, links, PUMP_PAGE);

                if (n < 0) {
                        intake_fail(i, n);
                        return;
                }
                for (int l = 0; l < n; l++)
                        ask_digest(i, &links[l]);
                if (n > 0)
                        i->wanted_cursor = links[n - 1].node;
                i->wanted_done = n < PUMP_PAGE;
        }
        for (size_t n = 0; i->wanted_done && i->asked.count == i->n_large && n < i->n_datasets; n++)
                i->datasets[n].first_look = false;
        gaps_settle(i);
}

/* A digest that could not be had stays wanted; the next start, or a notice, tries again. */
void observe_failed(Intake *i, const Feed_FAILED *m) {
        Request *r = request_answered(i, m->request);

        if (r && m->error == EAGAIN && r->digest)
                wanted(i, r->node);
        free(r);
}
