/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "daemon/watch/state.h"

/* lookers: the threads that look. One that waits for a file system longer than a watcher may be silent is
 * given up: what it looked at is said not to be readable, its other work goes back, and another thread takes
 * its place. Should it wake up after all, the file is looked at again. One that waits for a processor, where
 * others work hard, waits for no file system. */

enum { TICK_USEC = 500 * 1000, END_USEC = 1000 * 1000 };

static int start(Watch *w) {
        for (size_t i = 0; i < LOOKERS_MAX + LOOKERS_LOST_MAX; i++) {
                Looker *l = &w->lookers[i];
                int r;

                if (l->running && !l->ended)
                        continue;
                if (l->running)
                        (void) pthread_join(l->thread, NULL);
                *l = (Looker) { .watch = w };
                r = pthread_create(&l->thread, NULL, look_thread, l);
                l->running = r == 0;
                return -r;
        }
        return -ETIMEDOUT;
}

int lookers_start(Watch *w) {
        int r = 0;

        for (unsigned i = 0; i < w->n_lookers && r == 0; i++)
                r = start(w);
        return r;
}

/* The file as it was found, without its content; and a gap. */
static void report_lost(Watch *w, const Looker *l) {
        const SettleJob *job = &l->jobs[0];
        bool reads = __atomic_load_n(&l->reads, __ATOMIC_ACQUIRE);
        FeedMessage m;

        if (!settle_fresh(w->settle, job) || !table_find(w->table, (int) job->dir))
                return;
        if (reads) {
                state_observed(&m, job, &l->state);
                m.STATE.flags |= FEED_FLAG_CONTENT;
                state_emit(w, &m, true);
        } else {
                state_failed(w, job->change.request, ETIMEDOUT);
        }
        state_gap(w, 0, job->dir, reads ? BYTES(job->name, job->name_size) : BYTES_NONE, CAUSE_READ_ERROR,
                  ETIMEDOUT);
}

static void give_up(Watch *w, Looker *l) {
        l->lost = true;
        if (l->n_jobs == 0)
                return;
        report_lost(w, l);
        state_done(w, &l->jobs[0], false, true);
        for (size_t i = 1; i < l->n_jobs; i++)
                state_done(w, &l->jobs[i], true, false);
        state_barriers(w);
}

/* Whether a thread of ours would run if it could, or is stopped; false where nobody can tell. */
static bool is_ready(pid_t tid) {
        char path[64], text[128], *state;
        CLEANUP(closep) int fd = -1;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int) tid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        text[MAX_OF(n, 0)] = '\0';
        state = strrchr(text, ')');     /* behind the name */
        return state && strchr("RTt", state[1] == ' ' ? state[2] : 'S');
}

int lookers_tick(Watch *w) {
        int64_t now = now_usec(CLOCK_MONOTONIC);
        int r = 0;

        if (now < w->lookers_tick_at || w->stalled)     /* nothing would answer another one */
                return 0;
        w->lookers_tick_at = now + TICK_USEC;
        for (size_t i = 0; i < LOOKERS_MAX + LOOKERS_LOST_MAX && r == 0; i++) {
                Looker *l = &w->lookers[i];

                if (!l->running || l->lost || !__atomic_load_n(&l->waits, __ATOMIC_RELAXED) ||
                    is_ready(l->tid))
                        continue;
                l->waited += TICK_USEC; /* however late this is: who is stopped waits for nobody */
                if (l->waited < w->answer_max)
                        continue;
                give_up(w, l);
                r = start(w);
        }
        return r;
}

void looker_back(Looker *l) {
        const SettleJob *job = l->jobs;
        SettleNotice n = { .origin = ORIGIN_RECONCILE };

        if (l->n_jobs == 0)
                return;
        n.dir = job->dir;
        n.name = BYTES(job->name, job->name_size);
        n.flags = (uint16_t) (SETTLE_CONTENT | (job->change.flags & SETTLE_READ));
        state_touch(l->watch, &n, moment_now());
}

/* Of the clock that can be set, since that is the one that ThreadSanitizer knows of. */
static bool join(pthread_t thread, int64_t until) {
        struct timespec at = timespec_of(until);

        return pthread_timedjoin_np(thread, NULL, &at) == 0;
}

bool lookers_end(Watch *w) {
        int64_t until = now_usec(CLOCK_REALTIME) + END_USEC;
        bool all = true;

        if (w->n_threads > 0)
                all &= join(w->watch_thread, until);
        if (w->n_threads > 1)
                all &= join(w->walk_thread, until);
        if (w->n_threads > 2)
                all &= join(w->sweep_thread, until);
        if (w->n_threads > 3)
                all &= join(w->probe_thread, until);
        for (size_t i = 0; i < LOOKERS_MAX + LOOKERS_LOST_MAX; i++)
                if (w->lookers[i].running)
                        all &= join(w->lookers[i].thread, until);
        return all;
}
