/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "daemon/control/pool.h"

typedef struct Thread {
        Pool *pool;
        pthread_t id;
        enum { THREAD_FREE, THREAD_RUNNING, THREAD_ENDED } state;
        Query *query;
        Job *job;                       /* under the mutex: what runs now */
} Thread;

typedef struct Queue {
        Job *first, **last;
} Queue;

struct Pool {
        char *store_path;
        pthread_mutex_t mutex;          /* for everything below, and the jobs' own part */
        pthread_cond_t work, room;
        Queue queue;                    /* jobs that wait for a thread */
        int queued;
        int running, idle, waiting;     /* threads: all, without a job, for a slow client */
        Queue noted;                    /* jobs of which the main thread is to hear */
        bool stop;
        int event_fd;
        sd_event_source *source;
        Thread threads[POOL_THREADS_MAX];
};

static void queue_push(Queue *q, Job *job) {
        job->next = NULL;
        *q->last = job;
        q->last = &job->next;
}

static Job *queue_pop(Queue *q) {
        Job *job = q->first;

        if (job) {
                q->first = job->next;
                if (!q->first)
                        q->last = &q->first;
        }
        return job;
}

static void queue_remove(Queue *q, Job *job) {
        Job **p = &q->first;

        while (*p && *p != job)
                p = &(*p)->next;
        if (!*p)
                return;
        *p = job->next;
        if (q->last == &job->next)
                q->last = p;
}

/* Under the mutex: tells the main thread that there is news of this job. */
static void note(Job *job) {
        Pool *p = job->pool;

        if (job->noted)
                return;
        job->noted = true;
        queue_push(&p->noted, job);
        (void) eventfd_write(p->event_fd, 1);
}

static void finish(Job *job, int result) {
        job->state = JOB_DONE;
        job->result = result;
        note(job);
}

/* Under the mutex only since others may cancel it. */
static void close_query(Thread *t) {
        Query *q;

        pthread_mutex_lock(&t->pool->mutex);
        q = STEAL(t->query);
        pthread_mutex_unlock(&t->pool->mutex);
        query_close(q);
}

/* Opened with the first job: the writer must be there before any reader. */
static int open_query(Thread *t) {
        Query *q = NULL;
        int r = query_open(t->pool->store_path, false, &q);

        if (r != 0)
                return r < 0 ? r : -EIO;
        pthread_mutex_lock(&t->pool->mutex);
        t->query = q;
        pthread_mutex_unlock(&t->pool->mutex);
        return 0;
}

static int run(Thread *t, Job *job) {
        int r;

        if (t->query && query_is_stale(t->query))
                close_query(t);
        r = t->query ? 0 : open_query(t);
        if (r == 0 && job_cancelled(job))
                r = -ECANCELED;
        if (r < 0)
                return r;
        job->query = t->query;
        r = job->run(job, t->query);
        job->query = NULL;
        return r;
}

/* Under the mutex, which is let go meanwhile. */
static void run_next(Thread *t) {
        Pool *p = t->pool;
        Job *job = queue_pop(&p->queue);
        Query *stale = NULL;
        int r;

        p->queued--;
        t->job = job;
        job->state = JOB_RUNNING;
        pthread_mutex_unlock(&p->mutex);
        r = run(t, job);
        pthread_mutex_lock(&p->mutex);
        t->job = NULL;
        /* The cancel may have come between two calls, and would end the first of the next job. */
        if (job->cancelled)
                stale = STEAL(t->query);
        finish(job, job->cancelled ? -ECANCELED : r);
        if (!stale)
                return;
        pthread_mutex_unlock(&p->mutex);
        query_close(stale);
        pthread_mutex_lock(&p->mutex);
}

static void *work(void *userdata) {
        Thread *t = userdata;
        Pool *p = t->pool;

        pthread_mutex_lock(&p->mutex);
        while (!p->stop) {
                if (p->queued > 0) {
                        run_next(t);
                        continue;
                }
                if (p->running - p->waiting > POOL_THREADS)
                        break;
                p->idle++;
                pthread_cond_wait(&p->work, &p->mutex);
                p->idle--;
        }
        p->running--;
        pthread_mutex_unlock(&p->mutex);
        t->query = query_close(t->query);       /* no job of ours is left that could cancel it */
        pthread_mutex_lock(&p->mutex);
        t->state = THREAD_ENDED;
        pthread_mutex_unlock(&p->mutex);
        return NULL;
}

/* Signals are the main thread's. */
static int start(Thread *t) {
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&t->id, NULL, work, t);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

/* Under the mutex: another thread, when there is work for it. */
static int start_another(Pool *p) {
        Thread *t = p->threads;
        int r;

        if (p->stop || p->queued <= p->idle || p->running - p->waiting >= POOL_THREADS)
                return 0;
        while (t < p->threads + POOL_THREADS_MAX && t->state == THREAD_RUNNING)
                t++;
        if (t == p->threads + POOL_THREADS_MAX)
                return 0;
        if (t->state == THREAD_ENDED)
                pthread_join(t->id, NULL);
        *t = (Thread) { .pool = p };
        r = start(t);
        if (r == 0) {
                t->state = THREAD_RUNNING;
                p->running++;
        }
        return r;
}

/* One job at a time, since its hooks may submit, cancel and free jobs. */
static void tell(Pool *p) {
        for (;;) {
                Job *job;
                bool done, written;

                pthread_mutex_lock(&p->mutex);
                job = queue_pop(&p->noted);
                if (job) {
                        job->noted = false;
                        done = job->state == JOB_DONE;
                        written = job->size > 0;
                }
                pthread_mutex_unlock(&p->mutex);
                if (!job)
                        return;
                if (written && !job->cancelled)
                        job->news(job);
                if (done) {
                        job->state = JOB_NEW;
                        job->done(job, job->result);
                }
        }
}

static int on_event(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        tell(userdata);
        return 0;
}

void pool_submit(Pool *p, Job *job) {
        int r;

        assert(job->run && job->news && job->done);
        pthread_mutex_lock(&p->mutex);
        assert(job->state == JOB_NEW);
        job->pool = p;
        job->state = JOB_QUEUED;
        job->cancelled = false;
        queue_push(&p->queue, job);
        p->queued++;
        pthread_cond_signal(&p->work);
        r = start_another(p);
        if (r < 0 && p->running == 0) {
                (void) queue_pop(&p->queue);
                p->queued--;
                finish(job, r);
        }
        pthread_mutex_unlock(&p->mutex);
}

/* Under the mutex. The query is cancelled only while it is this job's, and that cannot change meanwhile. */
static void cancel(Pool *p, Job *job) {
        job->cancelled = true;
        if (job->state == JOB_QUEUED) {
                queue_remove(&p->queue, job);
                p->queued--;
                finish(job, -ECANCELED);
        }
        for (size_t i = 0; i < POOL_THREADS_MAX; i++)
                if (p->threads[i].job == job && p->threads[i].query)
                        query_cancel(p->threads[i].query);
        pthread_cond_broadcast(&p->room);
}

void pool_cancel(Job *job) {
        Pool *p = job->pool;

        pthread_mutex_lock(&p->mutex);
        cancel(p, job);
        pthread_mutex_unlock(&p->mutex);
}

size_t pool_take(Job *job, char **ret) {
        Pool *p = job->pool;
        size_t size;

        pthread_mutex_lock(&p->mutex);
        size = job->size;
        *ret = job->output;
        job->output = NULL;
        job->size = job->allocated = 0;
        pthread_cond_broadcast(&p->room);
        pthread_mutex_unlock(&p->mutex);
        return size;
}

static int append(Job *job, const char *data, size_t size) {
        if (job->allocated - job->size < size) {
                size_t want = MAX_OF(job->size + size, job->allocated * 2);
                char *p = realloc(job->output, want);

                if (!p)
                        return -ENOMEM;
                job->output = p;
                job->allocated = want;
        }
        memcpy(job->output + job->size, data, size);
        job->size += size;
        return 0;
}

/* One piece that is larger than the bound passes when nothing else waits. */
static bool fits(const Job *job, size_t size) {
        return job->size == 0 || job->size + size <= JOB_OUTPUT_MAX;
}

int job_write(Job *job, const char *data, size_t size) {
        Pool *p = job->pool;
        int r;

        pthread_mutex_lock(&p->mutex);
        while (!job->cancelled && !fits(job, size)) {
                query_release(job->query);
                p->waiting++;
                (void) start_another(p);
                pthread_cond_wait(&p->room, &p->mutex);
                p->waiting--;
        }
        r = job->cancelled ? -ECANCELED : append(job, data, size);
        if (r == 0)
                note(job);
        pthread_mutex_unlock(&p->mutex);
        return r;
}

bool job_room(Job *job, size_t size) {
        bool r;

        pthread_mutex_lock(&job->pool->mutex);
        r = fits(job, size);
        pthread_mutex_unlock(&job->pool->mutex);
        return r;
}

bool job_cancelled(Job *job) {
        bool r;

        pthread_mutex_lock(&job->pool->mutex);
        r = job->cancelled;
        pthread_mutex_unlock(&job->pool->mutex);
        return r;
}

int pool_new(sd_event *event, const char *store_path, Pool **ret) {
        Pool *p = calloc(1, sizeof(*p));
        int r;

        assert(event && store_path && ret);
        if (!p)
                return -ENOMEM;
        p->queue.last = &p->queue.first;
        p->noted.last = &p->noted.first;
        pthread_mutex_init(&p->mutex, NULL);
        pthread_cond_init(&p->work, NULL);
        pthread_cond_init(&p->room, NULL);
        p->store_path = strdup(store_path);
        p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = !p->store_path ? -ENOMEM : p->event_fd < 0 ? -errno : 0;
        if (r == 0)
                r = sd_event_add_io(event, &p->source, p->event_fd, EPOLLIN, on_event, p);
        if (r < 0) {
                pool_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

Pool *pool_free(Pool *p) {
        bool started[POOL_THREADS_MAX];

        if (!p)
                return NULL;
        pthread_mutex_lock(&p->mutex);
        p->stop = true;
        while (p->queue.first)
                cancel(p, p->queue.first);
        for (size_t i = 0; i < POOL_THREADS_MAX; i++) {
                started[i] = p->threads[i].state != THREAD_FREE;
                if (p->threads[i].job)
                        cancel(p, p->threads[i].job);
        }
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->mutex);
        for (size_t i = 0; i < POOL_THREADS_MAX; i++)
                if (started[i])
                        pthread_join(p->threads[i].id, NULL);
        tell(p);
        sd_event_source_disable_unref(p->source);
        closep(&p->event_fd);
        pthread_cond_destroy(&p->work);
        pthread_cond_destroy(&p->room);
        pthread_mutex_destroy(&p->mutex);
        free(p->store_path);
        free(p);
        return NULL;
}
