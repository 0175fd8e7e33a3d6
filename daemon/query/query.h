/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_QUERY_QUERY_H
#define SCITRACE_DAEMON_QUERY_QUERY_H

/* query: answers from the store, read-only. A Query is one connection, for one thread. Rows come by
 * callback; statements are run in keyset pages of at most QUERY_PAGE rows, so that no reader holds a
 * snapshot for long. A callback that has to wait (for a slow client) calls query_release() first. A callback
 * makes no other call of the same Query than query_release() and query_deadline(). What a row borrows is
 * gone when its callback returns.
 * May use: lib daemon/store.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/store/event.h"
#include "daemon/store/verify.h"

typedef struct Query Query;

enum {
        QUERY_PAGE = 512,
        QUERY_E_DEADLINE = 1,           /* ran past the deadline */
        QUERY_E_NO_DATASET,             /* no dataset of that name, or none holds that path */
        QUERY_E_NO_FILE,                /* the dataset holds no such name now */
        QUERY_E_NO_SERIES,
        QUERY_E_NO_EVENT,
        QUERY_E_UNSEALED,               /* no checkpoint covers the event yet */
        QUERY_E_PRUNED,                 /* what tells of that time was pruned by policy */
        QUERY_E_TOO_EARLY,              /* the record, or that of the dataset, begins later */
};

/** query_open() - a read-only connection to the store that this process has open for writing (path as
 *  store_path() says), or to a private copy that nobody writes (offline). 0, -EMEDIUMTYPE (not a store, or
 *  one of another form), -EBUSY (another process has it), other negative errno. */
int query_open(const char *path, bool offline, Query **ret);
Query *query_close(Query *q);
/** query_is_stale() - its database is not the one at its path any more: close it, and open another. */
bool query_is_stale(const Query *q);
/** query_deadline() - the next call, or within a callback the running one, ends with QUERY_E_DEADLINE after
 *  usec from now; 0: never. */
void query_deadline(Query *q, int64_t usec);
/** query_cancel() - from another thread: ends the running call with QUERY_E_DEADLINE. */
void query_cancel(Query *q);
/** query_release() - within a callback: gives up the snapshot, so that the store's log can shrink while the
 *  callback waits. What the row borrows is gone; the call goes on behind that row,
 *  with what is recorded by then. */
void query_release(Query *q);

typedef struct QueryEvent {
        Event event;                    /* borrowed until the callback returns */
        const char *dataset;            /* name */
        Bytes path;                     /* relative to the root, as it was at that seq; of an event without
                                         * a name that of its node; BYTES_NONE: neither, or the root */
        Bytes old_path;                 /* relative to the root of the dataset that it was in */
        const char *old_dataset;        /* its name, when it is another one; else NULL */
        const char *commit;             /* the HEAD last recorded before it; NULL: none */
} QueryEvent;
/** Non-zero stops, and the call returns 0. */
typedef int (*QueryEventFn)(void *userdata, const QueryEvent *e);

typedef struct QueryEvents {
        const char *dataset;            /* name or UUID; NULL: all */
        const Bytes *paths;             /* absolute; events at or beneath one of them */
        size_t n_paths;
        uint32_t kinds, origins;        /* bit 1 << number; 0: all */
        int64_t since, until;           /* µs, inclusive; 0: open */
        int64_t as_of;                  /* µs; the log as it was then; 0: now */
        int64_t after, before;          /* seq, exclusive; 0: open */
        int64_t limit;                  /* 0: none */
        bool reverse;                   /* newest first */
} QueryEvents;

/** query_events() - 0, QUERY_E_DEADLINE, QUERY_E_NO_DATASET. An event is at a path when that is its path or
 *  its old path, beneath one when that begins with it: names as they were right after the event, while
 *  something held them. It comes by index, that of a dataset's root by reading the events of the dataset. */
int query_events(Query *q, const QueryEvents *filter, QueryEventFn fn, void *userdata);
/** query_history() - the events of a file, newest first: backwards through its node's names (renames,
 *  links), and through `replaces` of modify and create events, where the name stayed the same. A name that
 *  is gone: from its last node. QUERY_E_NO_DATASET, QUERY_E_NO_FILE (never recorded). */
int query_history(Query *q, Bytes path, int64_t limit, QueryEventFn fn, void *userdata);

typedef struct QueryFile {
        const char *dataset;
        Bytes path;                     /* relative to the root */
        Type type;
        int64_t size;
        uint32_t mode, uid, gid;
        int64_t mtime;
        int64_t links;
        Bytes digest;
        DigestSource digest_source;
        Bytes target;                   /* of a file: the key that it points to */
        int64_t seq;
        int64_t node;
        const char *commit;             /* HEAD of the dataset, unless its kind is plain */
        Cause gap;                      /* of a gap that lay over it: it may have been otherwise; or none */
} QueryFile;
typedef int (*QueryFileFn)(void *userdata, const QueryFile *f);

/** query_files() - what is recorded in a dataset (name or UUID; directory BYTES_NONE) or at or beneath
 *  an absolute path. Depth first, names in byte order. The root itself is not listed. QUERY_E_NO_DATASET
 *  (also when neither is given), QUERY_E_NO_FILE, QUERY_E_DEADLINE.
 *  query_show() - the one row of a path; that of the root has the path ".".
 *  as_of: µs; the tree as it was then: with all that was noticed by then, as far as it was stored in one
 *  piece, and the digests that were learned of it since. Paths are relative to where the dataset's root is
 *  now; of a time that the clock showed twice, the later counts. 0: now. QUERY_E_TOO_EARLY, _PRUNED. */
int query_files(Query *q, const char *dataset, Bytes directory, int64_t as_of, int64_t limit, QueryFileFn fn,
                void *userdata);
int query_show(Query *q, Bytes path, int64_t as_of, QueryFileFn fn, void *userdata);

typedef struct QueryDataset {
        int64_t id;
        const char *name;
        char uuid[37];
        Bytes root;
        DatasetKind kind;
        bool removed;
        int64_t files, bytes;           /* counters, not counted anew */
        int64_t gaps_open;
        const char *commit;
} QueryDataset;
typedef int (*QueryDatasetFn)(void *userdata, const QueryDataset *d);
/** query_datasets() - one by name or UUID (QUERY_E_NO_DATASET), removed or not; or, name NULL, each that is
 *  not removed, or all. */
int query_datasets(Query *q, const char *name, bool all, QueryDatasetFn fn, void *userdata);

typedef struct QueryStretch {
        int64_t from, until;            /* µs; until 0 while it lasts */
        bool gap;
        Cause cause;
        Bytes path;                     /* of a gap: relative, "." for all */
        int64_t closed_by;              /* seq; 0 while open */
} QueryStretch;
typedef int (*QueryStretchFn)(void *userdata, const QueryStretch *s);
/** query_coverage() - from the dataset's add (until its removal): covered stretches between the gaps of the
 *  whole dataset, each gap as a row (those of subtrees too), by `from`. */
int query_coverage(Query *q, const char *dataset, QueryStretchFn fn, void *userdata);

typedef struct QueryTotals {
        int64_t datasets, events, gaps_open, store_bytes, wal_bytes;
        int schema;
} QueryTotals;
/** query_totals() - sums over all datasets, and how large the store is. */
int query_totals(Query *q, QueryTotals *ret);

typedef struct QueryCare {              /* what was last done for the store itself */
        const char *what, *result;
        int64_t time, seq;
} QueryCare;
typedef int (*QueryCareFn)(void *userdata, const QueryCare *c);

typedef struct QueryTree {              /* a table, or an index of one */
        const char *name, *table;
        bool index;
        int64_t bytes, unused;
        int64_t rows;
        bool whole;                     /* false: time ran out, there is more of it than that */
} QueryTree;
typedef int (*QueryTreeFn)(void *userdata, const QueryTree *t);

typedef struct QueryStore {
        int64_t page_size, free_bytes;
        bool shrinks;                   /* free pages can be given back (incremental vacuum) */
} QueryStore;
typedef struct QueryPrunable {
        int64_t pruned;                 /* events up to this one have been */
        bool unfinished;                /* ... but for what was left when that ended in the middle */
        int64_t upto;                   /* they may be; as pruned: there is nothing more to do */
        int64_t events;                 /* that would go; counted when asked for */
} QueryPrunable;
/** query_prunable() - what was stored before that time (µs), in whole tiles. */
int query_prunable(Query *q, int64_t before, bool counted, QueryPrunable *ret);
/** query_store() - of the database file. query_cares() - in the order of their names.
 *  query_trees() - walks the pages of every table and index, for usec at most; the largest come last. A
 *  snapshot lasts as long as one of them takes. */
int query_store(Query *q, QueryStore *ret);
int query_cares(Query *q, QueryCareFn fn, void *userdata);
int query_trees(Query *q, int64_t usec, QueryTreeFn fn, void *userdata);

typedef struct QueryChunk {
        const char *name, *labels, *unit;
        int64_t from, until;
        int points;
        Bytes data;
} QueryChunk;
typedef int (*QueryChunkFn)(void *userdata, const QueryChunk *c);
/** query_chunks() - stored chunks of all series called name that touch [since, until], by labels,
 *  then time. */
int query_chunks(Query *q, const char *name, int64_t since, int64_t until, QueryChunkFn fn, void *userdata);

/** query_verify() - verify_run(). query_prove() - proof_make(): QUERY_E_NO_EVENT, QUERY_E_UNSEALED,
 *  -EBADMSG.
 *  query_keys() - keys_make(). Texts are malloc'd. */
int query_verify(Query *q, const Verify *v, VerifyResult *ret);
int query_prove(Query *q, int64_t seq, char **ret);
int query_keys(Query *q, char **ret);

#endif
