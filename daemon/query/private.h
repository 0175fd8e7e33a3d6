/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_QUERY_PRIVATE_H
#define SCITRACE_DAEMON_QUERY_PRIVATE_H

/* private: what the .c files of daemon/query share. query.c: connection and calls; path.c: paths to nodes
 * and back; beneath.c: what happened in a directory; row.c: events as they are answered; events.c,
 * history.c, files.c, state.c: the questions.
 * May use: lib daemon/store.  May not use: anything else in daemon/. */

#include <stdatomic.h>

#include "daemon/query/query.h"
#include "daemon/store/prune.h"
#include "daemon/store/sql.h"
#include "daemon/store/store.h"
#include "daemon/store/trail.h"

#define EVENT_ROW                                                                                           \
        "SELECT e.seq, e.ago, e.span, ifnull(e.dataset, 0), e.what, e.node, e.parent, e.name, e.inode,"     \
        " e.lived, e.size, e.age, c.digest, e.target, e.rest, e.detail, a.type, a.mode, a.uid, a.gid"       \
        " FROM event AS e LEFT JOIN attr AS a ON a.id = e.attr LEFT JOIN content AS c ON c.id = e.content"

#define EVENT_SCAN                                                                                          \
        EVENT_ROW " WHERE e.seq > ?1 AND e.seq <= ?2"                                                       \
                  " AND (?3 = 0 OR e.dataset = ?3 OR (?7 AND e.kind IN (4, 5, 10)))"                        \
                  " AND (?4 >> e.kind) & 1 AND (?5 >> e.origin) & 1"

#define FILE_ROW(links)                                                                                     \
        "a.type, a.mode, a.uid, a.gid, n.size, n.mtime, " links ", c.digest, n.digest_source, n.target,"    \
        " ifnull(n.seq, 0), n.id"
/* Names that it had at seq ?4. */
#define LINKS_THEN                                                                                          \
        "(SELECT count(*) FROM link AS k WHERE k.node = n.id AND k.since <= ?4 AND (k.until = 0 OR"         \
        " k.until > ?4))"
#define FILE_ROW_THEN FILE_ROW(LINKS_THEN) ", ifnull(n.born, 0)"
#define FILE_JOINS " CROSS JOIN attr AS a ON a.id = n.attr LEFT JOIN content AS c ON c.id = n.content"

#define QUERY_STATEMENTS(X)                                                                                 \
        X(DATASETS, "SELECT id, uuid, name, root, kind, root_node, added, removed, head FROM dataset"       \
                    " WHERE id > ?1 ORDER BY id")                                                           \
        X(COUNTERS, "SELECT ifnull((SELECT files FROM counter WHERE dataset = ?1), 0), ifnull((SELECT"      \
                    " bytes FROM counter WHERE dataset = ?1), 0), (SELECT count(*) FROM gap WHERE"          \
                    " dataset = ?1 AND closed_by IS NULL)")                                                 \
        X(EVENT, EVENT_ROW " WHERE e.seq = ?1")                                                             \
        X(EVENTS_UP, EVENT_SCAN " ORDER BY e.seq LIMIT ?6")                                                 \
        X(EVENTS_DOWN, EVENT_SCAN " ORDER BY e.seq DESC LIMIT ?6")                                          \
        X(LAST_SEQ, "SELECT max(seq) FROM event")                                                           \
        X(BATCH, "SELECT b.first_seq, b.time, b.behind, o.uuid, ifnull((SELECT min(first_seq) FROM batch"   \
                 " WHERE first_seq > ?1) - 1, (SELECT max(seq) FROM event)) FROM batch AS b CROSS JOIN"     \
                 " boot AS o ON o.id = b.boot WHERE b.first_seq <= ?1 ORDER BY b.first_seq DESC LIMIT 1")   \
        X(COMMIT_BEFORE, "SELECT seq, detail FROM event WHERE dataset = ?1 AND kind = 22 AND seq < ?2"      \
                         " ORDER BY seq DESC LIMIT 1")                                                      \
        X(COMMIT_UNTIL, "SELECT ifnull((SELECT min(seq) FROM event WHERE dataset = ?1 AND kind = 22 AND"    \
                        " seq >= ?2), (SELECT max(seq) FROM event))")                                       \
        X(NODE_UP, "SELECT min(seq) FROM event WHERE node = ?1 AND inode IS NULL AND seq > ?2 AND seq <="   \
                   " ?3")                                                                                   \
        X(NODE_DOWN, "SELECT max(seq) FROM event WHERE node = ?1 AND inode IS NULL AND seq > ?2 AND seq"    \
                     " <= ?3")                                                                              \
        X(NODE_BORN, "SELECT born FROM node WHERE id = ?1")                                                 \
        X(NODE_SWAPPED, "SELECT max(l.since) FROM link AS l CROSS JOIN event AS e ON e.seq = l.since"       \
                        " WHERE l.node = ?1 AND l.since > ?2 AND l.since <= ?3 AND e.kind = 5 AND e.node"   \
                        " <> ?1")                                                                           \
        X(TRANSIENT_UP, "SELECT min(seq) FROM event WHERE kind = 8 AND parent = ?1 AND name = ?2 AND seq"   \
                        " > ?3 AND seq <= ?4")                                                              \
        X(TRANSIENT_DOWN, "SELECT max(seq) FROM event WHERE kind = 8 AND parent = ?1 AND name = ?2 AND"     \
                          " seq > ?3 AND seq <= ?4")                                                        \
        X(LINK_LEFT, "SELECT dataset FROM link WHERE parent = ?1 AND until = ?2 AND name = ?3")             \
        X(LINK_AT, "SELECT parent, name, max(since), until, (SELECT max(seq) FROM event) FROM link WHERE"   \
                   " node = ?1 AND since <= ?2")                                                            \
        X(LINK_OPEN, "SELECT l.node, l.since, 0, a.type FROM link AS l CROSS JOIN node AS n ON n.id ="      \
                     " l.node CROSS JOIN attr AS a ON a.id = n.attr WHERE l.parent = ?1 AND l.until = 0"    \
                     " AND l.name = ?2")                                                                    \
        X(LINK_CLOSED, "SELECT l.node, l.since, l.until, a.type FROM link AS l INDEXED BY link_closed"      \
                       " CROSS JOIN node AS n ON n.id = l.node CROSS JOIN attr AS a ON a.id = n.attr"       \
                       " WHERE l.parent = ?1 AND l.name = ?2 AND l.until > 0 AND l.until >= ?3 ORDER BY"    \
                       " l.until")                                                                          \
        X(LINK_NEWEST, "SELECT node, since, until FROM link INDEXED BY link_closed WHERE parent = ?1 AND"   \
                       " name = ?2 AND until > 0 AND until >= ?3 AND since <= ?4 ORDER BY until DESC"       \
                       " LIMIT 1")                                                                          \
        X(LINK_THEN, "SELECT node, since FROM link INDEXED BY link_closed WHERE parent = ?1 AND name = ?2"  \
                     " AND until > 0 AND until > ?3 ORDER BY until LIMIT 1")                                \
        X(FILES, "SELECT l.name, " FILE_ROW("n.links") " FROM link AS l CROSS JOIN node AS n ON n.id ="     \
                 " l.node" FILE_JOINS " WHERE l.parent = ?1 AND l.until = 0 AND l.name > ?2 ORDER BY"       \
                 " l.name LIMIT ?3")                                                                        \
        X(FILES_THEN, "SELECT l.name, " FILE_ROW_THEN " FROM link AS l CROSS JOIN node AS n ON n.id"        \
                      " = l.node" FILE_JOINS " WHERE l.parent = ?1 AND l.until = 0 AND l.name > ?2 AND"     \
                      " l.since <= ?4 UNION ALL SELECT l.name, " FILE_ROW_THEN " FROM link AS l"            \
                      " INDEXED BY link_closed CROSS JOIN node AS n ON n.id = l.node" FILE_JOINS            \
                      " WHERE l.parent = ?1 AND l.name > ?2 AND l.until > 0 AND l.until > ?4 AND"           \
                      " l.since <= ?4 ORDER BY 1 LIMIT ?3")                                                 \
        X(FILE, "SELECT x'', " FILE_ROW("n.links") " FROM node AS n" FILE_JOINS " WHERE n.id = ?1")         \
        X(FILE_THEN, "SELECT x'', " FILE_ROW_THEN " FROM node AS n" FILE_JOINS " WHERE n.id = ?1")          \
        X(NODE_BEFORE, EVENT_ROW " WHERE e.node = ?1 AND e.inode IS NULL AND e.seq <= ?2 ORDER BY e.seq"    \
                       " DESC LIMIT ?3")                                                                    \
        X(NODE_AFTER, EVENT_ROW " WHERE e.node = ?1 AND e.inode IS NULL AND e.seq > ?2 ORDER BY e.seq"      \
                      " LIMIT ?3")                                                                          \
        X(BATCH_SHADED, "SELECT first_seq, time FROM batch WHERE behind > 0 AND first_seq < ?1 ORDER BY"    \
                        " first_seq DESC LIMIT ?2")                                                         \
        X(SPAN_UP, "SELECT block FROM span WHERE dataset = ?1 AND block >= ?2 AND kinds & ?3 ORDER BY"      \
                   " block LIMIT 1")                                                                        \
        X(SPAN_DOWN, "SELECT block FROM span WHERE dataset = ?1 AND block <= ?2 AND kinds & ?3 ORDER BY"    \
                     " block DESC LIMIT 1")                                                                 \
        X(TRAIL, "SELECT directory, data FROM trail WHERE level = ?1 AND idx = ?2 AND directory <= ?3"      \
                 " ORDER BY directory DESC LIMIT 1")                                                        \
        X(NOTICED, "SELECT seq, ago FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")                       \
        X(ROOTS, "SELECT seq, kind, node FROM event WHERE dataset = ?1 AND kind BETWEEN 15 AND 17"          \
                 " AND seq <= ?2 ORDER BY seq DESC")                                                        \
        X(PRUNE_BEGUN, "SELECT result = 'begun' FROM care WHERE what = 'prune'")                            \
        X(PRUNABLE, "SELECT count(*) FROM event WHERE seq > ?1 AND seq <= ?2 AND " PRUNE_MAY_GO)            \
        X(PRUNED, "SELECT upto FROM care WHERE what = 'prune'")                                             \
        X(GAPS_OPEN, "SELECT node, cause FROM gap WHERE dataset = ?1 AND closed_by IS NULL")                \
        X(GAPS_THEN, "SELECT node, cause FROM gap WHERE dataset = ?1 AND since <= ?2 AND (until IS NULL"    \
                     " OR until > ?2)")                                                                     \
        X(GAPS, "SELECT id, node, cause, since, ifnull(until, 0), ifnull(closed_by, 0) FROM gap WHERE"      \
                " dataset = ?1")                                                                            \
        X(TOTALS, "SELECT (SELECT count(*) FROM dataset WHERE removed IS NULL), (SELECT max(seq) FROM"      \
                  " event), (SELECT count(*) FROM gap WHERE closed_by IS NULL AND dataset IN (SELECT id"   \
                  " FROM dataset WHERE removed IS NULL))")                                                  \
        X(PAGES, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")                  \
        X(FORM, "SELECT user_version FROM pragma_user_version")                                             \
        X(SERIES, "SELECT id, labels, unit FROM series WHERE name = ?1 AND labels >= ?2 AND id <> ?3"       \
                  " ORDER BY labels LIMIT 1")                                                               \
        X(CHUNKS, "SELECT since, until, points, data FROM chunk WHERE series = ?1 AND since > ?2 AND"       \
                  " since <= ?3 AND until >= ?4 ORDER BY since LIMIT ?5")

typedef enum QueryStatement {
#define QUERY_STATEMENT_ITEM(name, text) QUERY_SQL_##name,
        QUERY_STATEMENTS(QUERY_STATEMENT_ITEM)
        QUERY_STATEMENT_COUNT,
} QueryStatement;

enum {
        QUERY_STOPPED = 1000,           /* the caller's function wants no more rows */
        PATH_CACHE_SIZE = 1024,         /* directories; each with its path */
        SEGMENTS_MAX = 65536,           /* holders of one name that are kept in memory; 24 bytes each */
};

typedef struct Buffer {
        uint8_t *data;
        size_t size, max;
} Buffer;
/** buffer_add() - appends; 0 or -ENOMEM. An all-zero Buffer is empty. */
void buffer_done(Buffer *b);
int buffer_add(Buffer *b, const void *data, size_t size);

/* What a tile of table trail says of a directory. */
typedef struct Tile {
        int64_t directory, index;
        TrailSet set;
} Tile;

/* A dataset while a call lasts. */
typedef struct Dataset {
        int64_t id, root_node, added, removed;
        uint8_t id128[EVENT_ID_SIZE];
        char uuid[37];
        char *name;
        uint8_t *root;
        size_t root_size;
        DatasetKind kind;
        bool later;                     /* added after the moment that is asked about */
        char *head;                     /* NULL: none */
        int64_t commit_from, commit_to; /* events in (from, to] came after `commit` */
        char commit[65];
} Dataset;

/* The path of a directory in [from, to]; it stays true, since to is at most the newest event that was looked
 * at. */
typedef struct PathEntry {
        int64_t dataset, node, from, to;
        Buffer path;
} PathEntry;

typedef struct QueryBatch {
        int64_t first, last;            /* the seqs that it holds */
        int64_t time, greatest;         /* its own; of any batch so far */
        uint8_t boot[EVENT_ID_SIZE];
} QueryBatch;

enum { BATCHES = 16 };                  /* kept: events that are looked up one by one lie in few */

struct Query {
        Sql sql;
        char *path;
        int64_t deadline;               /* µs of CLOCK_MONOTONIC; 0: never */
        atomic_bool cancelled;
        bool released;                  /* by the row's callback: no statement has a row any more */

        Dataset **datasets;             /* each stays where it is until the next call begins */
        size_t n_datasets;

        QueryBatch batches[BATCHES];    /* those looked up last; `batch` is the last of all */
        QueryBatch *batch;
        size_t next_batch;

        PathEntry *paths;               /* PATH_CACHE_SIZE */
        Tile tiles[TRAIL_LEVELS];       /* of each level the last one that was read; directory 0: none */
        Buffer row_path, row_old_path, scratch;
        int64_t old_dataset;            /* to whose root row_old_path is relative */
};

/* query.c */
int call_begin(Query *q);               /* forgets what an earlier call left, and loads the datasets */
int call_end(Query *q, int r);          /* the answer of a call from the result of its work */
int call_check(Query *q);               /* -ECANCELED once the deadline has passed */
/** query_stmt() - ready to be bound. query_step() - 1: a row, 0: no more; negative errno. */
int query_stmt(Query *q, QueryStatement which, sqlite3_stmt **ret);
int query_step(Query *q, sqlite3_stmt *stmt);
/** query_row() - the first row of a statement that takes one number; as query_step(). The caller resets
 *  *ret, unless it is still what it was. */
int query_row(Query *q, QueryStatement which, int64_t argument, sqlite3_stmt **ret);
/** query_one() - the first column of a bound statement's first row, 0 when there is none or it is NULL. */
int query_one(Query *q, sqlite3_stmt *stmt, int64_t *ret);
/** last_seq() - of the newest event, 0: there is none. */
int last_seq(Query *q, int64_t *ret);
/** query_pruned() - events up to that one may be gone by policy; 0: none. */
int query_pruned(Query *q, int64_t *ret);
int query_datasets_load(Query *q);            /* those made since the last load */
Dataset *dataset_get(Query *q, int64_t id);
bool dataset_begins(const Query *q, int64_t node);      /* whether it is the root of one that is watched */
Dataset *query_dataset_find(Query *q, const char *name);      /* name or UUID; NULL: none */

/* moment.c */

/** moment_find() - the last seq as of usec: what was written by then, and what follows that in one piece and
 *  was noticed by then. Of a time that the clock showed twice, the later. 0: none.
 *  moment_bound() - a seq behind which no batch was written at or before usec. */
int moment_find(Query *q, int64_t usec, int64_t *ret);
int moment_bound(Query *q, int64_t usec, int64_t *ret);
/** moment_begin() - moment_find() for a question about the tree as it was: the datasets of the call become
 *  what they were. QUERY_E_TOO_EARLY, QUERY_E_PRUNED. */
int moment_begin(Query *q, int64_t usec, int64_t *ret);

/** Gaps: those of a dataset at a moment. */
typedef struct Gap {
        int64_t node;
        Cause cause;
} Gap;
typedef struct Gaps {
        Cause whole;                    /* one of all of it; CAUSE_NONE */
        Gap *rows;                      /* of subtrees, by node */
        size_t n, max;
} Gaps;
void moment_gaps_done(Gaps *g);
int moment_gaps(Query *q, const Dataset *d, int64_t usec, Gaps *ret);     /* usec 0: the open ones */
/** moment_gap_at() - the cause of one that begins at the node; CAUSE_NONE. */
Cause moment_gap_at(const Gaps *g, int64_t node);

/* past.c */

/** Past: a node as it was. An all-zero struct is empty, and one can be filled again. */
typedef struct Past {
        int64_t seq;                    /* its last event */
        Type type;
        uint32_t mode, uid, gid;
        int64_t size, mtime;
        bool has_digest, has_target;
        uint8_t digest[EVENT_DIGEST_SIZE];
        DigestSource digest_source;
        Buffer target;
} Past;
void past_done(Past *p);
/** past_find() - as of an event. born: the event that introduced the node, or 0. wants_target: it may have
 *  had one. A digest that was only learned later is taken where nothing says that the content was another by
 *  then. */
int past_find(Query *q, int64_t node, int64_t born, bool wants_target, int64_t seq, Past *ret);

/* path.c */

/** Segment: a node held a name from one seq to another, both included. */
typedef struct Segment {
        int64_t node, from, to;
        bool directory;
} Segment;

/** Place: an absolute path taken apart. */
typedef struct Place {
        Dataset *dataset;
        Buffer path;                    /* relative, without empty components */
} Place;
void place_done(Place *p);
int place_find(Query *q, Bytes path, Place *ret);       /* 0, QUERY_E_NO_DATASET, negative errno */

/** place_node() - the node that had the path as of an event (seq 0: has it now), and a gap that lay over it;
 *  QUERY_E_NO_FILE. */
int place_node(Query *q, const Place *p, int64_t seq, const Gaps *gaps, int64_t *ret, Cause *ret_gap);

/** Holders: who held a path, oldest first, and who were the directories in which its last
 *  component stood. */
typedef struct Holders {
        Segment *parents, *nodes;
        size_t n_parents, n_nodes;
        Bytes name;                     /* last component; borrowed from the place */
} Holders;
void holders_done(Holders *h);
/** holders_find() - p is not the root. -E2BIG: more than SEGMENTS_MAX. */
int holders_find(Query *q, const Place *p, Holders *ret);
/** holders_newest() - the last holder alone, however many there were. QUERY_E_NO_FILE. */
int holders_newest(Query *q, const Place *p, Segment *ret);

/** path_at() - the path that a node had as of an event, appended to ret: relative to the dataset's root. */
int path_at(Query *q, int64_t dataset, int64_t node, int64_t seq, Buffer *ret);

/* beneath.c */

/** beneath_next() - the event in (lo, hi] that comes first in the direction beneath a directory, as the tree
 *  was then; *ret 0: none. newest: the newest event when the question began. */
int beneath_next(Query *q, bool down, int64_t directory, int64_t newest, int64_t lo, int64_t hi,
                 int64_t *ret);

/* row.c */

/** row_event() - the event of a row of EVENT_ROW, with its times and boot. */
int row_event(Query *q, sqlite3_stmt *stmt, Event *ret);
/** row_complete() - its dataset and paths, in q's buffers; q->old_dataset: the one of the old path.
 *  row_commit() - the HEAD before it. */
int row_complete(Query *q, const Event *e, QueryEvent *ret);
int row_commit(Query *q, QueryEvent *e);
/** commit_before() - the HEAD of d that was recorded last before seq, NULL: none; d's until the next. */
int commit_before(Query *q, Dataset *d, int64_t seq, const char **ret);
int batch_find(Query *q, int64_t seq);  /* makes q->batch that of seq */

#endif
