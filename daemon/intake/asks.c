/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/intake/internal.h"

/* asks: what the main thread asks for, as work for the store thread. */

static Work *work_new(Intake *i, void (*run)(Intake *i, Work *w), const char *name, IntakeDoneFn fn,
                      void *userdata) {
        Work *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->run = run;
        w->name = name ? strdup(name) : NULL;
        w->ticket = fn ? intake_ticket(i, (void (*)(void)) fn, userdata) : 0;
        if ((name && !w->name) || (fn && !w->ticket)) {
                free(w->name);
                free(w);
                return NULL;
        }
        return w;
}

static int queue_number(Intake *i, Work *w, int64_t number) {
        if (w)
                w->number = number;
        return intake_queue(i, w);
}

int intake_add(Intake *i, Bytes root, const char *name, unsigned flags, IntakeDoneFn fn, void *userdata) {
        Work *w = work_new(i, dataset_add, name, fn, userdata);

        while (root.size > 1 && root.data[root.size - 1] == '/')
                root.size--;
        if (!w)
                return -ENOMEM;
        w->data = calloc(1, root.size + 1);
        if (!w->data) {
                free(w->name);
                free(w);
                return -ENOMEM;
        }
        memcpy(w->data, root.data, root.size);
        w->size = root.size;
        return queue_number(i, w, flags);
}

int intake_remove(Intake *i, const char *name, IntakeDoneFn fn, void *userdata) {
        return intake_queue(i, work_new(i, dataset_remove, name, fn, userdata));
}

int intake_scan(Intake *i, const char *name, IntakeDoneFn fn, void *userdata) {
        return intake_queue(i, work_new(i, dataset_scan, name, fn, userdata));
}

int intake_settle(Intake *i, const char *dataset, int64_t deadline, IntakeDoneFn fn, void *userdata) {
        return queue_number(i, work_new(i, settling_add, dataset, fn, userdata), deadline);
}

static void run_tick(Intake *i, Work *w) {
        int64_t now = now_usec(CLOCK_MONOTONIC);

        elsewhere_check(i);
        settlings_tick(i, now);
        datasets_tick(i, now);
        places_tick(i, now);
        sealing_tick(i, now);
        if (w->number)
                feeds_tick(i);
}

int intake_tick(Intake *i, bool canary) {
        return queue_number(i, work_new(i, run_tick, NULL, NULL, NULL), canary);
}

/* data becomes w's, or is freed. */
static int queue_data(Intake *i, Work *w, uint8_t *data, size_t size) {
        if (!w) {
                free(data);
                return -ENOMEM;
        }
        w->data = data;
        w->size = size;
        return intake_queue(i, w);
}

int intake_mounts(Intake *i, uint8_t *text, size_t size) {
        return queue_data(i, work_new(i, run_mounts, NULL, NULL, NULL), text, size);
}

int intake_feed_frame(Intake *i, uint32_t feed, uint8_t *data, size_t size) {
        Work *w = work_new(i, observe_frame, NULL, NULL, NULL);

        if (w)
                w->feed = feed;
        return queue_data(i, w, data, size);
}

static void run_feed_end(Intake *i, Work *w) {
        Feed *f = feed_find(i, w->feed);

        if (f && f->there)
                datasets_lost(i, f, (Cause) w->number);
}

int intake_feed_end(Intake *i, uint32_t feed, Cause why) {
        Work *w = work_new(i, run_feed_end, NULL, NULL, NULL);

        if (w)
                w->feed = feed;
        return queue_number(i, w, why);
}

static void run_chunks(Intake *i, Work *w) {
        const IntakeChunk *chunks = (const IntakeChunk *) w->data;

        for (size_t n = 0; n < w->size; n++) {
                int64_t series;
                int r = store_series(i->store, chunks[n].name, chunks[n].labels, chunks[n].unit, &series);

                if (r == 0)
                        r = store_chunk_put(i->store, series, chunks[n].from, chunks[n].until,
                                            chunks[n].points, chunks[n].data);
                if (r != 0)
                        intake_fail(i, r);
        }
}

static uint8_t *append_bytes(uint8_t **at, const void *data, size_t size) {
        uint8_t *copy = *at;

        if (size > 0)
                memcpy(copy, data, size);
        *at += size;
        return copy;
}

/* One allocation holds the table and all that it points to. */
int intake_chunks(Intake *i, const IntakeChunk *chunks, size_t n) {
        Work *w = calloc(1, sizeof(*w));
        size_t size = n * sizeof(*chunks);
        IntakeChunk *copies;
        uint8_t *at;

        for (size_t c = 0; c < n; c++)
                size += strlen(chunks[c].name) + strlen(chunks[c].labels) + strlen(chunks[c].unit) + 3 +
                        chunks[c].data.size;
        if (!w || !(w->data = malloc(MAX_OF(size, 1u)))) {
                free(w);
                return -ENOMEM;
        }
        copies = (IntakeChunk *) w->data;
        at = w->data + n * sizeof(*chunks);
        for (size_t c = 0; c < n; c++) {
                const IntakeChunk *o = &chunks[c];

                copies[c] = *o;
                copies[c].name = (const char *) append_bytes(&at, o->name, strlen(o->name) + 1);
                copies[c].labels = (const char *) append_bytes(&at, o->labels, strlen(o->labels) + 1);
                copies[c].unit = (const char *) append_bytes(&at, o->unit, strlen(o->unit) + 1);
                copies[c].data.data = append_bytes(&at, o->data.data, o->data.size);
        }
        w->size = n;
        w->run = run_chunks;
        return intake_queue(i, w);
}
