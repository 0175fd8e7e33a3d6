/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/control/tend.h"
#include "lib/log.h"

enum {
        PAUSE_FACTOR = 3,               /* a step may have one part in four of the store thread's time */
        PAUSE_MIN_USEC = 5 * 1000,
        PAUSE_MAX_USEC = 1000 * 1000,
};

struct Tend {
        Intake *intake;
        sd_event_source *pause;
        const TendJob *job;             /* NULL: none */
        size_t phase;
        int64_t argument, done;         /* done: in this phase */
        int result;
        int64_t began;                  /* this step, µs of CLOCK_MONOTONIC */
        TendNews news;                  /* NULL: nobody waits */
        void *userdata;
};

static void take_step(Tend *t);

static void tell(Tend *t, const char *phase, int64_t left, int result) {
        if (t->news)
                t->news(t->userdata, phase, t->done, left, result);
}

/* Noted, as far as that was possible: it is over. */
static void on_noted(void *userdata, int result, int64_t done, int64_t left) {
        Tend *t = userdata;

        (void) result, (void) done, (void) left;
        t->job = NULL;
        tell(t, NULL, 0, t->result);
        t->news = NULL;
}

static void end(Tend *t, int result) {
        t->result = result;
        if (result < 0)
                log_event(LOG_ERR, MSG_NONE, result, "The store could not be cared for (%s)", t->job->what);
        if (intake_care(t->intake, t->job->what, result < 0 ? "failed" : "done", on_noted, t) < 0)
                on_noted(t, 0, 0, 0);
}

static void rest(Tend *t) {
        int64_t pause = PAUSE_FACTOR * (now_usec(CLOCK_MONOTONIC) - t->began);
        int r;

        pause = MIN_OF(MAX_OF(pause, PAUSE_MIN_USEC), PAUSE_MAX_USEC);
        r = sd_event_source_set_time_relative(t->pause, (uint64_t) pause);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->pause, SD_EVENT_ONESHOT);
        if (r < 0)
                end(t, r);
}

static void on_step(void *userdata, int result, int64_t done, int64_t left) {
        Tend *t = userdata;

        if (result < 0) {
                end(t, result);
                return;
        }
        t->done += done;
        tell(t, t->job->phases[t->phase].name, left, 0);
        if (left == 0) {
                t->phase++;
                t->done = 0;
        }
        if (t->job->phases[t->phase].name)
                rest(t);
        else
                end(t, 0);
}

static void take_step(Tend *t) {
        int r;

        t->began = now_usec(CLOCK_MONOTONIC);
        r = intake_step(t->intake, t->job->phases[t->phase].step, t->argument, on_step, t);
        if (r < 0)
                end(t, r);
}

static int on_pause(sd_event_source *source, uint64_t usec, void *userdata) {
        Tend *t = userdata;

        (void) source, (void) usec;
        take_step(t);
        return 0;
}

int tend_new(sd_event *event, Intake *intake, Tend **ret) {
        Tend *t = calloc(1, sizeof(*t));
        int r;

        assert(event && ret);
        if (!t)
                return -ENOMEM;
        t->intake = intake;
        r = sd_event_add_time_relative(event, &t->pause, CLOCK_MONOTONIC, 0, 0, on_pause, t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->pause, SD_EVENT_OFF);
        if (r < 0) {
                tend_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

Tend *tend_free(Tend *t) {
        if (!t)
                return NULL;
        intake_forget(t->intake, t);
        sd_event_source_disable_unref(t->pause);
        free(t);
        return NULL;
}

int tend_start(Tend *t, const TendJob *job, int64_t argument, TendNews news, void *userdata) {
        assert(t && job && job->phases[0].name);
        if (t->job)
                return -EBUSY;
        t->job = job;
        t->phase = 0;
        t->done = 0;
        t->argument = argument;
        t->news = news;
        t->userdata = userdata;
        t->began = now_usec(CLOCK_MONOTONIC);
        rest(t);                        /* nothing is told before this has returned */
        return 0;
}

const char *tend_current(const Tend *t) {
        return t->job ? t->job->what : NULL;
}

void tend_forget(Tend *t, const void *userdata) {
        if (t->userdata == userdata)
                t->news = NULL;
}
