/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/control/args.h"
#include "daemon/control/methods.h"
#include "daemon/control/rows.h"

typedef struct Sample {
        Call *call;
        json_t *names;                  /* NULL: all */
        int64_t time;                   /* of the newest point */
} Sample;

static bool wanted(const Sample *s, const char *name) {
        json_t *want;
        size_t i;

        json_array_foreach(s->names, i, want)
                if (strncmp(json_string_value(want), name, json_string_length(want)) == 0)
                        return true;
        return s->names == NULL;
}

static int sample_point(void *userdata, const MetricsPoint *p) {
        Sample *s = userdata;

        s->time = p->time;
        if (!wanted(s, p->name))
                return 0;
        rows_point(call_row(s->call, "point"), p->name, p->labels, p->unit, p->time, p->value);
        return call_row_end(s->call, NULL);
}

/* What only this module knows: how often each method was called. */
static int sample_counts(Sample *s) {
        static const char *const names[] = { "scitrace_control_calls_total",
                                             "scitrace_control_errors_total" };
        const Method *m;

        for (size_t i = 0; (m = methods_at(i)); i++) {
                const MethodCount *count = &s->call->service->counts[i];
                char labels[128];

                snprintf(labels, sizeof(labels), "method=%s", m->name);
                for (size_t k = 0; k < ELEMENTS(names); k++) {
                        const MetricsPoint p = {
                                names[k], labels, "", (double) (k == 0 ? count->calls : count->errors),
                                s->time,
                        };
                        int r = count->calls > 0 ? sample_point(s, &p) : 0;

                        if (r != 0)
                                return r;
                }
        }
        return 0;
}

static int sample_start(Call *c) {
        json_t *names = json_object_get(c->parameters, "names");
        Sample s = { .call = c, .names = json_is_array(names) ? names : NULL };
        int r = metrics_points(c->service->config->metrics, sample_point, &s);

        if (r == 0 && s.time > 0)
                (void) sample_counts(&s);
        call_complete(c);
        return r < 0 ? r : 0;
}

/* Series: the stored chunks, and in the place of the last of each series the one that is still open here. */
typedef struct Open {
        char *labels, *unit;
        int64_t from;
        uint8_t *data;
        size_t size;
        bool given;
} Open;

typedef struct Series {
        Call *call;
        Query *query;
        const char *name;
        int64_t since, until;
        Open *open;
        size_t n_open;
        const char *labels, *unit;      /* of the chunk that is being decoded */
        int error;
} Series;

static void series_free(Call *c) {
        Series *s = c->state;

        if (!s)
                return;
        for (size_t i = 0; i < s->n_open; i++) {
                free(s->open[i].labels);
                free(s->open[i].unit);
                free(s->open[i].data);
        }
        free(s->open);
        free(s);
}

static int open_chunk(void *userdata, const MetricsChunk *k) {
        Series *s = userdata;
        Open *o;

        if (strcmp(k->name, s->name) != 0)
                return 0;
        o = realloc(s->open, (s->n_open + 1) * sizeof(*o));
        if (!o)
                return -ENOMEM;
        s->open = o;
        o += s->n_open++;
        *o = (Open) {
                .labels = strdup(k->labels),
                .unit = strdup(k->unit),
                .from = k->from,
                .data = malloc(k->data.size + 1),
                .size = k->data.size,
        };
        if (!o->labels || !o->unit || !o->data)
                return -ENOMEM;
        memcpy(o->data, k->data.data, k->data.size);
        return 0;
}

static int by_labels(const void *a, const void *b) {
        return strcmp(((const Open *) a)->labels, ((const Open *) b)->labels);
}

static int series_start(Call *c) {
        Series *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        c->state = s;
        s->call = c;
        s->name = args_string(c->parameters, "name");
        if (!args_number(c, "sinceUsec", 0, &s->since) || !args_number(c, "untilUsec", 0, &s->until))
                return 0;
        r = metrics_flush(c->service->config->metrics, open_chunk, s);
        if (r == 0 && s->n_open > 0)
                qsort(s->open, s->n_open, sizeof(*s->open), by_labels);
        return r < 0 ? r : 0;
}

static int point(void *userdata, int64_t time, double value) {
        Series *s = userdata;

        if (time < s->since || (s->until > 0 && time > s->until))
                return 0;
        rows_point(call_row(s->call, "point"), s->name, s->labels, s->unit, time, value);
        return call_row_end(s->call, s->query);
}

static int give(Series *s, const char *labels, const char *unit, Bytes data) {
        int r;

        s->labels = labels;
        s->unit = unit;
        r = metrics_decode(data, point, s);
        if (r < 0)
                s->error = r;
        return r;
}

/* The open chunks of series that sort before these labels (NULL: of all), which have no stored ones left. */
static int give_open(Series *s, const char *before) {
        int r = 0;

        for (size_t i = 0; i < s->n_open && r == 0; i++) {
                Open *o = &s->open[i];

                if (o->given || (before && strcmp(o->labels, before) >= 0))
                        continue;
                o->given = true;
                r = give(s, o->labels, o->unit, BYTES(o->data, o->size));
        }
        return r;
}

static int stored_chunk(void *userdata, const QueryChunk *k) {
        Series *s = userdata;
        int r = give_open(s, k->labels);

        if (r != 0)
                return r;
        for (size_t i = 0; i < s->n_open; i++)
                if (strcmp(s->open[i].labels, k->labels) == 0 && k->from >= s->open[i].from)
                        return 0;       /* an earlier state of the open one */
        return give(s, k->labels, k->unit, k->data);
}

static int series_run(Call *c, Query *q) {
        Series *s = c->state;
        int r;

        s->query = q;
        r = query_chunks(q, s->name, s->since, s->until > 0 ? s->until : INT64_MAX, stored_chunk, s);
        if (r == QUERY_E_NO_SERIES && s->n_open == 0) {
                call_error(c, "org.scitrace.Metrics.NoSuchSeries", json_pack("{ss}", "name", s->name));
                return 0;
        }
        if (r != 0 && r != QUERY_E_NO_SERIES)
                return r;
        if (s->error == 0)
                (void) give_open(s, NULL);
        return s->error;
}

const Method methods_metrics[] = {
        { "org.scitrace.Metrics.Sample", .more = true, .start = sample_start },
        { "org.scitrace.Metrics.Series", .more = true, .start = series_start, .run = series_run,
          .free = series_free },
        { 0 },
};
