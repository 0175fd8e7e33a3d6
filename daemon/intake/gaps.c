/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
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

/* The open gaps lie in an array; those of one node are chained, since there may be a hundred thousand files
 * that cannot be read. */

static uint64_t count_key(int64_t dataset, Cause cause) {
        return (uint64_t) dataset << 8 | (uint64_t) cause;
}

static uint64_t count_of(const Intake *i, int64_t dataset, Cause cause) {
        uint64_t count = 0;

        map_get(&i->gap_counts, count_key(dataset, cause), &count);
        return count;
}

/* The first gap of a node, and the next one: NULL behind the last. */
static Gap *first_of(const Intake *i, int64_t node) {
        uint64_t first;

        return map_get(&i->gaps_of, (uint64_t) node + 1, &first) ? &i->gaps[first - 1] : NULL;
}

static Gap *next_of(const Intake *i, const Gap *g) {
        return g->next ? &i->gaps[g->next - 1] : NULL;
}

/* In the chain of a node: what was index from, and 1, is to; 0: nothing. */
static void relink(Intake *i, int64_t node, size_t from, size_t to) {
        Gap *g = first_of(i, node);

        if (g == &i->gaps[from - 1]) {
                if (to == 0)
                        (void) map_remove(&i->gaps_of, (uint64_t) node + 1);
                else
                        (void) map_put(&i->gaps_of, (uint64_t) node + 1, to);   /* it is there: no memory */
                return;
        }
        while (g->next != from)
                g = next_of(i, g);
        g->next = to;
}

static int grow(Intake *i) {
        size_t allocated = MAX_OF(i->gaps_allocated * 2, (size_t) 16);
        Gap *gaps;

        if (i->n_gaps < i->gaps_allocated)
                return 0;
        gaps = reallocarray(i->gaps, allocated, sizeof(*gaps));
        if (!gaps)
                return -ENOMEM;
        i->gaps = gaps;
        i->gaps_allocated = allocated;
        return 0;
}

static int gap_put(Intake *i, Gap g) {
        uint64_t first = 0, count = count_of(i, g.dataset, g.cause);
        int r = grow(i);

        map_get(&i->gaps_of, (uint64_t) g.node + 1, &first);
        g.next = (size_t) first;
        if (r == 0)
                r = map_put(&i->gap_counts, count_key(g.dataset, g.cause), count + 1);
        if (r == 0)
                r = map_put(&i->gaps_of, (uint64_t) g.node + 1, i->n_gaps + 1);
        if (r == 0)
                i->gaps[i->n_gaps++] = g;
        return r;
}

void gap_forget(Intake *i, size_t n) {
        const Gap *g = &i->gaps[n];
        size_t last = i->n_gaps - 1;

        assert(n <= last);
        (void) map_put(&i->gap_counts, count_key(g->dataset, g->cause),
                       count_of(i, g->dataset, g->cause) - 1);
        relink(i, g->node, n + 1, g->next);
        if (n != last) {
                relink(i, i->gaps[last].node, last + 1, n + 1);
                i->gaps[n] = i->gaps[last];
        }
        i->n_gaps--;
}

void gaps_free(Intake *i) {
        free(i->gaps);
        i->gaps = NULL;
        i->n_gaps = i->gaps_allocated = 0;
        map_done(&i->gaps_of);
        map_done(&i->gap_counts);
}

static int load_gap(void *userdata, const StoreGap *g) {
        Intake *i = userdata;
        const Dataset *d = dataset_find(i, g->dataset);

        if (!d || d->row.removed)
                return 0;               /* nothing of it is expected */
        return gap_put(i, (Gap) { .id = g->id, .dataset = g->dataset, .node = g->node, .cause = g->cause });
}

int gaps_load(Intake *i) {
        gaps_free(i);
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
        for (const Gap *g = first_of(i, node); g; g = next_of(i, g))
                if (g->dataset == dataset && g->cause == cause)
                        return true;
        return false;
}

/* Where watches are missing, all that has one is live all the same. */
static bool hides_all(const Intake *i, const Dataset *d, int64_t node) {
        for (const Gap *g = first_of(i, node); g; g = next_of(i, g))
                if (g->dataset == d->row.id && g->cause != CAUSE_WATCH_LIMIT && g->cause != CAUSE_REMOTE)
                        return true;
        return false;
}

bool gap_on_dataset(const Intake *i, const Dataset *d) {
        return hides_all(i, d, 0) || hides_all(i, d, d->row.root_node);
}

bool gap_of_watches(const Intake *i, int64_t dataset) {
        return count_of(i, dataset, CAUSE_WATCH_LIMIT) > 0;
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
        int r;

        if (gap_on(i, d->row.id, node, cause) || intake_append(i, &e) != 0)
                return;
        r = gap_put(i, (Gap) { .id = e.seq, .dataset = d->row.id, .node = node, .cause = cause });
        if (r < 0) {
                intake_fail(i, r);
                return;
        }
        if (i->trouble.on)              /* that has been said once and for all, and is tried again */
                return;
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
        gap_forget(i, n);
}

void gaps_reconciled(Intake *i, Dataset *d) {
        for (size_t n = 0; n < i->n_gaps; n++) {
                Gap *g = &i->gaps[n];

                if (g->dataset != d->row.id || g->reconciled || g->swept ||
                    (ends_by_itself(g->cause) && !g->by_walk))
                        continue;
                g->reconciled = i->gaps_due = true;
                g->limit = 0;
        }
}

void gaps_entered(Intake *i, const Dataset *d) {
        for (Gap *g = first_of(i, 0); g; g = next_of(i, g))
                if (g->dataset == d->row.id &&
                    (g->cause == CAUSE_PERMISSION || g->cause == CAUSE_READ_ERROR))
                        g->by_walk = true;
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
                g->reconciled = i->gaps_due = true;
                g->limit = 0;
        }
}

void gaps_settle(Intake *i, const Feed *f) {
        bool due = false;

        for (size_t n = 0; i->gaps_due && n < i->n_gaps;) {
                Gap *g = &i->gaps[n];
                const Dataset *d = g->reconciled ? dataset_find(i, g->dataset) : NULL;

                if (d && d->feed == f && g->limit == 0 && requests_compared(f))
                        g->limit = i->next_request;
                if (!d || d->feed != f || g->limit == 0 || requests_open_before(f, g->limit)) {
                        due |= g->reconciled;
                        n++;
                        continue;
                }
                gap_close(i, n);
                if (i->error != 0)
                        return;
        }
        i->gaps_due = due;
}

void gaps_resolve(Intake *i, int64_t node) {
        Gap *g = first_of(i, node);

        while (g)
                if (ends_by_itself(g->cause)) {
                        gap_close(i, (size_t) (g - i->gaps));
                        g = i->error == 0 ? first_of(i, node) : NULL;
                } else {
                        g = next_of(i, g);
                }
}

void gaps_gone(Intake *i, int64_t node) {
        StoreLink link;

        if (i->n_gaps > 0 && i->error == 0 && store_links_of_node(i->store, node, &link, 1) == 0)
                gaps_resolve(i, node);
}

bool gaps_reopened(Intake *i, int64_t node) {
        bool any = false;

        for (Gap *g = first_of(i, node); g; g = next_of(i, g))
                if (ends_by_itself(g->cause))
                        any = g->by_walk = true;
        return any;
}

/* It is told again: the walk that told it could not end it. */
static void gap_lasts(Intake *i, int64_t node, Cause cause) {
        for (Gap *g = first_of(i, node); g; g = next_of(i, g))
                if (g->cause == cause)
                        g->by_walk = g->reconciled = false;
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

        if (!map_get(&i->nodes, feed_key(i->from, m->dir), &node))
                node = (uint64_t) d->row.root_node;
        if (count_of(i, d->row.id, CAUSE_WATCH_LIMIT) >= LIMIT_GAPS_MAX &&
            !gap_on(i, d->row.id, (int64_t) node, CAUSE_WATCH_LIMIT))
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
        if (m->name.data || m->error == ENAMETOOLONG) { /* no walk will change it */
                gap_open(i, d, (int64_t) node, cause, m->from);
                gap_lasts(i, (int64_t) node, cause);
                if (m->name.data)       /* it cannot be read */
                        (void) store_node_want(i->store, (int64_t) node, false);
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
