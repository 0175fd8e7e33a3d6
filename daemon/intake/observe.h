/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_INTAKE_OBSERVE_H
#define SCITRACE_DAEMON_INTAKE_OBSERVE_H

/* observe: the side of intake that daemon/watchers uses: feeds in, requests out, what is mounted, and what
 * people ask of datasets. Main thread; only queues. */

#include "daemon/intake/intake.h"
#include "lib/feed.h"

typedef enum IntakeOutcome {
        INTAKE_DONE = 0,
        INTAKE_E_NO_DATASET = 1,
        INTAKE_E_NAME_TAKEN,            /* dataset: the name */
        INTAKE_E_NAME_INVALID,
        INTAKE_E_MISSING,               /* from here: reasons not to watch a path */
        INTAKE_E_NOT_DIRECTORY,
        INTAKE_E_PERMISSION,
        INTAKE_E_INSIDE,                /* by another way; dataset: the one that it is inside of */
        INTAKE_E_WATCHED,               /* dataset: its name */
        INTAKE_E_NOT_KNOWN,             /* to move: no dataset has that root */
        INTAKE_E_NO_WATCHER,            /* there is none, or it does not answer */
        INTAKE_E_NOT_ABSOLUTE,
        INTAKE_E_OWN,                   /* where our record is: each event would make the next */
        INTAKE_E_PSEUDO,                /* on /proc and the like: not files, and nobody tells of changes */
        INTAKE_E_NOT_SETTLED,           /* pending, stalled */
        INTAKE_E_FAILED,                /* error: negative errno */
} IntakeOutcome;

typedef struct IntakeResult {
        IntakeOutcome outcome;
        const char *dataset;            /* borrowed; see the outcome; of a done add: the name it got */
        int64_t seq;                    /* settle: the newest event */
        int64_t pending;                /* settle */
        int64_t digests_pending;        /* settle */
        bool stalled;                   /* settle */
        int error;
} IntakeResult;

typedef void (*IntakeDoneFn)(void *userdata, const IntakeResult *result);

enum {                                  /* flags */
        INTAKE_ADD_NEW = 1,             /* not as the dataset that was removed there: as a new one */
        INTAKE_ADD_MOVE = 2,            /* it is where the root of a dataset is now: of the one named, or of
                                         * the one whose root it was */
        INTAKE_ADD_WAIT_USEC = 10000000,        /* for a watcher */
};
/** intake_add() - name NULL: made from the last component of root. A dataset that was removed goes on, when
 *  its root is added again. */
int intake_add(Intake *i, Bytes root, const char *name, unsigned flags, IntakeDoneFn fn, void *userdata);
/** intake_remove() - stops watching; what is recorded stays.
 *  intake_scan() - asks for a walk that compares the tree with the record. INTAKE_E_NO_DATASET. */
int intake_remove(Intake *i, const char *name, IntakeDoneFn fn, void *userdata);
int intake_scan(Intake *i, const char *name, IntakeDoneFn fn, void *userdata);
/** intake_settle() - dataset NULL: all. deadline: µs of CLOCK_MONOTONIC, checked at each intake_tick(). */
int intake_settle(Intake *i, const char *dataset, int64_t deadline, IntakeDoneFn fn, void *userdata);
/** intake_tick() - once a second: settles past their deadline end, roots that were away are tried again;
 *  when canary, a mark is sent through the feed whose return moves covered_until. */
int intake_tick(Intake *i, bool canary);

/** intake_mounts() - the text of /proc/self/mountinfo, at the start and whenever it has changed; malloc'd,
 *  and becomes intake's. By it alone intake knows which datasets share a watcher. */
int intake_mounts(Intake *i, uint8_t *text, size_t size);

/* There is a feed for each file system that has a dataset. It has a number > 0 that is never used again, and
 * one watcher after another. */

/** intake_feed_frame() - one frame of a watcher; data is malloc'd and becomes intake's.
 *  intake_feed_end() - the watcher is gone; why: CAUSE_WATCHER_LOST or CAUSE_STALLED. */
int intake_feed_frame(Intake *i, uint32_t feed, uint8_t *data, size_t size);
int intake_feed_end(Intake *i, uint32_t feed, Cause why);

/** What intake wants of the feeds; on the main thread, from intake_dispatch().
 *  open: see to a watcher for this feed (there may be one). close: it is not needed any more.
 *  request: send this message up. consumed: so many frames are done with: grant that much credit.
 *  reset: end its watcher and start another (the store lost what it had not committed, or the watcher sent
 *  what is no message); 0: close them all. */
typedef struct IntakeFeedOps {
        void (*open)(void *userdata, uint32_t feed);
        void (*close)(void *userdata, uint32_t feed);
        void (*request)(void *userdata, uint32_t feed, const FeedMessage *m);
        void (*consumed)(void *userdata, uint32_t feed, unsigned frames);
        void (*reset)(void *userdata, uint32_t feed);
} IntakeFeedOps;
/** intake_feed() - who sees to the feeds; ops is copied, NULL: nobody. */
void intake_feed(Intake *i, const IntakeFeedOps *ops, void *userdata);
/** intake_digest_max() - files larger than this (bytes) get their events at once and their digests later:
 *  neither a settle nor the end of a gap waits for those. */
void intake_digest_max(Intake *i, int64_t bytes);

/** intake_poll() - µs between two walks that find what other hosts did on a network file system. */
void intake_poll(Intake *i, int64_t usec);

typedef struct IntakeStatus {
        int64_t pending, watches, overflows, walked_twice, swept, walked_again;
        int64_t polled, watch_limit;    /* directories without a watch; what the kernel gives */
        bool namespaced;                /* by the sysctl of this user namespace */
        bool scanning, watched, stalled;        /* of all: any is, each is, any is */
        int64_t due;                    /* µs of CLOCK_MONOTONIC: when intake_tick() has something to do; 0:
                                         * not known */
} IntakeStatus;
/** intake_watch_sysctl() - which sysctl to raise when some directories have no watch (polled > 0).
 *  intake_watches_wanted() - and to what: room for all, and as many to come. */
static inline const char *intake_watch_sysctl(bool namespaced) {
        return namespaced ? "user.max_inotify_watches" : "fs.inotify.max_user_watches";
}
static inline int64_t intake_watches_wanted(int64_t polled, int64_t watch_limit) {
        int64_t wanted = 1024;

        while (wanted < watch_limit + 2 * polled)
                wanted *= 2;
        return wanted;
}
/** intake_status() - of one dataset (row id; the numbers are its watcher's) or all (0); as of the last
 *  commit. */
void intake_status(Intake *i, int64_t dataset, IntakeStatus *ret);
/** intake_answered() - when a mark last came back through a feed, µs of CLOCK_MONOTONIC; 0: never. */
int64_t intake_answered(Intake *i, uint32_t feed);

#endif
