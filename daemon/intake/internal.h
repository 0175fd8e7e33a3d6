/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_INTAKE_INTERNAL_H
#define SCITRACE_DAEMON_INTAKE_INTERNAL_H

/* internal: what the files of daemon/intake share. But for the two queues and the status, all of it belongs
 * to the store thread. intake.c: that thread; answers.c, asks.c: from it and to it; feeds.c, frames.c: the
 * watchers; observe.c, unlink.c: what they saw; adding.c, datasets.c, places.c, nesting.c, rehome.c, gaps.c,
 * requests.c, settling.c: what follows; fresh.c: what a first look need not look up; sealing.c: when the log
 * is sealed; trouble.c: when the store cannot be written; lost.c: when it is not what it was; clocks.c: when
 * the clock is set. */

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/intake/map.h"
#include "daemon/intake/mounts.h"
#include "daemon/intake/observe.h"
#include "daemon/intake/trust.h"

enum {
        FEEDS_MAX = 64,                 /* watchers at once: file systems with a dataset */
        REQUESTS_SENT_MAX = 4096,       /* requests under way to a watcher */
        REQUESTS_MAX = 8192,            /* open requests of a watcher, about 150 bytes each: what comes
                                         * beyond is found again, in the store or by another listing */
        OWED_MAX = 65536,               /* names for which operations are owed, 32 bytes each */
        ELSEWHERE_MAX = 64,             /* files with more names than recorded that are kept in mind */
        LARGE_MAX = 4,                  /* of them, for large files: a watcher has no more readers */
        READINGS_MAX = 16,              /* digests under way that are kept across a restart */
        TRANSACTION_MAX = 10000,        /* events after which a transaction is committed */
        READING_MAX = 128,              /* bytes of a digest under way */
        LIMIT_GAPS_MAX = 8,             /* gaps of one dataset for directories without watches; and one */
        TOKEN_NEW = 0x40000000,         /* root tokens of datasets that are being added begin here */
};

/** Work: something for the store thread, run within a transaction. */
typedef struct Work {
        struct Work *next;
        void (*run)(Intake *i, struct Work *w);
        void (*done)(struct Work *w);   /* frees what it owns beyond itself; may be NULL */
        uint64_t ticket;                /* of the caller's callback; 0: none */
        uint8_t *data;                  /* a frame, a path, chunks */
        size_t size;
        char *name;
        uint32_t feed;                  /* whose frame it is */
        int64_t number, argument;
        int fd;
} Work;

/** Done: something for the main thread, once the transaction is committed. */
typedef struct Done {
        struct Done *next;
        void (*run)(Intake *i, const struct Done *d);
        uint64_t ticket;
        IntakeResult result;
        char *dataset;
        FeedMessage message;            /* a request, its bytes in data */
        uint8_t *data;
        uint32_t feed;                  /* whom a request, or credit, is for */
        int64_t number, number2;
        int error;
} Done;

typedef struct Request Request;

/** Feed: a watcher, and through it the datasets of one file system. */
typedef struct Feed {
        struct Feed *next;
        uint32_t id;                    /* > 0; never used again */
        uint64_t device;                /* of its superblock, as mountinfo tells it; 0: not known */
        bool there;                     /* HELLO has come */
        unsigned frames;                /* consumed in this transaction */
        Feed_COUNTS counts;             /* what it last said */
        uint64_t flushing;              /* the flush that is under way; 0: none */
        Map listed;                     /* hashes of the names in the listing under way */
        Map owed;                       /* hash of a name -> operations that no event has counted yet */

        Request *first, *last, *unsent; /* open requests in the order of their ids; the first not sent */
        unsigned n_requests, n_sent;
        Map again;                      /* nodes of directories that are to be listed again */
        unsigned n_lists;               /* of these, asked for */
        unsigned n_asked;               /* digests under way, and ... */
        unsigned n_large;               /* ... of these, of large files */
        bool large_left;                /* there are more */
        int64_t wanted_cursor;          /* digests of nodes up to here have been asked for */
        bool wanted_done;               /* ... and there are no others */
} Feed;

typedef struct FeedStatus {             /* what the main thread may know of a feed */
        uint32_t id;
        int64_t pending;
        Feed_COUNTS counts;
        int64_t answered;               /* µs of CLOCK_MONOTONIC: when a mark last came back; 0: never */
} FeedStatus;

typedef struct Gap {
        int64_t id, dataset, node;
        Cause cause;
        bool by_walk;                   /* what stood in the way is gone: the next walk ends it */
        bool swept;                     /* the watcher looks for what it hides, and says when it has */
        bool reconciled;                /* the walk that covers it has ended */
        uint32_t limit;                 /* then: closed when none before this one is open; 0: not all digests
                                         * that the walk led to have been asked for */
        size_t next;                    /* of the same node: its index, and 1; 0: none */
} Gap;

/** Again: a tree that was found again under other identities (rehome.c). */
typedef struct Again {
        bool on;
        uint64_t inode;                 /* of the root, which gets it when the walk has ended */
        int64_t btime;
        int64_t nodes;                  /* matched by path */
} Again;

typedef struct Dataset {
        StoreDataset row;
        Feed *feed;                     /* whose file system it is on; NULL: removed, or not known yet */
        Again again;
        uint32_t token;                 /* of its root on this feed; 0: not asked to be watched */
        uint32_t walk;                  /* under way; 0: none */
        int64_t walked_seq;             /* newest event when its last walk was asked for */
        bool walk_again;                /* a gap opened meanwhile */
        bool first_look;                /* it was added just now, and not all of its digests are read */
        bool watched;
        uint64_t device;
        uint64_t mount;                 /* the mount that its root is on; 0: not known */
        bool mounted;                   /* it was seen there, and not unmounted since */
        bool network;                   /* other hosts may change it */
        bool stalled;                   /* its file system does not answer its watcher */
        int64_t retry_at;               /* µs of CLOCK_MONOTONIC: when to try its root again; 0: not */
        int64_t poll_at;                /* ... and, on a network, when to look what others did */
} Dataset;

typedef struct Adding {                 /* an add that waits for its root */
        struct Adding *next;
        Feed *feed;
        uint32_t token, walk;
        uint8_t *root;                  /* NUL behind it */
        size_t root_size;
        char *name;                     /* NULL: of the dataset that is moved, whichever it is */
        unsigned flags;                 /* INTAKE_ADD_... */
        int64_t deadline;               /* µs of CLOCK_MONOTONIC: how long a watcher is waited for */
        uint64_t ticket;
} Adding;

struct Request {
        Request *next, *previous;
        Feed *feed;
        uint32_t id;
        bool digest, list, sent;
        bool relist;                    /* its directory is to be listed again */
        bool large;                     /* a digest that nobody waits for */
        int64_t parent, node;           /* the directory's; of what is read, or listed (0: not known) */
        uint64_t inode;
        int64_t btime;
        uint32_t dir;                   /* that the watcher was told */
        uint8_t origin;
        uint8_t name_size;
        uint8_t name[];
};

typedef struct SettlingPart {           /* one watcher's */
        uint32_t feed;                  /* one that is closed meanwhile has no more to say */
        enum { SETTLING_WALK, SETTLING_BARRIER, SETTLING_DIGESTS, SETTLING_REQUESTS } stage;
        uint64_t barrier;
        uint32_t first;                 /* request since its barrier was asked for */
        uint32_t limit;                 /* requests before this one, and what they lead to */
        bool again;                     /* a directory was listed for one of these: another round */
} SettlingPart;

typedef struct Reading {
        int64_t node;                   /* 0: free */
        uint8_t size;
        uint8_t data[READING_MAX];
} Reading;

typedef struct Trouble {                /* the store cannot be written (trouble.c) */
        bool on;
        bool full;                      /* for want of space; else for whatever else */
        bool recorded;                  /* the gaps that it makes are committed */
        bool gone;                      /* the database was taken away, and is to be saved */
        bool told;
        int64_t since;                  /* µs of CLOCK_MONOTONIC */
} Trouble;

typedef struct Lost {                   /* what the record is still to tell of its own store (lost.c) */
        bool is_to_be_told;
        int64_t had;                    /* so many events it had once; 0: it still has all */
} Lost;

typedef struct ClocksNow {
        int64_t realtime, boottime;     /* µs of CLOCK_REALTIME and CLOCK_BOOTTIME */
        bool sure;                      /* ... read as good as at once */
} ClocksNow;

typedef struct Clocks {                 /* clocks.c */
        bool loaded;
        int64_t offset;                 /* µs: CLOCK_REALTIME - CLOCK_BOOTTIME, as the record has it */
        int64_t moved;                  /* so much it changed, as this transaction says; 0: not */
        bool notes;                     /* this transaction notes whether the clock is doubted */
        bool noted;                     /* it is noted that it is */
        int64_t noted_at;               /* µs of CLOCK_BOOTTIME */
        Trust trust;                    /* written under the lock, and ... */
        int64_t passed;                 /* ... when it was brought up to date, µs of CLOCK_BOOTTIME */
} Clocks;

typedef struct Settling {
        struct Settling *next;
        int64_t dataset;                /* 0: all */
        int64_t deadline;
        uint64_t ticket;
        size_t n_parts;
        SettlingPart parts[];
} Settling;

struct Intake {
        Store *store;
        uint8_t boot[EVENT_ID_SIZE];
        pthread_t thread;
        bool started;
        bool running;                   /* the store has been told that this run began */
        bool clean, first;              /* the one before ended well; there was none, or its gap is
                                         * recorded */

        pthread_mutex_t lock;           /* guards from here ... */
        pthread_cond_t wake;
        Work *works, **works_tail;
        unsigned n_frames, n_urgent;    /* of these works: frames of the feed; others */
        Done *dones, **dones_tail;
        int64_t committed;              /* seq */
        bool stop;
        IntakeStatus status;            /* of all */
        FeedStatus feed_status[FEEDS_MAX];
        size_t n_feed_status;
        Map status_of;                  /* dataset -> 1 scanning | 2 watched | 4 stalled | its feed << 8 */
        int event_fd;                   /* ... to here */

        const char *degraded;           /* what the trouble is: a literal; atomic */
        const char *unsealed;           /* the same: why the log is not sealed, which was said */

        /* The main thread's. Callbacks stay with it: the store thread knows them by tickets only, so that
         * one whose caller is gone can be forgotten at once. */
        struct Callback *callbacks;
        uint64_t next_ticket;
        IntakeCommitFn commit_fn;
        void *commit_userdata;
        int64_t commit_told;
        IntakeFeedOps ops;
        void *ops_userdata;

        Done *held, **held_tail;        /* until the commit */
        int64_t committed_at;           /* µs of CLOCK_MONOTONIC: when the last transaction ended */
        int64_t appended;               /* events in it */
        int64_t worked;                 /* events since malloc was trimmed */
        int error;                      /* of it: STORE_E_FULL, STORE_E_FAILED or negative errno */
        Trouble trouble;
        Lost lost;

        Clocks clocks;
        StoreSeal seal;                 /* made in this transaction; note NULL: none */
        int64_t seal_at;                /* µs, CLOCK_MONOTONIC: not before */

        Feed *feeds;
        uint32_t next_feed;
        Feed *from;                     /* whose frame is observed just now */
        Mounts mounts;                  /* which file system is where */
        bool mounts_told;
        /* A directory of a feed is known by its key: the feed's id, and its own on that feed. */
        Map nodes;                      /* key -> its node */
        Map dirs;                       /* node -> key */
        Map roots;                      /* key -> root token */
        Dataset *datasets;
        size_t n_datasets;
        Gap *gaps;                      /* in no order; changed by gap_open(), gap_close(), gap_forget() */
        size_t n_gaps, gaps_allocated;
        Map gaps_of;                    /* node, and 1 -> its first gap's index, and 1 */
        Map gap_counts;                 /* dataset << 8 | cause -> how many */
        bool gaps_due;                  /* some are reconciled, and may be closed */
        Adding *addings;
        uint32_t next_token, next_walk, next_request;
        uint64_t next_barrier;
        Map fresh;                      /* fresh.c */
        int64_t silent;                 /* store_silent() when it was looked at last */
        struct {
                int64_t parent, node;
                uint8_t name[255], name_size;
        } made;                         /* the directory that was introduced last; its DIR follows */
        int64_t elsewhere[ELSEWHERE_MAX];       /* nodes seen with more names than recorded; 0: none */
        unsigned elsewhere_next;
        bool elsewhere_due;             /* a name went since: one of those may have changed through it */
        Map requests;                   /* id -> Request * */
        Map asked;                      /* nodes whose digest is asked for -> id */
        bool warned_pinned;
        _Atomic int64_t poll_usec;      /* between two looks at what others did */
        _Atomic int64_t digest_max;     /* bytes; digests of larger files are read a few at a time */
        Reading readings[READINGS_MAX]; /* how far digests of large files have come */
        Settling *settlings;
        bool limit_said;                /* that watches are missing */
};

/* intake.c */
int intake_queue(Intake *i, Work *w);           /* takes w over; NULL is -ENOMEM */
int intake_begin(Intake *i);                    /* a transaction */
void intake_committed(Intake *i, bool durable); /* it is over; durable: it was committed */
int intake_append(Intake *i, Event *e);         /* fills boot and dataset_uuid */
void intake_fail(Intake *i, int error);         /* it cannot be committed; the first error counts */
/* What is watched, by the record; i->datasets is empty. Begins a transaction, in which the gap since the
 * last run is opened if that is still to be done. 0, or any error: then roll back. */
int intake_load(Intake *i);
void intake_loaded(Intake *i, int r);           /* r: of that transaction's commit */
void intake_deliver(Intake *i);                 /* what is held, and the status, to the main thread */
void work_free(Work *w);

/* trouble.c */
void trouble_recover(Intake *i);        /* i->error is set: returns when it is over, or we end in it */
void work_refuse(Intake *i, Work *w);   /* who asked is told that nothing can be recorded; frees it */

/* lost.c: look: after the store was opened; saved: it had been taken away. record: the event, when there is
 * one to be made, in a transaction; 0 or any error. cause: of the gap that goes with it; else otherwise. */
void lost_look(Intake *i, bool saved);
int lost_record(Intake *i);
Cause lost_cause(const Intake *i, Cause otherwise);

/* answers.c: all but the ticket is held until answers_release() */
uint64_t intake_ticket(Intake *i, void (*fn)(void), void *userdata);    /* main thread; 0: out of memory */
void intake_finish(Intake *i, uint64_t ticket, const IntakeResult *result);
typedef void (*IntakeCountedFn)(void *userdata, int result, int64_t number, int64_t number2);
void intake_counted(Intake *i, uint64_t ticket, int error, int64_t number, int64_t number2);
void intake_request(Intake *i, const Feed *f, const FeedMessage *m);    /* m's bytes are copied */
void answers_feed_open(Intake *i, const Feed *f);
void answers_feed_close(Intake *i, const Feed *f);
void answers_consumed(Intake *i, const Feed *f, unsigned frames);
void answers_reset(Intake *i, const Feed *f);   /* NULL: all, for good */
void answers_drop(Intake *i, int error);        /* what a transaction promised falls with it: callers get the
                                                 * error, requests are not sent */
void answers_release(Intake *i);                /* under the lock: what is held is the main thread's now */
void answers_free(Intake *i);

/* clocks.c: read; begun: in a transaction that was begun with them, 0 or any error; committed: it is over */
ClocksNow clocks_read(void);
int clocks_begun(Intake *i, const ClocksNow *now);
void clocks_committed(Intake *i, bool durable);

/* care.c */
void work_backup(Intake *i, Work *w);
void work_step(Intake *i, Work *w);
void work_note(Intake *i, Work *w);
void care_note(Intake *i, const char *what, const char *result);        /* store_care() */

/* frames.c */
void observe_frame(Intake *i, Work *w);

/* observe.c */
void observe_dir(Intake *i, const Feed_DIR *m);
void observe_state(Intake *i, const Feed_STATE *m);
void observe_gone(Intake *i, const Feed_GONE *m);
void observe_moved(Intake *i, const Feed_MOVED *m);
void observe_exchanged(Intake *i, const Feed_EXCHANGED *m);
void observe_list_begin(Intake *i, const Feed_LIST_BEGIN *m);
void observe_list_end(Intake *i, const Feed_LIST_END *m);
void observe_present(Intake *i, const Feed_PRESENT *m);

/* owed.c: operations that no event has counted yet, by the name whose next event will; hashes: never 0 */
enum { OWED_E_FULL = 1 };               /* not taken: an event of its own */
uint64_t hash_name(Bytes name);
uint64_t hash_in_directory(int64_t parent, Bytes name);
int owed_add(Intake *i, int64_t parent, Bytes name, int64_t count);
int64_t owed_take(Intake *i, int64_t parent, Bytes name);

/* fresh.c: a directory in which no name was ever recorded, but those told of by fresh_named(). */
void fresh_directory(Intake *i, int64_t node);
bool fresh_name(const Intake *i, int64_t parent, Bytes name);   /* surely no link has or had that name */
bool fresh_has(const Intake *i, int64_t parent, Bytes name);    /* a subdirectory that it has, surely */
void fresh_named(Intake *i, int64_t parent, Bytes name);
void fresh_ends(Intake *i, int64_t node);
void fresh_appended(Intake *i, const Event *e); /* what an event ends, that is none of a first look */
void fresh_forget(Intake *i);                   /* unless a walk goes on: all, and what is known of nodes */
void fresh_drop(Intake *i);                     /* nothing is known to be fresh */

/* feeds.c */
Feed *feed_of_root(Intake *i, Bytes root);      /* opens one when there is none; NULL: too many */
Feed *feed_find(const Intake *i, uint32_t id);  /* NULL: it is closed */
Feed *feed_of_node(const Intake *i, int64_t node, uint32_t *ret_dir);   /* who watches a directory */
uint64_t feed_key(const Feed *f, uint32_t dir);
void feed_forget(Intake *i, Feed *f);           /* its watcher is gone: what it knew */
void feeds_open(Intake *i);                     /* all of them (anew) */
void feeds_trim(Intake *i);                     /* closes those that no dataset needs */
void feeds_free(Intake *i);
void feeds_tick(Intake *i);                     /* a mark through each, whose return moves covered_until */

/* datasets.c */
int datasets_load(Intake *i, Cause why);
void datasets_free(Intake *i);
Dataset *dataset_find(Intake *i, int64_t id);
Dataset *dataset_of_dir(Intake *i, uint32_t dir);
Dataset *dataset_of_token(Intake *i, uint32_t token);
void datasets_hello(Intake *i, Feed *f);        /* a watcher is there: watch all that is its */
void datasets_lost(Intake *i, Feed *f, Cause why);      /* it is gone */
void datasets_tick(Intake *i, int64_t now);
void dataset_walk(Intake *i, Dataset *d); /* asks for a reconciling walk, now or after this one */
void dataset_poll(Intake *i, Dataset *d);       /* the same, behind all that others read */
void observe_root(Intake *i, const Feed_ROOT *m);
void observe_walk_end(Intake *i, const Feed_WALK_END *m);
void observe_head(Intake *i, const Feed_HEAD *m);
void dataset_remove(Intake *i, Work *w);
void dataset_scan(Intake *i, Work *w);
Dataset *dataset_new(Intake *i);                /* others may be elsewhere then; NULL: out of memory */
int dataset_copy_row(const StoreDataset *from, StoreDataset *to);
Dataset *dataset_named(Intake *i, const char *name);
Bytes dataset_root(const Dataset *d);
void dataset_ask(Intake *i, const Feed *f, Feed_WATCH watch);
void dataset_unask(Intake *i, const Feed *f, uint32_t token);
void dataset_unwatched(Intake *i, Dataset *d);
void dataset_watch(Intake *i, Dataset *d);      /* asks for it, and for a walk */
bool dataset_is_at(Intake *i, const Dataset *d, const Feed_ROOT *m);    /* that is its root */
/* dataset_append_place() - an event that tells name and root. dataset_filesystem() - the row of the file
 * system that a root is on. */
typedef struct IntakeRoot {
        uint32_t mode, uid, gid;
} IntakeRoot;
int dataset_append_place(Intake *i, const Dataset *d, Kind kind, const IntakeRoot *seen);
void dataset_root_seen(Intake *i, const Dataset *d, const IntakeRoot *root);    /* is that news? */
int dataset_filesystem(Intake *i, const Feed_ROOT *m, int64_t *ret);

/* unlink.c: what is recorded beneath a directory; of one name, and beneath it. */
int unlink_below(Intake *i, Dataset *d, int64_t top, uint8_t origin, int64_t time);
int unlink_name(Intake *i, Dataset *d, const StoreLink *link, uint8_t origin, int64_t first, int64_t last,
                int64_t count);

/* adding.c */
void dataset_add(Intake *i, Work *w);
void addings_hello(Intake *i, Feed *f);
void addings_tick(Intake *i, int64_t now);      /* those for which no watcher is there end */
void addings_free(Intake *i);
int dataset_move(Intake *i, Dataset *d, Bytes to);      /* its root is there now; it is not asked for yet */
bool adding_root(Intake *i, const Feed_ROOT *m);        /* whether one waited for that root */

/* nesting.c */
Dataset *dataset_beginning(Intake *i, int64_t node);    /* the watched one whose root it is; NULL */
void nesting_claim(Intake *i, Dataset *d);      /* it is watched: what is beneath its root belongs to it */
void nesting_inherit(Intake *i, Dataset *d);    /* and so do the open gaps there; it was added just now */
/* Its root moved from there, and the datasets inside of it with it; f: whose they are now. */
void nesting_moved(Intake *i, const Dataset *d, const char *was, Feed *f);
/* It was removed, its root had that token: what is beneath it belongs to the dataset around it. */
void nesting_release(Intake *i, Dataset *d, uint32_t token);

/* rehome.c */
bool rehome_possible(Intake *i, const Dataset *d, const Feed_ROOT *m);
void rehome_begin(Intake *i, Dataset *d, const Feed_ROOT *m);
/* Whether the name's node is what was seen there, but for its identity; then it has that, and is *node. */
bool rehome_node(Intake *i, Dataset *d, const StoreLink *link, const Feed_STATE *m, StoreNode *node);
void rehome_end(Intake *i, Dataset *d);         /* its walk has ended */

/* places.c */
void run_mounts(Intake *i, Work *w);
void mounts_refused(Intake *i, const Work *w);  /* the same while no store can follow; recover() places */
void datasets_place(Intake *i);                 /* each on the feed of its file system */
void dataset_placed(Intake *i, Dataset *d);     /* it is on the right one; notes its mount */
void dataset_returned(Intake *i, Dataset *d);     /* its root is there (again) */
void dataset_network(Intake *i, Dataset *d, bool network);
void places_covered(Intake *i, const Dataset *d);       /* a dataset begins where another had a gap */
void places_tick(Intake *i, int64_t now);
void observe_stalled(Intake *i, const Feed_STALLED *m);

/* gaps.c */
int gaps_load(Intake *i);
void gaps_free(Intake *i);
void gap_forget(Intake *i, size_t n);   /* without an event; the last one takes its place */
bool gap_on(const Intake *i, int64_t dataset, int64_t node, Cause cause);
bool gap_of_watches(const Intake *i, int64_t dataset);  /* some of its directories have no watch */
bool gap_on_dataset(const Intake *i, const Dataset *d);
void gap_open(Intake *i, Dataset *d, int64_t node, Cause cause, int64_t from);
void gap_close(Intake *i, size_t n);            /* the last one takes its place */
int gaps_resume(Intake *i, int64_t dataset);    /* the dataset is watched again: those that it left open */
void gaps_reconciled(Intake *i, Dataset *d); /* its walk has ended: they close with its last request */
void gaps_settle(Intake *i, const Feed *f);     /* closes what can be closed */
void gaps_resolve(Intake *i, int64_t node);     /* a file can be read again */
void gaps_gone(Intake *i, int64_t node);         /* a name of it went: without any, nothing is unseen */
bool gaps_reopened(Intake *i, int64_t node); /* a directory can be: had it a gap, which a walk ends? */
void gaps_entered(Intake *i, const Dataset *d); /* its root can be read: those since it could not */
void gaps_local(Intake *i, const Dataset *d);   /* no other host can change it any more */
void gaps_unswept(Intake *i, int64_t dataset);  /* nobody sweeps any more: a walk ends them */
void observe_gap(Intake *i, const Feed_GAP *m);
void gaps_limit(Intake *i);     /* says once that watches are missing */
void add_limit(IntakeStatus *status, const Feed_COUNTS *counts);        /* of one feed to those of all */
void observe_reconciled(Intake *i, const Feed_RECONCILED *m);

/* elsewhere.c */
void elsewhere_look(Intake *i, int64_t node, uint8_t origin);   /* reads a file under another of its names */
void elsewhere_former(Intake *i, int64_t parent, Bytes name, int64_t except, uint8_t origin);
/* A file that was made without a name: what goes on being written is told under "#" and its inode number. */
void elsewhere_unnamed(Intake *i, int64_t filesystem, Bytes name, uint8_t origin);
void elsewhere_note(Intake *i, int64_t node, uint32_t nlink);   /* a node was seen with so many names */
void elsewhere_check(Intake *i);                                /* when due: reads those with more */

/* requests.c */
void request_digest(Intake *i, int64_t parent, Bytes name, int64_t node, uint64_t inode, int64_t btime,
                    uint8_t origin);
void request_check(Intake *i, int64_t parent, Bytes name, uint8_t origin, bool list);
Request *request_find(const Intake *i, uint32_t id);    /* NULL: the feed that is read has none such */
Request *request_answered(Intake *i, uint32_t id);      /* ends it; the caller frees it; NULL: as above */
bool requests_compared(const Feed *f);  /* all that is to be asked for has been */
bool requests_open_before(const Feed *f, uint32_t limit);
void requests_pump(Intake *i);
void requests_clear(Intake *i, Feed *f);
void request_list(Intake *i, Feed *f, int64_t directory);      /* its names once more, when there is room */
/* The answer has been recorded: if it was none of what was asked for, that is asked for where it is now. */
bool request_missed(Intake *i, const Request *r);
void wanted(Feed *f, int64_t node);             /* a node's digest is wanted: let the pump come by */
void observe_failed(Intake *i, const Feed_FAILED *m);

/* readings.c */
void readings_load(Intake *i);
Bytes reading_of(Intake *i, int64_t node);      /* BYTES_NONE: it begins anew */
void reading_end(Intake *i, int64_t node);
void observe_progress(Intake *i, const Feed_PROGRESS *m);

/* sealing.c */
void sealing_seal(Intake *i);                   /* in a transaction: what it appended so far */
void sealing_tick(Intake *i, int64_t now);      /* when it is time */
void sealing_committed(Intake *i, bool durable);        /* the transaction is over: tells, or forgets */
void sealing_end(Intake *i);                    /* a last time, in a transaction of its own */

/* settling.c */
void settling_add(Intake *i, Work *w);
void settling_barrier(Intake *i, const Feed_BARRIER_DONE *m);
void settlings_listed(Intake *i, const Feed *f, uint32_t request);
void settlings_again(Intake *i, const Feed *f, uint32_t request);
void settlings_led(Intake *i, const Feed *f, uint32_t request);
void settlings_advance(Intake *i);
void settlings_tick(Intake *i, int64_t now);
void settlings_lost(Intake *i, const Feed *f);
void settlings_free(Intake *i);

#endif
