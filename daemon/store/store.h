/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_STORE_H
#define SCITRACE_DAEMON_STORE_STORE_H

/* store: keeps events for ever, in order, durably; projections of them (node, link, gap, counter) in the
 * same transaction. One writer: all of this runs on the store thread, but for store_open() and
 * store_close().
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/store/event.h"

typedef struct Store Store;

enum {                                  /* in the header of the database */
        STORE_APPLICATION_ID = 0x73636974,      /* "scit" */
        STORE_FORM = 2,                 /* user_version: the form of the schema */
        STORE_FORM_FIRST = 1,           /* the oldest that is brought to it */
};

/* Table span: in which blocks of STORE_SPAN events a dataset has some. Four numbers are no datasets. */
enum {
        STORE_SPAN = 1024,
        STORE_SPAN_ALL = 0,             /* all events, those of no dataset too */
        STORE_SPAN_CROSSED = -1,        /* a name came from another dataset than the event is filed under */
        STORE_SPAN_DEEP = -2,           /* beneath more directories than TRAIL_DEPTH (trail.h) */
        STORE_SPAN_LATE = -3,           /* last noticed STORE_LATE_USEC or more before their batch was */
};
#define STORE_LATE_USEC (60 * (int64_t) USEC_PER_SEC)

enum {                                  /* named outcomes */
        STORE_E_LOCKED = 1,             /* store_open: another process holds it */
        STORE_E_NEWER,                  /* store_open: made by a newer scitrace */
        STORE_E_OLDER,                  /* store_open: made by a pre-release; start a new store */
        STORE_E_NO_ROOM,                /* store_open: it is of an older form, and there is no space, twice
                                         * its size, to bring it to this one */
        STORE_E_FOREIGN,                /* store_open: not a scitrace store */
        STORE_E_FULL,                   /* store_commit: no space (or quota); nothing was kept */
        STORE_E_FAILED,                 /* store_commit: no success; it may or may not be durable: close,
                                         * open anew, compare */
        STORE_E_NONE,                   /* store_*_find: there is no such row */
};

/** store_open() - opens or makes DIR/scitrace.db (vfs unix-excl, WAL, synchronous=FULL; design notes in
 *  store.c) and applies the schema. The writer must be opened before any reader. DIR is made when missing
 *  (its parent is not); one that is not the caller's, or that others may enter, is -EPERM. A closed
 *  descriptor 0, 1 or 2 gets /dev/null. A store of an older form is copied to scitrace.db-form-N first, and
 *  brought to this one in one transaction. 0, STORE_E_*, or negative errno. */
int store_open(const char *dir, Store **ret);
/** store_migrated_from() - the form that it had before store_open(); 0: this one. */
int64_t store_migrated_from(const Store *s);
Store *store_close(Store *s);
static inline void store_closep(Store **s) {
        store_close(*s);
}
/** store_lost() - > 0: the log that was here had so many events, and this one, which was opened, is not its
 *  continuation: an older copy, or another store, was put in its place, or the disk lost what it had said
 *  was durable. Known by the file STORE_WITNESS and, after store_reopen(), by what was acknowledged. */
#define STORE_WITNESS "scitrace.sealed" /* in the state folder: the newest checkpoint, a note */
int64_t store_lost(const Store *s);

/** store_is_gone() - the database's file was removed, renamed or replaced: no commit succeeds.
 *  store_reopen() - after STORE_E_FAILED: if it is gone, all that is committed is saved in its place, and
 *  what lies there now is kept as scitrace.db-found-N; then the database is opened anew, what it has is made
 *  durable, and is compared with what was acknowledged (store_lost()). Returns as store_open() does; after
 *  another result than 0 it may be called again, and transactions may or may not begin. Not within one. */
bool store_is_gone(Store *s);
int store_reopen(Store *s);

/** store_path() - the database's path; store_dir() - the folder that it is in; owned by s. */
const char *store_path(const Store *s);
const char *store_dir(const Store *s);

/* Transactions. Everything below happens between begin and commit. */

/** store_begin() - starts a transaction and its batch row. realtime: µs of CLOCK_REALTIME; boottime: µs of
 *  CLOCK_BOOTTIME; boot: boot id. */
int store_begin(Store *s, int64_t realtime, int64_t boottime, const uint8_t boot[EVENT_ID_SIZE]);
/** store_commit() - 0, STORE_E_FULL, STORE_E_FAILED (also when the database was unlinked or replaced, or
 *  when a write of this transaction had failed). Whatever it returns, no transaction is open afterwards. */
int store_commit(Store *s);
/** store_rollback() - forgets the transaction, if one is open. */
void store_rollback(Store *s);

/** store_append() - gives the event the next seq (also in *ret_seq, which may be NULL), its boot and
 *  dataset_uuid, and applies it to the projections:
 *  create, link          opens the link (parent, name) -> node; introduces: makes the node row (id e->node,
 *                        which must be store_next_node())
 *  modify, attribute,    the node's state; modify with another node than the name's link: closes that link,
 *  identify              opens the new one. identify: only the digest
 *  rename                closes (old_parent, old_name), what (parent, name) held; opens (parent, name)
 *  exchange              node goes to (parent, name); the node that was there goes to (old_parent, old_name)
 *  unlink                closes (parent, name)
 *  gap-open, gap-close   opens / closes a gap row
 *  dataset-add, -remove  dataset's state and name (the row itself: store_dataset_add()); whether dataset-add
 *                        introduces its root is found here
 *  dataset-move          dataset's name, path and root node
 *  rehome                the open names beneath node belong to the event's dataset now
 *  commit                the dataset's HEAD
 *  others                nothing
 *  Whatever is said here of all names beneath a directory ends at the root of another dataset that is
 *  watched: what is beneath that belongs to it, and goes, stays and is counted with it alone.
 *  A name that is closed while its node is a directory and does not move closes all names beneath it: one
 *  unlink is enough for a tree that went away. A directory that moves takes its names along, into another
 *  dataset too. Closing a name that is not open, or opening one that has the node already, does nothing;
 *  opening one that holds another node closes that first. A directory has one open link at most, and is
 *  never beneath itself: when the record, being late, puts it there, the link in between is closed and waits
 *  to be found elsewhere. Content: a digest is the node's content from here on; without one, modify, or a
 *  new size or mtime with another kind than attribute, leaves a file's content unknown and wanted.
 *  Counters of the dataset (files, bytes: links to regular files and their sizes) follow in the same
 *  transaction. 0, STORE_E_FULL, -EINVAL (no such node, kind, dataset, ...: nothing was written), other
 *  negative errno. After STORE_E_FULL or another errno than -EINVAL the transaction cannot
 *  be committed any more. */
int store_append(Store *s, Event *e, int64_t *ret_seq);
/** store_append_new() - the same for a create that introduces a node, where the caller knows that no node
 *  had that name in parent before, and none has that identity; ctime: as store_node_seen() takes it.
 *  store_append_digest() - the same for an identify of a node that store_node_known() tells of.
 *  Such events may be written together, with the next of another kind or the commit. */
int store_append_new(Store *s, Event *e, int64_t ctime, int64_t *ret_seq);
int store_append_digest(Store *s, Event *e, int64_t ctime, int64_t *ret_seq);
/** store_silent() - grows whenever an event closed names beyond those that it tells of. */
int64_t store_silent(const Store *s);

/** store_last_seq() - seq of the newest appended event, 0 for none.
 *  store_next_node() - the id for a new node. */
int64_t store_last_seq(const Store *s);
/** store_rest() - after much work, outside of a transaction: lets go of pages that it keeps in memory. */
void store_rest(Store *s);
int64_t store_next_node(Store *s);

/* Rows that intake asks about. Bytes in them are copies inside the struct's own buffers, freed by _done. */

typedef struct StoreNode {
        int64_t id;
        int64_t filesystem;
        uint64_t inode;
        int64_t btime;
        Type type;
        int64_t size;
        uint32_t mode, uid, gid;
        int64_t mtime;
        int64_t ctime;                  /* a cache of the ctime last seen, ns; not part of the record.
                                         * Negative: its content is known if no notice was lost */
        bool has_digest;
        uint8_t digest[EVENT_DIGEST_SIZE];
        DigestSource digest_source;
        uint8_t *target;                /* symbolic links; malloc'd */
        size_t target_size;
        int64_t seq;                    /* its last event */
        int64_t links;                  /* open links */
        bool wanted;                    /* a digest is still to be read */
} StoreNode;
void store_node_done(StoreNode *n);     /* an all-zero struct is fine */

/** store_node_get() - 0, STORE_E_NONE, negative errno. */
int store_node_get(Store *s, int64_t node, StoreNode *ret);
/** store_node_find() - the node with that identity; the newest when several had it. */
int store_node_find(Store *s, int64_t filesystem, uint64_t inode, int64_t btime, StoreNode *ret);
/** store_identity_is_new() - whether surely no node ever had that identity; false: perhaps. Costs memory
 *  (8 MiB at most) until store_identities_forget(). */
bool store_identity_is_new(Store *s, int64_t filesystem, uint64_t inode, int64_t btime);
void store_identities_forget(Store *s);
/** store_is_new() - whether surely no node ever had that identity, and none that name in parent: then
 *  store_append_new() may make it one. It costs a third of asking for both. false: perhaps. */
bool store_is_new(Store *s, int64_t filesystem, uint64_t inode, int64_t btime, int64_t parent, Bytes name);
/** store_node_of_inode() - the node that had that inode number last. */
int store_node_of_inode(Store *s, int64_t filesystem, uint64_t inode, StoreNode *ret);
/** store_node_seen() - remembers the ctime last seen of a node (a cache; no event). */
int store_node_seen(Store *s, int64_t node, int64_t ctime);
/** store_node_identity() - the node was found again under another identity, which no other node has then. No
 *  event: what a node is recognised by is no part of the record. */
int store_node_identity(Store *s, int64_t node, int64_t filesystem, uint64_t inode, int64_t btime,
                        int64_t ctime);
/** store_node_want() - marks that the node's digest is (not) still to be read. New regular files created
 *  without a digest are wanted from the start, as are those whose content changed (store_append()); an event
 *  with a digest ends it. */
int store_node_want(Store *s, int64_t node, bool wanted);

typedef struct StoreLink {
        int64_t dataset;
        int64_t parent;
        uint8_t name[256];
        size_t name_size;
        int64_t node;
        int64_t since, until;           /* seq; until 0 while open */
        Type type;                      /* of the node */
} StoreLink;

/** store_let_go() - a name that the last event closed since, by what is recorded, a directory would be
 *  beneath itself: the name may be there still. Parent and name alone. 1 once for each, or 0. */
int store_let_go(Store *s, StoreLink *ret);

/** store_link_find() - the open link of a name. store_link_closed() - the newest one that is closed.
 *  store_link_last() - the newest one, open or closed. */
int store_link_find(Store *s, int64_t parent, Bytes name, StoreLink *ret);
int store_link_closed(Store *s, int64_t parent, Bytes name, StoreLink *ret);
int store_link_last(Store *s, int64_t parent, Bytes name, StoreLink *ret);
/** store_links() - open links whose parent is `parent`, in the order of their names, those after `after`
 *  (BYTES_NONE: from the start), at most max. Returns their number or negative errno. */
int store_links(Store *s, int64_t parent, Bytes after, StoreLink *ret, int max);
/** store_links_of_node() - open links to a node, at most max. Returns their number or negative errno. */
int store_links_of_node(Store *s, int64_t node, StoreLink *ret, int max);

typedef struct StoreWanted {
        StoreLink link;                 /* one of its open links; but not since when: no index has that */
        uint64_t inode;
        int64_t btime, size;
} StoreWanted;
/** store_wanted() - nodes with id > after whose digest is wanted and that have an open link, in the order of
 *  their ids, at most max. In a transaction. Number or negative errno. */
int store_wanted(Store *s, int64_t after, StoreWanted *ret, int max);
/** store_node_known() - such a node, without content and target, as store_wanted() told it by that name, if
 *  surely neither it nor any name of it has changed since; STORE_E_NONE: look for yourself. All but ctime,
 *  seq and links; nothing to free. */
int store_node_known(const Store *s, int64_t node, int64_t parent, Bytes name, StoreNode *ret);
/** store_wanted_count() - how many there are. */
int64_t store_wanted_count(const Store *s);

typedef struct StoreDataset {
        int64_t id;
        uint8_t uuid[EVENT_ID_SIZE];
        char *name;
        uint8_t *root;                  /* absolute path, bytes, NUL-terminated */
        size_t root_size;
        DatasetKind kind;
        int64_t filesystem;
        int64_t root_node;
        bool removed;
        int64_t covered_until;          /* µs; 0: never */
        int64_t added_seq;
        char commit[65];                /* HEAD last recorded, or "" */
} StoreDataset;
void store_dataset_done(StoreDataset *d);
typedef int (*StoreDatasetFn)(void *userdata, const StoreDataset *d);   /* non-zero stops and is returned */

/** store_dataset_add() - makes the dataset row of d's uuid, name, root, kind and filesystem, and its root's
 *  node row when no node has that identity; the dataset-add event (node: the root) is the caller's next
 *  append. Fills d->id and d->root_node. -EEXIST: the uuid, or the name of a dataset that is not removed. To
 *  resume a removed dataset, append a dataset-add event with its id. */
int store_dataset_add(Store *s, StoreDataset *d, uint64_t root_inode, int64_t root_btime);
/** store_datasets() - all, removed ones too; d is the callback's only until it returns. */
int store_datasets(Store *s, StoreDatasetFn fn, void *userdata);
/** store_dataset_covered() - changes were seen until usec (µs). store_dataset_kind() - it is of that kind
 *  now. store_dataset_filesystem() - new nodes of it are on that one from now on. None is an event. */
int store_dataset_covered(Store *s, int64_t dataset, int64_t usec);
int store_dataset_kind(Store *s, int64_t dataset, DatasetKind kind);
int store_dataset_filesystem(Store *s, int64_t dataset, int64_t filesystem);

/** store_filesystem() - row id of the file system with that identity, made when new.
 *  uuid: 16 bytes or NULL. */
int store_filesystem(Store *s, const uint8_t *uuid, const char *type, uint64_t root_inode,
                     int64_t root_btime, int64_t *ret);

typedef struct StoreGap {
        int64_t id;                     /* seq of its gap-open */
        int64_t dataset;
        int64_t node;                   /* subtree (or file); 0: all of the dataset */
        Cause cause;
        int64_t from;                   /* µs */
} StoreGap;
typedef int (*StoreGapFn)(void *userdata, const StoreGap *g);
/** store_gaps() - open gaps. */
int store_gaps(Store *s, StoreGapFn fn, void *userdata);

/** store_run_start() - says whether the run before this one ended cleanly, and notes that a run is on.
 *  store_run_end() - notes a clean end. Each in a transaction of its own. */
int store_run_start(Store *s, bool *ret_clean, bool *ret_first);
int store_run_end(Store *s);

/* Metrics history: chunks of encoded points (daemon/metrics gives the bytes). */

/** store_series() - row id of a series, made when new. labels: a canonical text "k=v,k=v". */
int store_series(Store *s, const char *name, const char *labels, const char *unit, int64_t *ret);
/** store_chunk_put() - inserts or replaces the chunk of a series that starts at `from` (µs). */
int store_chunk_put(Store *s, int64_t series, int64_t from, int64_t until, int points, Bytes data);

/* The log is a Merkle tree (docs/FORMATS.md, "Seals"): store_append() adds the leaves. */

typedef struct StoreSeal {
        int64_t number, size;           /* of the checkpoint: the how-manyth, over so many events */
        char origin[101], root[45];
        char *note;                     /* malloc'd */
        bool key_lost;                  /* the key that the log names was not there: another begins anew */
} StoreSeal;
void store_seal_done(StoreSeal *seal);

/** store_seal() - signs the log as it is, this transaction's events included; tell nobody before its commit.
 *  The first time, and each week, a key takes over, which is an event: so is the end of a transaction the
 *  time for it. 0; negative errno: the transaction can be committed, but is not sealed (its key cannot be
 *  read or written, or -EBADMSG: what is stored differs from what was appended), or, where the store
 *  refused, not even that.
 *  store_seal_due() - there are events since the last one, or a day has passed since. */
int store_seal(Store *s, StoreSeal *ret);
bool store_seal_due(const Store *s, int64_t realtime);

/* Care. */

#define STORE_CARE_BACKUP "backup"
#define STORE_CARE_MAINTAIN "maintain"
#define STORE_CARE_PRUNE "prune"
#define STORE_CARE_VERIFY "verify"

/** store_care() - notes beside the record that one of these was done now, and with what result (a word). In
 *  a transaction. */
int store_care(Store *s, const char *what, const char *result);

/** store_clock() - what the record shows of the clock. store_doubt() - notes beside it whether the clock is
 *  doubted, the time that counts instead, and for how long it has been. In a transaction. */
typedef struct StoreClock {
        int64_t time, boottime;         /* as store_begin() had them, of the newest event; 0: none */
        uint8_t boot[EVENT_ID_SIZE];
        int64_t sealed;                 /* time of the newest checkpoint; 0: there is none */
        bool doubted;
        int64_t trusted, stood;
} StoreClock;
int store_clock(Store *s, StoreClock *ret);
int store_doubt(Store *s, bool doubted, int64_t trusted, int64_t stood);

/** StoreStep: long care goes in steps, between which what happens is recorded. */
typedef enum StoreStep {
        STORE_STEP_ANALYZE,             /* statistics for SQLite's planner; one step */
        STORE_STEP_VACUUM,              /* gives free pages back to the file system; bytes */
        STORE_STEP_CHECKPOINT,          /* empties the log of changes (-wal); bytes; one step, not in a
                                         * transaction */
        STORE_STEP_PRUNE,               /* argument: an event, a multiple of 256 and sealed. The log says
                                         * that those up to it may be gone, but for what is still true
                                         * (prune.h); seal it in the same transaction. -EINVAL: not such a
                                         * number. Then, in this run: */
        STORE_STEP_PRUNE_EVENTS,        /* they go; done: how many; left: to be looked at */
        STORE_STEP_PRUNE_NODES,         /* so do nodes that were gone by then, with their names */
        STORE_STEP_PRUNE_BATCHES,       /* and when those events were */
        STORE_STEP_PRUNE_CONTENTS,      /* and contents that no event and no node has any more; all events
                                         * are read once for that, and a bit a content is kept in memory */
        STORE_STEP_THIN,                /* checkpoints of more than a week ago, but for the last of each day;
                                         * the log says so in the first step */
} StoreStep;

/** store_step() - one step, of some milliseconds, in a transaction unless StoreStep says otherwise.
 *  *ret_done: what it did, *ret_left: what is left to do, in the same unit; 0: that was the last one. */
int store_step(Store *s, StoreStep step, int64_t argument, int64_t *ret_done, int64_t *ret_left);

/** store_backup() - copies a snapshot into fd (a regular file, writable): made from the writer's connection
 *  into a private file beside the store, verified (integrity_check), then copied.
 *  Not within a transaction. */
int store_backup(Store *s, int fd, int64_t *ret_bytes, int64_t *ret_seq);

#endif
