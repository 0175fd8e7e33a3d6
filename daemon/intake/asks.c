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

int intake_add(Intake *i, Bytes root, const char *name, IntakeDoneFn fn, void *userdata) {
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
        return intake_queue(i, w);
}

int intake_remove(Intake *i, const char *name, IntakeDoneFn fn, void *userdata) {
        return intake_queue(i, work_new(i, dataset_remove, name, fn, userdata));
}

int intake_scan(Intake *i, const char *name, IntakeDoneFn fn, void *userdata) {
        return intake_queue(i, work_new(i, dataset_scan, name, fn, userdata));
}

int intake_settle(Intake *i, const char *dataset, int64_t deadline, IntakeDoneFn fn, void *userdata) {
        Work *w = work_new(i, settling_add, dataset, fn, userdata);

        if (!w)
                return -ENOMEM;
        w->number = deadline;
        return intake_queue(i, w);
}

static void run_tick(Intake *i, Work *w) {
        int64_t now = now_usec(CLOCK_MONOTONIC);
        FeedMessage m = { .type = FEED_BARRIER };

        settlings_tick(i, now);
        datasets_tick(i, now);
        if (w->number && i->feed) {
                m.BARRIER.barrier = i->next_barrier++;
                intake_request(i, &m);
        }
}

int intake_tick(Intake *i, bool canary) {
        Work *w = work_new(i, run_tick, NULL, NULL, NULL);

        if (!w)
                return -ENOMEM;
        w->number = canary;
        return intake_queue(i, w);
}

int intake_feed_frame(Intake *i, uint8_t *data, size_t size) {
        Work *w = work_new(i, observe_frame, NULL, NULL, NULL);

        if (!w) {
                free(data);
                return -ENOMEM;
        }
        w->data = data;
        w->size = size;
        return intake_queue(i, w);
}

static void run_feed_end(Intake *i, Work *w) {
        if (i->feed)
                datasets_lost(i, (Cause) w->number);
}

int intake_feed_end(Intake *i, Cause why) {
        Work *w = work_new(i, run_feed_end, NULL, NULL, NULL);

        if (!w)
                return -ENOMEM;
        w->number = why;
        return intake_queue(i, w);
}
