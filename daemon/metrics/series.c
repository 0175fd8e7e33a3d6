/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/metrics/labels.h"
#include "daemon/metrics/series.h"

#define HOUR (3600 * (int64_t) USEC_PER_SEC)

static Series *series_free(Series *s) {
        if (!s)
                return NULL;
        free(s->key);
        free(s->labels);
        chunk_done(&s->open);
        chunk_done(&s->closed);
        free(s);
        return NULL;
}

static void series_freep(Series **s) {
        series_free(*s);
}

void series_done(SeriesTable *t) {
        while (t->n > 0)
                series_free(t->items[--t->n]);
        free(t->items);
        *t = (SeriesTable) { 0 };
}

void series_begin(SeriesTable *t, int64_t time) {
        t->time = time;
        t->next = 0;
}

/* SERIES_E_REFUSED when the labels are too long. */
static int format_labels(const Metric *metric, Bytes key, char *text) {
        text[0] = '\0';
        if (strcmp(metric->key, "*") == 0) {
                if (key.size >= LABELS_MAX)
                        return SERIES_E_REFUSED;
                memcpy(text, key.data, key.size);
                text[key.size] = '\0';
                return 0;
        }
        if (*metric->key && labels_add(text, metric->key, key) < 0)
                return SERIES_E_REFUSED;
        if (*metric->fixed) {
                size_t used = strlen(text);

                if (snprintf(text + used, LABELS_MAX - used, "%s%s", used ? "," : "", metric->fixed) >=
                    (int) (LABELS_MAX - used))
                        return SERIES_E_REFUSED;
        }
        return 0;
}

static int series_new(const Metric *metric, Bytes key, Series **ret) {
        CLEANUP(series_freep) Series *s = NULL;
        char labels[LABELS_MAX];
        int r;

        r = format_labels(metric, key, labels);
        if (r != 0)
                return r;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->metric = metric;
        s->key = malloc(key.size + 1);
        s->key_size = key.size;
        s->labels = strdup(labels);
        if (!s->key || !s->labels)
                return -ENOMEM;
        memcpy(s->key, key.data, key.size);
        *ret = STEAL(s);
        return 0;
}

static int add(SeriesTable *t, const Metric *metric, Bytes key) {
        CLEANUP(series_freep) Series *s = NULL;
        Series **items;
        int r;

        if (t->n >= SERIES_MAX)
                return SERIES_E_REFUSED;
        r = series_new(metric, key, &s);
        if (r != 0)
                return r;
        items = array_room(t->items, t->n, &t->capacity, 256, sizeof(*items));
        if (!items)
                return -ENOMEM;
        t->items = items;
        t->items[t->n++] = STEAL(s);
        return 0;
}

static bool is_series(const Series *s, const Metric *metric, Bytes key) {
        return s->metric == metric && s->key_size == key.size && memcmp(s->key, key.data, key.size) == 0;
}

/* Each sample comes in the order of the first, with few left out or new: nearly always the first look finds
 * it. */
static int find(SeriesTable *t, const Metric *metric, Bytes key, Series **ret) {
        int r;

        for (size_t i = 0; i < t->n; i++) {
                size_t at = (t->next + i) % t->n;

                if (is_series(t->items[at], metric, key)) {
                        t->next = at + 1;
                        *ret = t->items[at];
                        return 0;
                }
        }
        r = add(t, metric, key);
        if (r != 0)
                return r;
        t->next = t->n;
        *ret = t->items[t->n - 1];
        return 0;
}

int series_put(SeriesTable *t, const Metric *metric, Bytes key, double value) {
        ChunkForm form = { metric->exponent, metric->shift, metric->counter };
        int64_t hour = t->time / HOUR;
        Series *s = NULL;
        int r;

        assert(t && metric && key.data);
        r = find(t, metric, key, &s);
        if (r != 0) {
                t->refused += r == SERIES_E_REFUSED;
                return r;
        }
        s->value = value;
        s->time = t->time;
        if (hour != s->hour && s->open.points > 0) {
                Chunk spare = s->closed;        /* its memory serves the new hour */

                s->closed = s->open;
                s->open = spare;
                chunk_reset(&s->open);
        }
        s->hour = hour;
        r = chunk_add(&s->open, form, t->time, value);
        t->refused += r == CHUNK_E_FULL;
        return r == CHUNK_E_FULL ? SERIES_E_REFUSED : r;
}

int series_points(const SeriesTable *t, MetricsPointFn fn, void *userdata) {
        for (size_t i = 0; i < t->n; i++) {
                const Series *s = t->items[i];
                MetricsPoint point = { s->metric->name, s->labels, s->metric->unit, s->value, s->time };
                int r;

                if (s->time != t->time)
                        continue;       /* not in the newest sample */
                r = fn(userdata, &point);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int flush_chunk(const Series *s, const Chunk *c, MetricsChunkFn fn, void *userdata) {
        MetricsChunk chunk = {
                s->metric->name,
                s->labels,
                s->metric->unit,
                c->from * (int64_t) USEC_PER_MSEC,
                c->last_time * (int64_t) USEC_PER_MSEC,
                (int) c->points,
                BYTES(c->data, c->size),
        };

        return c->points > 0 ? fn(userdata, &chunk) : 0;
}

static void drop_silent(SeriesTable *t) {
        size_t kept = 0;

        for (size_t i = 0; i < t->n; i++) {
                if (t->time - t->items[i]->time >= HOUR)
                        series_free(t->items[i]);
                else
                        t->items[kept++] = t->items[i];
        }
        t->n = kept;
}

int series_flush(SeriesTable *t, MetricsChunkFn fn, void *userdata) {
        for (size_t i = 0; i < t->n; i++) {
                Series *s = t->items[i];
                int r;

                r = flush_chunk(s, &s->closed, fn, userdata);
                if (r != 0)
                        return r;
                chunk_reset(&s->closed);
                r = flush_chunk(s, &s->open, fn, userdata);
                if (r != 0)
                        return r;
        }
        drop_silent(t);
        return 0;
}
