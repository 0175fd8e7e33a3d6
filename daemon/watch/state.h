/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_STATE_H
#define SCITRACE_DAEMON_WATCH_STATE_H

/* state: what the three kinds of threads of a watcher share, inside daemon/watch only. One lock guards all
 * of it; nobody holds it across a system call that can wait for a disk, a mount or the feed. What is emitted
 * under the lock goes out in that order: this is what makes the order of the feed the
 * order of the kernel. */

#include <pthread.h>
#include <stdbool.h>

#include "daemon/identify/identify.h"
#include "daemon/watch/notify.h"
#include "daemon/watch/outbox.h"
#include "daemon/watch/pace.h"
#include "daemon/watch/settle.h"
#include "daemon/watch/storm.h"
#include "daemon/watch/table.h"
#include "daemon/watch/watch.h"

enum {
        CHANGES_MAX = 65536,            /* changes that may settle at once, about 15 MiB */
        ROOTS_MAX = 256,
        EXCLUDES_MAX = 16,
        BARRIERS_MAX = 64,
        PROBES = 3,                     /* a probe may wait for this part of answer_max */
        LOOKERS_MAX = 4,
        LOOKERS_LOST_MAX = 4,           /* given up at once, at most; then the watcher is replaced */
        RESUMES_MAX = 16,               /* asked-for readings that go on from where a former watcher was */
        ASKED_MAX = 64,                 /* directories that may be asked for at once */
        TRIES = 8,                      /* to tell what a name is, when its place moved meanwhile */
};

typedef struct Root {
        uint32_t id;                    /* 0: free */
        int wd;                         /* of its directory; 0: not watched now */
        bool limited;                   /* some of its directories are polled, and a gap says so */
        char *path;                     /* absolute, without symbolic links */
        uint64_t inode, device;         /* its identity, also while it is away; 0: not known (yet) */
        int64_t btime;
        bool remote;                    /* a server stands behind it, which may not answer */
        uint32_t uid;
} Root;

typedef struct WalkRequest {
        struct WalkRequest *next;
        uint32_t root, walk;
        uint8_t origin;
        bool watch;                     /* WATCH: answer with ROOT first */
        bool idle;                      /* behind all that others read */
        int *again;                     /* not NULL: no tree, but these directories, and what is new there */
        size_t n_again;
} WalkRequest;

typedef struct Barrier {
        uint64_t id;
        enum { BARRIER_WAITING, BARRIER_MARKED, BARRIER_REACHED } stage;        /* for, by, past its mark */
        bool flush;
        uint32_t epoch;                 /* once reached */
        int64_t time;                   /* when asked for */
} Barrier;

/** Parked: a file whose reading takes more than a slice. Its change stays in flight. */
typedef struct Parked {
        struct Parked *next;
        SettleJob job;
        IdentifyReading reading;
        int64_t told, told_at;          /* progress: bytes, and when (µs, CLOCK_MONOTONIC) */
} Parked;

/** Slices: the reading of large files, a slice at a time. */
typedef struct Slices {
        Parked *first;
        size_t count;
        int64_t last;                   /* when a slice was last begun; these are of CLOCK_MONOTONIC, µs */
        int64_t not_before;             /* the next one, while slow */
        int64_t measure_at;             /* pressure again */
        bool slow;
        Pace pace;
        struct {
                uint32_t request;
                IdentifyReading reading;
        } resumes[RESUMES_MAX];
        unsigned next_resume;
} Slices;

/** Looker: a thread that looks. While it is without the lock, what it looks at is known here. */
typedef struct Looker {
        Watch *watch;
        pthread_t thread;
        pid_t tid;
        bool running, ended;            /* started; come to its end */
        bool lost;                      /* given up: it waits for a file system that does not answer */
        bool waits;                     /* atomic: it is without the lock, for a file system */
        int64_t waited;                 /* µs so far, those in which this process ran */
        const SettleJob *jobs;          /* what it looks at, and then will */
        size_t n_jobs;
        bool reads;                     /* atomic: it reads the content of the first, */
        IdentifyState state;            /* ... which was so */
} Looker;

/** Pair: two names of which one moved to the other, or which were exchanged. */
typedef struct Pair {
        uint32_t dirs[2];
        uint8_t sizes[2];
        char names[2][256];
} Pair;

struct Watch {
        pthread_mutex_t lock;
        Pair moved;                     /* the last one */
        pthread_cond_t look, walk, room;        /* something to look at; to walk; room to add */
        pthread_cond_t probe;           /* a root to probe */
        pthread_cond_t tend;            /* something was lost, or a list of `again` is done with */
        bool stop;

        Notify *notify;
        Table *table;
        Settle *settle;
        Outbox *outbox;
        int wake_fd;                    /* eventfd: the outbox has something; */
        bool woken;                     /* ... and it says so */
        bool later;                     /* the last frame need not leave before it is full */
        int stop_fd;                    /* eventfd: ends the watch thread */

        Root roots[ROOTS_MAX];
        size_t n_roots;                 /* behind these none has ever been in use */
        struct {
                uint64_t device, inode;
        } excludes[EXCLUDES_MAX];
        size_t n_excludes;
        IdentifyIgnore *ignore;
        int64_t digest_max;             /* larger files: read when asked for; bytes */
        int64_t read_max;               /* larger ones: never */
        double pressure_max;            /* percent */
        bool links_open;                /* people may link files that they cannot read (sysctl) */
        Slices slices;

        WalkRequest *walks, **walks_tail;       /* not begun */
        bool walking;
        uint32_t agains_asked, agains_done;     /* walks of `again` */
        struct {
                int wd;
                uint32_t request;
        } asked[ASKED_MAX];             /* to be listed again, for intake */
        size_t n_asked;

        Barrier barriers[BARRIERS_MAX]; /* in the order of their requests */
        size_t n_barriers;
        uint32_t mark_wanted, mark_posted, mark_seen;   /* marks through the kernel's queue, one at a time */

        int64_t drained;                /* real time when the kernel's queue was last empty */
        int64_t emptied;                /* the same by the clock of ctimes: ns, coarse */
        bool clock_set;                 /* the clock was set since then */
        int clock_fd;                   /* tells */
        int64_t stale_since;            /* the least `emptied` when a directory became stale */
        Storm storm;                    /* what was lost, and when it is swept for */
        struct {                        /* directories without a watch; see poll.h */
                size_t count;           /* of them */
                int64_t rate;           /* entries a second */
                int *ids;               /* of this round */
                size_t n, at;
                int64_t started, since; /* this round; the last one: ns of CLOCK_REALTIME */
                int64_t offset;         /* of CLOCK_REALTIME, then, to a clock that is never set */
                int64_t next, least;    /* µs of CLOCK_MONOTONIC: when to go on; the earliest next round */
                int last_id;
                int64_t limit;          /* of watches, for all programs of this user */
                bool namespaced;        /* ... set by this user namespace's sysctl */
                bool full;              /* no watch was to be had in this step */
        } poll;
        uint64_t overflows, walked_twice;
        uint64_t swept, walked_again;   /* directories looked at here; of these, listed again */

        pthread_t watch_thread, walk_thread, sweep_thread, probe_thread;
        unsigned n_lookers, n_threads;  /* wanted; started, but for lookers */
        Looker lookers[LOOKERS_MAX + LOOKERS_LOST_MAX];
        int64_t lookers_tick_at;
        int64_t answer_max;             /* µs that a file system may take */
        int64_t probe_since;            /* when the probe that waits began, µs of CLOCK_MONOTONIC; 0: none */
        bool stalled;                   /* it waits too long, and that was said */
        int failed;                     /* -errno: what nothing can make up for; the watcher ends */
};

static inline Moment moment_now(void) {
        return (Moment) { now_usec(CLOCK_REALTIME), now_usec(CLOCK_MONOTONIC) };
}

/* Under the lock: */
/** state_lost() - notices of nobody knows what were lost: a gap at once, and a sweep.
 *  state_stale() - the same, but all of them were of names in one directory. */
void state_lost(Watch *w);
void state_stale(Watch *w, uint32_t dir);
void state_swept(Watch *w);             /* a sweep has ended */
/** state_broken() - for want of memory a thread could not begin, or an answer is lost that scitraced waits
 *  for: the watcher ends, and the next one compares the tree. */
void state_broken(Watch *w, int error);
bool state_clock_set(Watch *w);         /* whether the clock was set since this was asked last */
void state_emit(Watch *w, const FeedMessage *m, bool must);
/* state_emit_later() - the same for what need not leave before a frame is full. state_wake() - what is there
 * leaves now. */
void state_emit_later(Watch *w, const FeedMessage *m);
void state_wake(Watch *w);
/** state_touch() - settle_touch(), and wakes who can go on; a notice for which there is no room is lost, and
 *  a gap. */
void state_touch(Watch *w, const SettleNotice *n, Moment now);
/* state_done() - ends the flight of a job, and wakes who can go on. answered: its result was reported; when
 * it was not, and it does not go back (again), a request that it carried has failed.
 * state_displaced() - answers the requests that settle_displaced() hands out. */
void state_done(Watch *w, const SettleJob *job, bool again, bool answered);
void state_displaced(Watch *w);
void state_failed(Watch *w, uint32_t request, int error);       /* request 0: nothing */
void state_barriers(Watch *w);          /* answers the barriers that are through */
void state_mark(Watch *w);              /* a mark for those that wait for one, unless one is under way */
void state_mark_lost(Watch *w);
/* While a directory is listed, and until a mark has passed behind the listing, a notice of a name in it may
 * be older than what the listing found: then it says no more than that the name is to be looked at. */
bool state_blurred(const Watch *w, const Directory *d);
void state_blur(Watch *w, Directory *d);        /* the same, of what was found in it by now */
void state_marked(Watch *w);            /* the mark has come */
void state_counts(Watch *w);
/** state_root() - by the id of the feed (> 0); NULL: not watched. */
Root *state_root(Watch *w, uint32_t id);
/* A root is not where it was, or its file system went: says so, and watches nothing of it any more. The
 * roots beneath one that moved are not where they were either. state_root_failed(): it could not be opened,
 * with -errno. */
void state_root_lost(Watch *w, Root *root, Cause cause);
void state_root_failed(Watch *w, Root *root, int error);
void state_unwatch(Watch *w, Directory *d);     /* d and all below: no watches, not in the table */
void state_announce(Watch *w, Directory *d);
/** state_gap() - says that changes may have gone unseen since the queue was last empty: in root (0: all),
 *  beneath dir (0: all of it), at name (BYTES_NONE: all). error: positive errno or 0. */
void state_gap(Watch *w, uint32_t root, uint32_t dir, Bytes name, Cause cause, int error);
Cause state_cause(int error);           /* of what cannot be read for a (positive) errno */

/** Spot: a directory opened for looking, beneath its root, and proved to be the one meant. */
typedef struct Spot {
        Root root;                      /* copy; path is ours */
        uint32_t dir;
        char *path;                     /* relative to the root */
        int fd;
        uint64_t inode;
        int64_t btime;
} Spot;
/** spot_find() (under the lock) - fills all but fd. 0, -ENOENT (not in the tree any more), -ENOMEM.
 *  spot_open() (without) - 0; -ESTALE: another directory is there; -errno.
 *  *ret_root: it was the root that failed.
 *  spot_moved() - whether an error says so much as that a directory is not where it was. */
int spot_find(Watch *w, uint32_t dir, Spot *ret);
int spot_open(Spot *p, bool *ret_root);
bool spot_moved(int error);
int spot_prove(const Spot *p);         /* that fd is the directory meant */
void spot_done(Spot *p);

/* Whether the policy's patterns cover a name of the directory at dir_path; no lock is needed. */
bool state_ignored(const Watch *w, const char *dir_path, const char *name, bool directory);
void state_describe(FeedMessage *m, const IdentifyState *state);        /* fills m->STATE */
/* The STATE that a settled change becomes; the caller adds what it alone knows. */
void state_observed(FeedMessage *m, const SettleJob *job, const IdentifyState *state);

/** The threads; userdata: the Watch; of look_thread() its Looker. */
void *watch_thread(void *userdata);
void *walk_thread(void *userdata);
void *look_thread(void *userdata);
void *sweep_thread(void *userdata);
void *probe_thread(void *userdata);
void probe_tick(Watch *w);              /* under the lock: says when a probe waits too long */
void give_way(void);                    /* this thread's, to whoever works here */
void read_idly(bool idle);              /* its disk accesses only; can be taken back */

/* lookers.c, under the lock but for start and end. lookers_tick() - gives up who waits too long; -ETIMEDOUT:
 * that are too many. looker_back() - one that was given up woke up. lookers_end() - joins all threads of the
 * watcher within a second; false: one of them hangs. */
int lookers_start(Watch *w);
int lookers_tick(Watch *w);
void looker_back(Looker *l);
bool lookers_end(Watch *w);

#endif
