/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* gaps: stretches in which changes may have gone unseen: opened at once, closed by the reconciliation that
 * follows. Each is a pair of events; what is kept here is only the open ones. */

/* Causes that end by themselves when the thing can be read again; a walk does not help. */
static bool ends_by_itself(Cause cause) {
        return cause == CAUSE_PERMISSION || cause == CAUSE_OTHER_FILESYSTEM || cause == CAUSE_READ_ERROR ||
               cause == CAUSE_REMOTE;
}

static int load_gap(void *userdata, const StoreGap *g) {
        Intake *i = userdata;
        const Dataset *d = dataset_find(i, g->dataset);
        Gap *gaps;

        if (!d || d->row.removed)
                return 0;               /* nothing of it is expected */
        gaps = reallocarray(i->gaps, i->n_gaps + 1, sizeof(*gaps));
        if (!gaps)
                return -ENOMEM;
        i->gaps = gaps;
        i->gaps[i->n_gaps++] =
                (Gap) { .id = g->id, .dataset = g->dataset, .node = g->node, .cause = g->cause };
        return 0;
}

int gaps_load(Intake *i) {
        i->n_gaps = 0;
        return store_gaps(i->store, load_gap, i);
}

typedef struct Resumed {
        Intake *intake;
        int64_t dataset;
} Resumed;

static int load_gap_of(void *userdata, const StoreGap *g) {
        const Resumed *r = userdata;

        return g->dataset == r->dataset ? load_gap(r->intake, g) : 0;
}

int gaps_resume(Intake *i, int64_t dataset) {
        return store_gaps(i->store, load_gap_of, &(Resumed) { i, dataset });
}

bool gap_on(const Intake *i, int64_t dataset, int64_t node, Cause cause) {
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].dataset == dataset && i->gaps[n].node == node && i->gaps[n].cause == cause)
                        return true;
        return false;
}

/* Where watches are missing, all that has one is live all the same. */
bool gap_on_dataset(const Intake *i, const Dataset *d) {
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].dataset == d->row.id && i->gaps[n].cause != CAUSE_WATCH_LIMIT &&
                    i->gaps[n].cause != CAUSE_REMOTE &&
                    (i->gaps[n].node == 0 || i->gaps[n].node == d->row.root_node))
                        return true;
        return false;
}

bool gap_of_watches(const Intake *i, int64_t dataset) {
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].dataset == dataset && i->gaps[n].cause == CAUSE_WATCH_LIMIT)
                        return true;
        return false;
}

/* What becomes of it, where that is not to be compared at once. */
static const char *sequel_of(Cause cause) {
        static const char *const sequels[] = {
                [CAUSE_WATCH_LIMIT] = "directories without a watch are looked at in turn",
                [CAUSE_PERMISSION] = "we may not read something in it, until its mode or owner changes",
                [CAUSE_UNMOUNTED] = "it is compared with the record when its file system is back",
                [CAUSE_OTHER_FILESYSTEM] = "what is mounted in it is recorded only as a dataset of its own",
                [CAUSE_REMOTE] = "it is compared with the record now and then, see PollInterval=",
                [CAUSE_READ_ERROR] = "something in it cannot be read; it is tried again",
                [CAUSE_ROOT_MOVED] = "its root is not where it was; it is compared with the record when it "
                                     "is back, or 'scitracectl add --move' says where it is",
        };

        return (size_t) cause < ELEMENTS(sequels) && sequels[cause]
                       ? sequels[cause]
                       : "comparing it with the record as soon as possible";
}

void gap_open(Intake *i, Dataset *d, int64_t node, Cause cause, int64_t from) {
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_GAP_OPEN, .origin = ORIGIN_LIVE, .dataset = d->row.id, .node = node,
                    .cause = cause, .first = from > 0 ? MIN_OF(from, now) : now, .last = now };
        Gap *gaps;

        if (gap_on(i, d->row.id, node, cause))
                return;
        gaps = reallocarray(i->gaps, i->n_gaps + 1, sizeof(*gaps));
        if (!gaps) {
                intake_fail(i, -ENOMEM);
                return;
        }
        i->gaps = gaps;
        if (intake_append(i, &e) != 0)
                return;
        i->gaps[i->n_gaps++] = (Gap) { .id = e.seq, .dataset = d->row.id, .node = node, .cause = cause };
        log_event(LOG_WARNING, MSG_GAP_OPENED, 0,
                  "Changes in dataset %s may have gone unseen (%s); %s", d->row.name,
                  cause_to_word((int) cause), sequel_of(cause), "SCITRACE_DATASET=%s", d->row.name,
                  "SCITRACE_CAUSE=%s", cause_to_word((int) cause));
}

void gap_close(Intake *i, size_t n) {
        Gap *g = &i->gaps[n];
        Dataset *d = dataset_find(i, g->dataset);
        int64_t now = now_usec(CLOCK_REALTIME);
        Event e = { .kind = KIND_GAP_CLOSE, .origin = ORIGIN_LIVE, .dataset = g->dataset, .node = g->node,
                    .cause = g->cause, .gap = g->id, .first = now, .last = now };

        if (intake_append(i, &e) != 0)
                return;
        log_event(LOG_NOTICE, MSG_GAP_CLOSED, 0,
                  "Dataset %s was compared with the record; the gap (%s) is closed", d ? d->row.name : "?",
                  cause_to_word((int) g->cause), "SCITRACE_DATASET=%s", d ? d->row.name : "?",
                  "SCITRACE_CAUSE=%s", cause_to_word((int) g->cause));
        i->gaps[n] = i->gaps[--i->n_gaps];
}

void gaps_reconciled(Intake *i, Dataset *d) {
        for (size_t n = 0; n < i->n_gaps; n++) {
                Gap *g = &i->gaps[n];

                if (g->dataset != d->row.id || g->reconciled || g->swept ||
                    (ends_by_itself(g->cause) && !g->by_walk))
                        continue;
                g->reconciled = true;
                g->limit = 0;
        }
}

void gaps_local(Intake *i, const Dataset *d) {
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].dataset == d->row.id && i->gaps[n].cause == CAUSE_REMOTE)
                        i->gaps[n].by_walk = true;
}

void gaps_unswept(Intake *i, int64_t dataset) {
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].dataset == dataset)
                        i->gaps[n].swept = false;
}

void observe_reconciled(Intake *i, const Feed_RECONCILED *m) {
        const Dataset *d = dataset_of_token(i, m->root);

        for (size_t n = 0; d && n < i->n_gaps; n++) {
                Gap *g = &i->gaps[n];

                if (g->dataset != d->row.id || g->cause != m->cause || !g->swept)
                        continue;
                g->reconciled = true;
                g->limit = 0;
        }
}

void gaps_settle(Intake *i, const Feed *f) {
        for (size_t n = 0; n < i->n_gaps;) {
                Gap *g = &i->gaps[n];
                const Dataset *d = g->reconciled ? dataset_find(i, g->dataset) : NULL;

                if (d && d->feed == f && g->limit == 0 && requests_compared(f))
                        g->limit = i->next_request;
                if (!d || d->feed != f || g->limit == 0 || requests_open_before(f, g->limit)) {
                        n++;
                        continue;
                }
                gap_close(i, n);
                if (i->error != 0)
                        return;
        }
}

void gaps_resolve(Intake *i, int64_t node) {
        for (size_t n = 0; n < i->n_gaps;)
                if (i->gaps[n].node == node && ends_by_itself(i->gaps[n].cause)) {
                        gap_close(i, n);
                        if (i->error != 0)
                                return;
                } else {
                        n++;
                }
}

void gaps_gone(Intake *i, int64_t node) {
        StoreLink link;

        if (i->n_gaps > 0 && i->error == 0 && store_links_of_node(i->store, node, &link, 1) == 0)
                gaps_resolve(i, node);
}

bool gaps_reopened(Intake *i, int64_t node) {
        bool any = false;

        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].node == node && ends_by_itself(i->gaps[n].cause))
                        any = i->gaps[n].by_walk = true;
        return any;
}

/* It is told again: the walk that told it could not end it. */
static void gap_lasts(Intake *i, int64_t node, Cause cause) {
        for (size_t n = 0; n < i->n_gaps; n++)
                if (i->gaps[n].node == node && i->gaps[n].cause == cause)
                        i->gaps[n].by_walk = i->gaps[n].reconciled = false;
}

/* It finds by itself what a gap hides, and says when it has. */
static void leave_to_watcher(Intake *i, const Dataset *d, Cause cause) {
        for (size_t n = 0; n < i->n_gaps; n++) {
                Gap *g = &i->gaps[n];

                if (g->dataset != d->row.id || g->cause != cause)
                        continue;
                g->swept = true;
                g->reconciled = false;
        }
}

/* A stretch of losses; the watcher finds by itself what was lost. */
static void observe_losses(Intake *i, Dataset *d, const Feed_GAP *m) {
        if (!gap_on(i, d->row.id, 0, CAUSE_OVERFLOW)) {
                log_event(LOG_WARNING, MSG_OVERFLOW, 0, "A queue of notices ran over; "
                          "consider raising fs.inotify.max_queued_events with sysctl");
                d->walked_seq = store_last_seq(i->store);
        }
        gap_open(i, d, 0, CAUSE_OVERFLOW, m->from);
        leave_to_watcher(i, d, CAUSE_OVERFLOW);
}

/* Directories below one that has a watch have none: a gap for each highest one, up to a few, then one for
 * all. They end together. */
static void observe_limit(Intake *i, Dataset *d, const Feed_GAP *m) {
        uint64_t node = 0;
        unsigned open = 0;

        if (!map_get(&i->nodes, feed_key(i->from, m->dir), &node))
                node = (uint64_t) d->row.root_node;
        for (size_t n = 0; n < i->n_gaps; n++)
                open += i->gaps[n].dataset == d->row.id && i->gaps[n].cause == CAUSE_WATCH_LIMIT;
        if (open >= LIMIT_GAPS_MAX && !gap_on(i, d->row.id, (int64_t) node, CAUSE_WATCH_LIMIT))
                node = (uint64_t) d->row.root_node;
        gap_open(i, d, (int64_t) node, CAUSE_WATCH_LIMIT, m->from);
        leave_to_watcher(i, d, CAUSE_WATCH_LIMIT);
}

void add_limit(IntakeStatus *status, const Feed_COUNTS *counts) {
        status->polled += (int64_t) counts->polled;
        status->watch_limit = MAX_OF(status->watch_limit, (int64_t) counts->watch_limit);
        status->namespaced |= counts->namespaced;
}

void gaps_limit(Intake *i) {
        IntakeStatus status = { 0 };
        const char *sysctl;
        long long wanted;

        for (const Feed *f = i->feeds; f; f = f->next)
                add_limit(&status, &f->counts);
        for (size_t n = 0; n < i->n_datasets; n++)
                if (i->datasets[n].walk != 0)
                        return;         /* there may be more of them */
        sysctl = intake_watch_sysctl(status.namespaced);
        wanted = intake_watches_wanted(status.polled, status.watch_limit);
        if (status.polled > 0 && status.watch_limit > 0 && !i->limit_said)
                log_event(LOG_WARNING, MSG_WATCH_LIMIT, 0,
                          "The kernel gives no watches for %lld directories, which are looked at in turn "
                          "instead; set %s to %lld (now %lld) with sysctl", (long long) status.polled,
                          sysctl, wanted, (long long) status.watch_limit, "SCITRACE_SYSCTL=%s", sysctl,
                          "SCITRACE_VALUE=%lld", wanted);
        i->limit_said = status.polled > 0 && (status.watch_limit > 0 || i->limit_said);
}

/* Of everything, of a dataset, of a subtree, or of one name in a directory. */
void observe_gap(Intake *i, const Feed_GAP *m) {
        Cause cause = (Cause) m->cause;
        uint64_t node = 0;
        StoreLink link;
        Dataset *d;

        if (!cause_to_word(m->cause))
                return;
        if (cause == CAUSE_OVERFLOW || cause == CAUSE_WATCH_LIMIT) {
                d = dataset_of_token(i, m->root);
                if (d && !d->row.removed)
                        (cause == CAUSE_OVERFLOW ? observe_losses : observe_limit)(i, d, m);
                return;
        }
        if (m->dir == 0) {
                for (size_t n = 0; n < i->n_datasets; n++) {
                        d = &i->datasets[n];
                        if (d->feed != i->from || (m->root != 0 && d->token != m->root))
                                continue;
                        gap_open(i, d, 0, cause, m->from);
                        if (m->root == 0) {
                                dataset_walk(i, d);
                        } else {        /* its root is away: try again until it is back */
                                d->watched = false;
                                d->walk = 0;
                                d->retry_at = now_usec(CLOCK_MONOTONIC) + 5 * (int64_t) USEC_PER_SEC;
                        }
                }
                return;
        }
        d = dataset_of_dir(i, m->dir);
        if (!d || !map_get(&i->nodes, feed_key(i->from, m->dir), &node))
                return;
        if (m->name.data && store_link_find(i->store, (int64_t) node, m->name, &link) == 0)
                node = (uint64_t) link.node;
        if (m->name.data) {
                gap_open(i, d, (int64_t) node, cause, m->from);
                gap_lasts(i, (int64_t) node, cause);
                (void) store_node_want(i->store, (int64_t) node, false); /* it cannot be read */
                return;
        }
        if (gap_on_dataset(i, d)) {     /* that one lasts until the walk that follows */
                for (size_t n = 0; n < i->n_gaps; n++)
                        i->gaps[n].reconciled &= i->gaps[n].dataset != d->row.id;
        } else {
                gap_open(i, d, (int64_t) node, cause, m->from);
                (void) gaps_reopened(i, (int64_t) node);
        }
        dataset_walk(i, d);
}
