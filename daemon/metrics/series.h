/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_METRICS_SERIES_H
#define SCITRACE_DAEMON_METRICS_SERIES_H

/* series: the newest value of each series, and its points since the full hour.
 * May use: lib.  May not use: anything else in daemon/ but daemon/metrics. Knows no clock and no descriptor.
 * */

#include "daemon/metrics/chunk.h"
#include "daemon/metrics/metrics.h"
#include "daemon/metrics/proc.h"

enum { SERIES_MAX = 4096 };     /* about 2 KiB each; points of further ones are refused and counted */

typedef struct Series {
        const Metric *metric;
        uint8_t *key;
        size_t key_size;
        char *labels;
        double value;
        int64_t time, hour;             /* of value, µs; the hour since the epoch that `open` holds */
        Chunk open, closed;             /* closed: of an hour that is over, and not yet flushed */
} Series;

typedef struct SeriesTable {
        Series **items;
        size_t n, capacity;
        size_t next;                    /* where the next one is expected: samples have one order */
        uint64_t refused;
        int64_t time;                   /* of the newest sample, µs */
} SeriesTable;

enum { SERIES_E_REFUSED = 1 };          /* there are SERIES_MAX, or its labels are too long; counted */

/** series_begin() - a sample follows, taken at time. */
void series_begin(SeriesTable *t, int64_t time);
/** series_put() - one value of it. 0, SERIES_E_REFUSED, or -ENOMEM: the point is not in the history. */
int series_put(SeriesTable *t, const Metric *metric, Bytes key, double value);
/** series_points() - the values of the newest sample. */
int series_points(const SeriesTable *t, MetricsPointFn fn, void *userdata);
/** series_flush() - as metrics_flush(). Series that have been silent for an hour are dropped afterwards. */
int series_flush(SeriesTable *t, MetricsChunkFn fn, void *userdata);
void series_done(SeriesTable *t);

#endif
