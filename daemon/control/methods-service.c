/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>

#include "daemon/control/args.h"
#include "daemon/control/methods.h"
#include "daemon/control/outcome.h"

enum {
        SETTLE_DEFAULT_USEC = 60 * 1000 * 1000,
        PIDS_MAX = 64,
};

static int ping(Call *c) {
        call_reply(c, json_object());
        return 0;
}

/* What the main thread knows, taken along to the query thread. */
typedef struct Describe {
        WatchersStatus status;
        char *degraded;
        pid_t pids[PIDS_MAX];
        int n_pids;
} Describe;

static int describe_start(Call *c) {
        const ControlConfig *config = c->service->config;
        const char *degraded = intake_degraded(config->intake);
        Describe *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;
        c->state = d;
        if (!degraded)
                degraded = intake_unsealed(config->intake);
        if (degraded) {
                d->degraded = strdup(degraded);
                if (!d->degraded)
                        return -ENOMEM;
        }
        watchers_status(config->watchers, 0, &d->status);
        d->pids[0] = getpid();
        d->n_pids = 1 + watchers_pids(config->watchers, d->pids + 1, PIDS_MAX - 1);
        return 0;
}

static int describe_run(Call *c, Query *q) {
        const ControlConfig *config = c->service->config;
        const Describe *d = c->state;
        QueryTotals t;
        json_t *reply;
        int64_t memory;
        int r;

        r = query_totals(q, &t);
        if (r != 0)
                return r;
        memory = memory_recent(&c->service->memory, d->pids, d->n_pids, now_usec(CLOCK_MONOTONIC));
        reply = json_pack("{ss ss ss* ss si sI sI sI sI sI sI sI ss sI sI sI sI sI sI ss* sI sI}",
                          "version", PACKAGE_VERSION,
                          "state", d->degraded ? "degraded" : "running",
                          "reason", d->degraded,
                          "mode", config->mode,
                          "pid", (int) getpid(),
                          "uptimeUsec", (json_int_t) (now_usec(CLOCK_MONOTONIC) - c->service->started),
                          "datasets", (json_int_t) t.datasets,
                          "events", (json_int_t) t.events,
                          "gapsOpen", (json_int_t) t.gaps_open,
                          "pending", (json_int_t) d->status.pending,
                          "storeBytes", (json_int_t) t.store_bytes,
                          "memoryBytes", (json_int_t) memory,
                          "storePath", config->store_path,
                          "watches", (json_int_t) d->status.watches,
                          "overflows", (json_int_t) d->status.overflows,
                          "walkedTwice", (json_int_t) d->status.walked_twice,
                          "swept", (json_int_t) d->status.swept,
                          "walkedAgain", (json_int_t) d->status.walked_again,
                          "unwatched", (json_int_t) d->status.polled,
                          "watchSysctl",
                          d->status.polled ? intake_watch_sysctl(d->status.namespaced) : NULL,
                          "watchesWanted", (json_int_t) (d->status.polled ?
                                  intake_watches_wanted(d->status.polled, d->status.watch_limit) : 0),
                          "watcherRestarts", (json_int_t) d->status.restarts);
        call_reply(c, reply);
        return 0;
}

static void describe_free(Call *c) {
        Describe *d = c->state;

        if (d)
                free(d->degraded);
        free(d);
}

static void settled(void *userdata, const IntakeResult *result) {
        Call *c = userdata;

        if (result->outcome == INTAKE_DONE)
                call_reply(c, json_pack("{sI sI}", "seq", (json_int_t) result->seq, "digestsPending",
                                        (json_int_t) result->digests_pending));
        else if (result->outcome == INTAKE_E_NOT_SETTLED)
                call_error(c, "org.scitrace.Service.NotSettled",
                           json_pack("{sI sb}", "pending", (json_int_t) result->pending, "stalled",
                                     result->stalled));
        else
                outcome_error(c, result, BYTES_NONE, args_string(c->parameters, "dataset"));
        call_answer(c);
}

static int settle_start(Call *c) {
        int64_t timeout;
        int r;

        if (!args_number(c, "timeoutUsec", 1, &timeout))
                return 0;
        r = watchers_settle(c->service->config->watchers, args_string(c->parameters, "dataset"),
                            timeout > 0 ? timeout : SETTLE_DEFAULT_USEC, settled, c);
        return r < 0 ? r : CALL_LATER;
}

static void settle_free(Call *c) {
        watchers_forget(c->service->config->watchers, c);
}

const Method methods_service[] = {
        { "org.scitrace.Service.Ping", .anybody = true, .start = ping },
        { "org.scitrace.Service.Describe", .start = describe_start, .run = describe_run,
          .free = describe_free },
        { "org.scitrace.Service.Settle", .start = settle_start, .free = settle_free },
        { 0 },
};
