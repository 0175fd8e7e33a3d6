/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_METRICS_METRICS_H
#define SCITRACE_DAEMON_METRICS_METRICS_H

/* metrics: samples the machine through descriptors kept open on /proc, and encodes history in chunks.
 * Main thread. No allocation at rest: series are made when first seen.
 * May use: lib policy.  May not use: anything else in daemon/. */

#include <stdint.h>
#include <sys/types.h>

#include "lib/util.h"

typedef struct Metrics Metrics;

/** MetricsPoint: labels: "k=v,k=v" with keys sorted, "" for none (what of a value is escaped: labels.h);
 *  unit: "seconds", "bytes", "ratio" or "". Names as node_exporter's where the meaning is the same
 *  (node_cpu_seconds_total{cpu,mode} ...), scitrace_* ours. */
typedef struct MetricsPoint {
        const char *name, *labels, *unit;
        double value;
        int64_t time;                   /* µs, CLOCK_REALTIME */
} MetricsPoint;
typedef int (*MetricsPointFn)(void *userdata, const MetricsPoint *p);   /* non-zero stops and is returned */

/** metrics_new() - opens the sources. Sources that this machine lacks are left out. */
int metrics_new(Metrics **ret);
Metrics *metrics_free(Metrics *m);
/** metrics_sample() - reads every source once. now: µs. pids: our own processes beside this one.
 *  store_path: its file system's usage is sampled (statvfs of local file systems only). */
int metrics_sample(Metrics *m, int64_t now, const pid_t *pids, size_t n_pids, const char *store_path);
/** metrics_watching() - how the watching goes: part of each sample from then on. */
typedef struct MetricsWatching {
        int64_t watches, unwatched;     /* directories with a watch, and those looked at in turn */
        int64_t pending;                /* changes not yet recorded */
        int64_t overflows, swept, walked_again, restarts;       /* since the start */
} MetricsWatching;
void metrics_watching(Metrics *m, const MetricsWatching *watching);
/** metrics_points() - the newest sample. */
int metrics_points(Metrics *m, MetricsPointFn fn, void *userdata);

/** MetricsChunk: an encoded run of points of one series. */
typedef struct MetricsChunk {
        const char *name, *labels, *unit;
        int64_t from, until;            /* µs of the first and the last point */
        int points;
        Bytes data;
} MetricsChunk;
typedef int (*MetricsChunkFn)(void *userdata, const MetricsChunk *c);
/** metrics_flush() - each series' open chunk as it stands; a chunk is closed at the full hour, and flushing
 *  again within the hour gives the same `from` with more points. */
int metrics_flush(Metrics *m, MetricsChunkFn fn, void *userdata);

/** metrics_decode() - the points of a chunk, pure. 0, what fn returned, or -EBADMSG. */
typedef int (*MetricsDecodeFn)(void *userdata, int64_t time, double value);
int metrics_decode(Bytes data, MetricsDecodeFn fn, void *userdata);

#endif
