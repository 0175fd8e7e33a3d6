/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_PRIVATE_H
#define SCITRACE_DAEMON_STORE_PRIVATE_H

/* private: what the .c files of daemon/store share. store.c: open, transactions; attr.c: the dictionary of
 * attr rows; append.c: event rows; bulk.c: those that come in thousands, in one go; array.c: arrays that a
 * statement reads; identities.c: whether a node may be known; known.c: nodes that are as they were told;
 * wanted.c: those whose digest is to be read; mark.c: what happened beneath a directory; project.c: their
 * projections; roots.c: where a dataset begins; rows.c: what intake asks; place.c: datasets, file systems,
 * gaps, series; backup.c; leaves.c: the events as leaves of a tree; seal.c: its checkpoints and keys;
 * witness.c: how far it was; rescue.c: a database that was taken away; migrate.c: from an older form;
 * care.c: what keeps the database in shape; prune.c: old rows go; contents.c: so do contents that nothing
 * names.
 * May use: lib.  May not use: anything else in daemon/. */

#include "daemon/store/digests.h"
#include "daemon/store/note.h"
#include "daemon/store/prune.h"
#include "daemon/store/reader.h"
#include "daemon/store/sql.h"
#include "daemon/store/store.h"
#include "daemon/store/trail.h"
#include "lib/embed.h"

#define STORE_STATEMENTS(X)                                                                                 \
        X(BOOT_ADD, "INSERT INTO boot(uuid) VALUES (?1) ON CONFLICT DO NOTHING")                            \
        X(BATCH_ADD, "INSERT INTO batch SELECT ?1, ?2, boot.id, ?4, max(0, ifnull((SELECT time + behind"    \
                     " FROM batch ORDER BY first_seq DESC LIMIT 1), ?2) - ?2) FROM boot WHERE uuid = ?3")   \
        X(ATTR_ALL, "SELECT id, type, mode, uid, gid FROM attr ORDER BY id")                                \
        X(ATTR_ADD, "INSERT INTO attr VALUES (?1, ?2, ?3, ?4, ?5)")                                         \
        X(CONTENT_ADD, "INSERT INTO content VALUES (?1, ?2, ?3)")                                           \
        X(EVENT_ADD, "INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"    \
                     " ?14, ?15, ?16, ?17)")                                                                \
        X(NODE_ADD, "INSERT INTO node(id, filesystem, inode, btime, born, seq, attr, size, mtime,"          \
                    " content, digest_source, links, wanted, target) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"   \
                    " ?8, ?9, ?10, ?11, ?12, ?13, ?14)")                                                    \
        X(NODE_STATE, "SELECT attr, size, mtime, content, digest_source, links, wanted, born, inode,"       \
                      " btime FROM node WHERE id = ?1")                                                     \
        X(NODE_SET, "UPDATE node SET seq = ?2, attr = ?3, size = ?4, mtime = ?5, content = ?6,"             \
                    " digest_source = ?7, links = ?8, wanted = ?9, target = ifnull(?10, target), born ="    \
                    " ?11 WHERE id = ?1")                                                                   \
        X(NODE_LINKS, "UPDATE node SET links = links + ?2 WHERE id = ?1 RETURNING wanted, links")           \
        X(NODE_SEEN, "UPDATE node SET ctime = ?2 WHERE id = ?1")                                            \
        X(NODE_WANT, "UPDATE node SET wanted = ?2 WHERE id = ?1 AND wanted <> ?2 RETURNING links")          \
        X(NODE_RETIRE, "UPDATE node SET inode = 0, btime = 0 WHERE filesystem = ?1 AND inode = ?2 AND"      \
                       " btime = ?3 AND id <> ?4")                                                          \
        X(NODE_IDENTITY, "UPDATE node SET filesystem = ?2, inode = ?3, btime = ?4, ctime = ?5 WHERE id ="   \
                         " ?1")                                                                             \
        X(NODE_GET, "SELECT " NODE_COLUMNS " WHERE node.id = ?1")                                           \
        X(NODE_FIND, "SELECT " NODE_COLUMNS " WHERE inode = ?2 AND filesystem = ?1 AND btime = ?3 ORDER"    \
                     " BY node.id DESC LIMIT 1")                                                            \
        X(NODE_IDENTITIES, "SELECT filesystem, inode, btime FROM node")                                     \
        X(IS_KNOWN, "SELECT EXISTS (SELECT 1 FROM link WHERE parent = ?1 AND until = 0 AND name = ?2) OR"   \
                    " EXISTS (SELECT 1 FROM link INDEXED BY link_closed WHERE parent = ?1 AND name = ?2"    \
                    " AND until > 0) OR EXISTS (SELECT 1 FROM node WHERE inode = ?4 AND filesystem = ?3"    \
                    " AND btime = ?5)")                                                                     \
        X(BULK_CONTENTS, "INSERT OR FAIL INTO content(id, digest, size) SELECT id, digest, size FROM"       \
                         " bulk_content WHERE fresh")                                                       \
        X(BULK_EVENTS, "INSERT OR FAIL INTO event SELECT seq, ago, span, dataset, what, node, parent,"      \
                       " name, inode, lived, attr, size, age, content, target, NULL, NULL FROM bulk")       \
        X(BULK_NODES, "INSERT OR FAIL INTO node(id, filesystem, inode, btime, born, seq, attr, size,"       \
                      " mtime, content, digest_source, links, wanted, ctime, target) SELECT node,"          \
                      " filesystem, inode, btime, seq, seq, attr, size, mtime, content, digest_source, 1,"  \
                      " wanted, ctime, target FROM bulk WHERE made")                                        \
        X(BULK_LINKS, "INSERT OR FAIL INTO link SELECT parent, 0, name, node, seq, dataset FROM bulk WHERE" \
                      " made")                                                                              \
        X(BULK_STATES, "INSERT OR FAIL INTO node(id, filesystem, inode, btime, attr, size, mtime, links,"   \
                       " wanted, seq, content, digest_source, ctime) SELECT node, 0, 0, 0, 0, 0, 0, 0, 0,"  \
                       " seq, content, digest_source, ctime FROM bulk WHERE NOT made ON CONFLICT(id) DO"    \
                       " UPDATE SET seq = excluded.seq, content = excluded.content, digest_source ="        \
                       " excluded.digest_source, wanted = 0, ctime = excluded.ctime")                       \
        X(NODE_OF_INODE, "SELECT " NODE_COLUMNS " WHERE node.id = (SELECT max(k.id) FROM node AS k WHERE"   \
                         " k.inode = ?2 AND k.filesystem = ?1)")                                            \
        X(LINK_ADD, "INSERT INTO link VALUES (?1, 0, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")               \
        X(LINK_HOLDER, "SELECT node, dataset FROM link WHERE parent = ?1 AND until = 0 AND name = ?2")      \
        X(LINK_CLOSE, "UPDATE link SET until = ?3 WHERE parent = ?1 AND until = 0 AND name = ?2")           \
        X(LINK_BENEATH, "SELECT link.node, link.dataset, node.attr, node.size FROM link CROSS JOIN node"    \
                        " ON node.id = link.node WHERE link.parent = ?1 AND link.until = 0")                \
        X(LINK_CLOSE_BENEATH, "UPDATE link SET until = ?2 WHERE parent = ?1 AND until = 0")                 \
        X(LINK_ADOPT_BENEATH, "UPDATE link SET dataset = ?2 WHERE parent = ?1 AND until = 0")               \
        X(LINK_UP, "SELECT parent, name FROM link WHERE node = ?1 AND until = 0 LIMIT 1")                   \
        X(LINK_WAS, "SELECT parent, max(since), until FROM link WHERE node = ?1 AND since <= ?2")           \
        X(LINK_DATASETS, "SELECT dataset FROM link WHERE node = ?1 AND until = 0")                          \
        X(LINK_FIND, "SELECT " LINK_COLUMNS " FROM link WHERE parent = ?1 AND until = 0 AND name = ?2")     \
        X(LINK_LAST, "SELECT " LINK_COLUMNS " FROM link INDEXED BY link_closed WHERE parent = ?1 AND"       \
                     " name = ?2 AND until > 0 ORDER BY until DESC LIMIT 1")                                \
        X(LINK_LIST, "SELECT " LINK_COLUMNS " FROM link WHERE parent = ?1 AND until = 0 AND name > ?2"      \
                     " ORDER BY name LIMIT ?3")                                                             \
        X(LINK_OF_NODE, "SELECT " LINK_COLUMNS " FROM link WHERE node = ?1 AND until = 0 LIMIT ?2")         \
        X(WANTED, "SELECT link.dataset, link.parent, link.name, link.node, 0, link.until,"                  \
                  " node.attr, filesystem, inode, btime, size, mtime, content IS NULL AND target IS NULL"   \
                  " FROM node CROSS JOIN link ON link.node = node.id AND link.until = 0 WHERE node.id >"    \
                  " ?1 AND node.id < ?2 AND node.wanted = 1 AND node.links > 0 ORDER BY node.id")           \
        X(WANTED_NEXT, "SELECT block FROM wanted WHERE block >= ?1 ORDER BY block LIMIT 1")                 \
        X(WANTED_ADD, "INSERT INTO wanted VALUES (?1) ON CONFLICT DO NOTHING")                              \
        X(WANTED_REMOVE, "DELETE FROM wanted WHERE block = ?1")                                             \
        X(WANTED_CLEAR, "DELETE FROM wanted")                                                               \
        X(COUNTER_ADD, "INSERT INTO counter VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET files = files"    \
                       " + ?2, bytes = bytes + ?3")                                                         \
        X(TRAIL_GET, "SELECT directory, data FROM trail WHERE level = ?1 AND idx = ?2 AND directory >= ?3"  \
                     " ORDER BY directory LIMIT 1")                                                         \
        X(TRAIL_ADD, "INSERT INTO trail VALUES (?1, ?2, ?3, ?4)")                                           \
        X(TRAIL_CLEAR, "DELETE FROM trail WHERE level = 0 AND idx = ?1")                                    \
        X(SPAN_ADD, "INSERT INTO span VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET kinds = kinds | ?3")    \
        X(DATASET_ADD, "INSERT INTO dataset(uuid, name, root, kind, filesystem, root_node) VALUES (?1,"     \
                       " ?2, ?3, ?4, ?5, ?6)")                                                              \
        X(DATASET_ALL, "SELECT id, uuid, name, root, kind, filesystem, root_node, removed,"                 \
                       " covered_until, added, head FROM dataset ORDER BY id")                              \
        X(DATASET_ROOTS, "SELECT root_node, removed IS NULL FROM dataset WHERE added IS NOT NULL")          \
        X(DATASET_MOVED, "UPDATE dataset SET name = ?2, root = ?3, root_node = ?4 WHERE id = ?1")           \
        X(DATASET_GET, "SELECT uuid, filesystem FROM dataset WHERE id = ?1")                                \
        X(DATASET_IS_ADDED, "UPDATE dataset SET added = ifnull(added, ?2), removed = NULL, name = ?3,"      \
                            " root = ?4 WHERE id = ?1")                                                     \
        X(DATASET_IS_REMOVED, "UPDATE dataset SET removed = ?2 WHERE id = ?1")                              \
        X(DATASET_HEAD, "UPDATE dataset SET head = ?2 WHERE id = ?1")                                       \
        X(DATASET_COVERED, "UPDATE dataset SET covered_until = ?2 WHERE id = ?1")                           \
        X(DATASET_KIND, "UPDATE dataset SET kind = ?2 WHERE id = ?1")                                       \
        X(DATASET_FILESYSTEM, "UPDATE dataset SET filesystem = ?2 WHERE id = ?1")                           \
        X(FILESYSTEM_FIND, "SELECT id FROM filesystem WHERE uuid IS ?1 AND type = ?2 AND root_inode = ?3"   \
                           " AND root_btime = ?4")                                                          \
        X(FILESYSTEM_ADD, "INSERT INTO filesystem(uuid, type, root_inode, root_btime) VALUES (?1, ?2,"      \
                          " ?3, ?4)")                                                                       \
        X(GAP_OPEN, "INSERT INTO gap(id, dataset, node, cause, since) VALUES (?1, ?2, ?3, ?4, ?5)")         \
        X(GAP_CLOSE, "UPDATE gap SET closed_by = ?2, until = ?3 WHERE id = ?1 AND closed_by IS NULL")       \
        X(GAP_ALL, "SELECT id, dataset, ifnull(node, 0), cause, since FROM gap WHERE closed_by IS NULL"     \
                   " ORDER BY id")                                                                          \
        X(RUN_LAST, "SELECT last_seq IS NOT NULL FROM run ORDER BY id DESC LIMIT 1")                        \
        X(RUN_START, "INSERT INTO run(first_seq) VALUES (?1)")                                              \
        X(RUN_END, "UPDATE run SET last_seq = ?1 WHERE id = (SELECT max(id) FROM run)")                     \
        X(SERIES_FIND, "SELECT id FROM series WHERE name = ?1 AND labels = ?2")                             \
        X(SERIES_ADD, "INSERT INTO series(name, labels, unit) VALUES (?1, ?2, ?3)")                         \
        X(CHUNK_PUT, "INSERT OR REPLACE INTO chunk VALUES (?1, ?2, ?3, ?4, ?5)")                            \
        X(TILE_HEAD, "INSERT OR REPLACE INTO tile_head VALUES (?1 << 56 | ?2, ?3)")                         \
        X(TILE_TAIL, "INSERT OR REPLACE INTO tile_tail VALUES (?1 << 56 | ?2, ?3)")                         \
        X(TILE_GET, TILE_GET)                                                                               \
        X(CHECKPOINT_ADD, "INSERT INTO checkpoint VALUES (?1, ?2, ?3, ?4)")                                 \
        X(CHECKPOINT_LAST, "SELECT number, size, time, note FROM checkpoint ORDER BY number DESC LIMIT 1")  \
        X(CHECKPOINT_FROM, "SELECT number, note FROM checkpoint WHERE number >= ?1 ORDER BY number LIMIT"   \
                           " 1")                                                                            \
        X(CARE_PUT, "INSERT INTO care(what, time, result, seq) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO"      \
                    " UPDATE SET time = ?2, result = ?3, seq = ?4")                                         \
        X(CLOCK, "SELECT (SELECT time FROM checkpoint ORDER BY number DESC LIMIT 1), b.time, b.mono,"       \
                 " o.uuid, c.time, c.upto FROM (SELECT 1) LEFT JOIN (SELECT * FROM batch ORDER BY"          \
                 " first_seq DESC LIMIT 1) AS b LEFT JOIN boot AS o ON o.id = b.boot LEFT JOIN care AS c"   \
                 " ON c.what = 'clock' AND c.result = 'doubted'")                                           \
        X(DOUBT_PUT, "INSERT INTO care(what, time, result, seq, upto) VALUES ('clock', ?1, ?2, ?3, ?4) ON"  \
                     " CONFLICT DO UPDATE SET time = ?1, result = ?2, seq = ?3, upto = ?4")                 \
        X(PRUNE_SAY, "INSERT INTO care VALUES (?4, ?1, 'begun', ?2, ?3, ?2) ON CONFLICT DO UPDATE SET"      \
                     " time = ?1, result = 'begun', seq = ?2, upto = ?3, said = ?2")                        \
        X(THIN_UPTO, "SELECT max(number) FROM checkpoint WHERE number > ?1 AND number <= ?2 AND time < ?3") \
        X(THIN_DONE, "SELECT upto FROM care WHERE what = 'thin'")                                           \
        X(THIN, "DELETE FROM checkpoint WHERE number > ?1 AND number <= ?2 AND number > 1 AND time /"       \
                " 86400000000 = (SELECT n.time / 86400000000 FROM checkpoint AS n WHERE n.number >"         \
                " checkpoint.number ORDER BY n.number LIMIT 1) AND NOT EXISTS (SELECT 1 FROM event AS e"    \
                " WHERE e.kind = 21 AND e.seq = checkpoint.size)")                                          \
        X(PRUNE_EVENTS, "DELETE FROM event WHERE seq > ?1 AND seq <= ?2 AND " PRUNE_MAY_GO)                 \
        X(PRUNE_NODES, "DELETE FROM node WHERE id >= ?1 AND id < ?2 AND links = 0 AND ifnull(seq, 0) <= ?3" \
                       " AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.node = node.id AND l.until > ?3)"  \
                       " AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.node = node.id AND l.until = 0)"   \
                       " AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.parent = node.id) AND NOT EXISTS"  \
                       " (SELECT 1 FROM event AS e WHERE e.node = node.id AND e.inode IS NULL) AND id NOT"  \
                       " IN (SELECT root_node FROM dataset)")                                               \
        X(PRUNE_LINKS, "DELETE FROM link WHERE node >= ?1 AND node < ?2 AND NOT EXISTS (SELECT 1 FROM node" \
                       " AS n WHERE n.id = link.node)")                                                     \
        X(EVENT_CONTENTS, "SELECT content FROM event WHERE seq > ?1 AND seq <= ?2 AND content IS NOT NULL") \
        X(NODE_CONTENTS, "SELECT content FROM node WHERE id > ?1 AND id <= ?2 AND content IS NOT NULL")     \
        X(CONTENT_REMOVE, "DELETE FROM content WHERE id = ?1")                                              \
        X(PRUNE_BATCH_PAGE, "SELECT first_seq FROM batch WHERE first_seq > ?1 ORDER BY first_seq LIMIT 1"   \
                            " OFFSET ?2")                                                                   \
        X(PRUNE_BATCHES, "DELETE FROM batch WHERE first_seq > ?1 AND first_seq <= ?2 AND (SELECT"           \
                         " min(b.first_seq) FROM batch AS b WHERE b.first_seq > batch.first_seq) <= ?3 + 1" \
                         " AND NOT EXISTS (SELECT 1 FROM event AS e WHERE e.seq >= batch.first_seq AND"     \
                         " e.seq < (SELECT min(b.first_seq) FROM batch AS b WHERE b.first_seq >"            \
                         " batch.first_seq))")                                                              \
        X(KEY_LAST, "SELECT e.seq, e.detail, b.time, b.mono, boot.uuid FROM event AS e LEFT JOIN batch AS"  \
                    " b ON b.first_seq = (SELECT max(k.first_seq) FROM batch AS k WHERE k.first_seq <="     \
                    " e.seq) LEFT JOIN boot ON boot.id = b.boot WHERE e.kind = 21 ORDER BY e.seq DESC"      \
                    " LIMIT 1")

/* Nodes whose digest is wanted (wanted.c). */
#define STORE_WANTED_COUNT                                                                                  \
        "SELECT count(*) FROM wanted CROSS JOIN node ON node.id >= 256 * wanted.block AND node.id <"        \
        " 256 * wanted.block + 256 WHERE +node.wanted = 1 AND node.links > 0"

#define NODE_COLUMNS "node.id, filesystem, inode, btime, attr, node.size, mtime, ctime, digest,"            \
                     " digest_source, target, ifnull(seq, 0), links, wanted"                                \
                     " FROM node LEFT JOIN content ON content.id = node.content"
#define LINK_COLUMNS "link.dataset, link.parent, link.name, link.node, link.since, link.until,"             \
                     " (SELECT attr FROM node AS n WHERE n.id = link.node)"

typedef enum StoreStatement {
#define STORE_STATEMENT_ITEM(name, text) SQL_##name,
        STORE_STATEMENTS(STORE_STATEMENT_ITEM)
        STORE_STATEMENT_COUNT,
} StoreStatement;

typedef struct StoreAttr {
        Type type;
        uint32_t mode, uid, gid;
} StoreAttr;

/* Rows of table attr: rows[id - 1]; slots is a hash table of ids, 0 for none, twice as large or more. */
typedef struct StoreAttrs {
        StoreAttr *rows;
        size_t n, max;
        uint32_t *slots;
} StoreAttrs;

/* What is remembered of a dataset while a transaction is on: its ids,
 * and what is to be added to its counter. */
typedef struct StoreSums {
        int64_t id;
        uint8_t uuid[EVENT_ID_SIZE];
        int64_t filesystem;
        int64_t files, bytes;
} StoreSums;

/* Marks of one block that are not written yet. */
typedef struct StoreSpan {
        int64_t dataset, kinds;
} StoreSpan;
typedef struct StoreSpans {
        int64_t block;
        StoreSpan *rows;
        size_t n, max;
} StoreSpans;

/* The tile of events that is being filled (mark.c): a row for each directory beneath which something
 * happened. */
typedef struct StoreTrail {
        int64_t directory;
        TrailSet at;
} StoreTrail;
typedef struct StoreUp {                /* a directory, and the one in which it is; 0: a dataset's root */
        int64_t node, parent;
} StoreUp;
typedef struct StoreTrails {
        bool known;                     /* rows are those of the tile `index` */
        bool fresh;                     /* they are not all in the table */
        int64_t index;
        StoreTrail *rows;
        size_t n, max, n_slots;
        uint32_t *slots;                /* a hash table of numbers of rows + 1; n_slots: a power of two */
        StoreUp *ups;                   /* those last asked for */
        int64_t above;                  /* chain: rows of this directory and those above it; 0: of none */
        uint32_t chain[TRAIL_DEPTH];
        size_t n_chain;
        bool deep;                      /* there are more above it */
} StoreTrails;

/* The root nodes of all datasets. Names beneath one that is watched are of its
 * dataset, whatever becomes of the directories around it; those beneath one that is not any more may still
 * be, until such a directory belongs to another dataset again. */
typedef struct StoreRoot {
        int64_t node;
        bool watched;
} StoreRoot;
typedef struct StoreRoots {
        StoreRoot *rows;
        size_t n, max;
        bool known;
} StoreRoots;

/* Which nodes may be known; words NULL: nobody asks. */
typedef struct StoreIdentities {
        uint64_t *words, bits;          /* bits: a power of two */
        uint64_t n;                     /* in it */
} StoreIdentities;

typedef struct StoreBulk StoreBulk;

/* A node whose digest is wanted, as it was told (known.c). */
typedef struct StoreKnown {
        int64_t node, filesystem, attr, size, mtime, btime, parent;
        uint64_t inode, name;           /* name: a hash of it; the link that was told */
} StoreKnown;

/* What signs. Loaded when it is first needed. */
typedef struct StoreSigner {
        bool loaded;
        NoteSecret secret;
        int64_t epoch, key_seq, key_time;       /* of its key; the event that says so */
        int64_t key_mono;               /* its time on the clock of the boot key_boot */
        uint8_t key_boot[EVENT_ID_SIZE];
        bool takes_over;                /* `next` is the key in this transaction; the files are to follow */
        NoteSecret next;
        int64_t number, size, time;     /* of the last checkpoint; 0: none */
} StoreSigner;

/* The newest event that was acknowledged; its leaf, where that is known. */
typedef struct StoreAcked {
        int64_t size;
        bool has_leaf;
        Hash leaf;
} StoreAcked;

/* Where a prune is. */
typedef struct StorePrune {
        int64_t upto;
        int64_t event, node, batch;     /* up to, down to, up to here it is done */
        int64_t thin, thin_upto;        /* checkpoints; upto 0: nothing is under way */
} StorePrune;

/* Where the search for contents that nothing names is. */
typedef struct StoreContents {
        uint8_t *marks;                 /* a bit each: it is named; NULL: no search is on */
        int64_t n;                      /* of the contents up to this one */
        int64_t event, node, content;   /* up to here it is done */
        int64_t nodes;                  /* up to this one they are looked at */
        unsigned slice;                 /* of the digests, up to before this one */
} StoreContents;

struct Store {
        Sql sql;
        char *dir;
        char *path;
        int64_t last_seq, next_node;
        StoreAttrs attrs;
        StoreSums *sums;
        size_t n_sums;
        StoreRoots roots;
        StoreSpans spans;
        StoreTrails trails;
        bool deep;                      /* the event is beneath more directories than trails say */
        bool crossed;                   /* by the event that is being applied: a name left another dataset */
        StoreBulk *bulk;
        Digests *digests;
        StoreIdentities identities;
        int64_t n_wanted, wanted_block;         /* the block that has its row for sure; -1: none */
        bool wanted_blocks;             /* there may be some */
        StoreKnown *known;
        size_t n_known;
        int64_t n_silent;               /* names closed that no event names */
        StoreLink let_go[2];            /* the last such, of a directory that was to be beneath itself */
        unsigned n_let_go;

        bool in_transaction;
        bool has_batch;                 /* its row is written */
        int broken;                     /* a write of it failed with this: it cannot be committed */
        int64_t realtime, boottime;
        uint8_t boot[EVENT_ID_SIZE];

        Reader *reader;
        Tree tree;                      /* of the events up to last_seq */
        bool tree_lost;                 /* but for its size: some leaf of them cannot be had */
        uint8_t *leaf;                  /* a buffer for one */
        size_t leaf_max;
        Hash newest;                    /* leaf of the event that was appended last */
        StoreSigner signer;
        char *witness;                  /* the checkpoint that this transaction makes; NULL: none */
        StoreAcked acked;
        int64_t lost;                   /* store_lost() */
        StorePrune prune;
        StoreContents contents;
        int64_t migrated_from;          /* form; 0: it was not */
};

/* attr.c */
int attrs_load(Store *s);
void attrs_done(StoreAttrs *a);
/** attrs_id() - the row id of an attr row, made when new. attrs_get() - the row of an id; NULL: there is
 *  none. */
int attrs_id(Store *s, const StoreAttr *attr, int64_t *ret);
const StoreAttr *attrs_get(const Store *s, int64_t id);

/* append.c */
int sums_find(Store *s, int64_t dataset, StoreSums **ret);      /* valid until the next call; STORE_E_NONE */
int sums_count(Store *s, int64_t dataset, int64_t files, int64_t bytes);      /* to be added at the commit */
/* What stands in event.age. mtime is any number that a file system keeps, so the difference is taken modulo
 * 2^64: it has an exact reverse. */
static inline int64_t event_age(const Event *e) {
        return (int64_t) ((uint64_t) e->last * NSEC_PER_USEC - (uint64_t) e->mtime);
}

/* bulk.c: add gathers, flush writes what is gathered (a failure breaks the transaction), forget drops it. */
int bulk_init(Store *s, sqlite3 *db);
void bulk_done(Store *s);
int bulk_add(Store *s, const Event *e, int64_t attr, int64_t filesystem, int64_t ctime);
int bulk_add_digest(Store *s, const Event *e, int64_t size, int64_t ctime);
int bulk_flush(Store *s);
void bulk_forget(Store *s);

/* identities.c: a node joined the table. */
void identities_add(Store *s, int64_t filesystem, uint64_t inode, int64_t btime);

/* wanted.c: n_wanted, from what is committed; a node joins those that are wanted and have a link, or leaves
 * them; before a COMMIT, with none wanted no block is left. */
int wanted_load(Store *s);
int wanted_changed(Store *s, int64_t node, bool was, bool is);
int wanted_flush(Store *s);

/* known.c: known_forget() before any write of a node's row, or of a link to it; known_get() is valid until
 * then. */
void known_add(Store *s, const StoreKnown *k);
const StoreKnown *known_get(const Store *s, int64_t node);      /* NULL: not known */
uint64_t known_name(Bytes name);
void known_forget(Store *s, int64_t node);
void known_clear(Store *s);

/* span.c: mark: an event was appended. flush: what is not written yet; forget drops it. */
int spans_mark(Store *s, const Event *e);
int spans_flush(Store *s);
void spans_forget(Store *s);
void spans_done(StoreSpans *p);

/* mark.c: mark: an event was appended, and applied; sets s->deep. flush: what is not written yet; forget:
 * the transaction is gone. rebuild: of all events, when the table is empty. moved: a directory has another
 * name, or none; 0: all may have, since the roots have changed. */
int trails_mark(Store *s, const Event *e);
int trails_flush(Store *s);
int trails_rebuild(Store *s);
void trails_moved(Store *s, int64_t directory);
void trails_forget(Store *s);
void trails_done(StoreTrails *t);

/* roots.c: roots_have(): whether a node is the root of a watched dataset. roots_left_beneath(): the next,
 * from *at on (0 at first), that was a root, is none now, and lies beneath dir with no root in between: 1, 0
 * when there is none, negative errno. roots_forget(): they may have changed. */
int roots_have(Store *s, int64_t node, bool *ret);
int roots_left_beneath(Store *s, int64_t dir, size_t *at, int64_t *ret);
void roots_forget(Store *s);
void roots_done(StoreRoots *r);

/* project.c: a node while an event is applied to it. */
typedef struct StoreTarget {
        int64_t id;                     /* 0: the event has none */
        bool is_new, was_wanted;        /* was_wanted: its digest, and it had a link */
        int64_t attr, size, mtime, content, digest_source, links, wanted, born;
        uint64_t inode;
        int64_t btime;
} StoreTarget;
/** project_load() - the event's node as it is. project_apply() - the projections after e; attr, content: the
 *  row ids of what it says. 0, -EINVAL (no such node, ...), other negative errno. */
int project_load(Store *s, const Event *e, StoreTarget *ret);
int project_apply(Store *s, const Event *e, StoreTarget *t, int64_t attr, int64_t content);

/* leaves.c */

/** leaves_load() - the tree, from committed rows; damage is no error: see tree_lost.
 *  leaves_add() - the newest event's leaf.
 *  leaves_of() - the leaf of one event, from its row. 0, -EBADMSG (there is none), ...
 *  leaves_rebuild() - of all events up to the first that is damaged, tiles too: where they have none yet;
 *  leaves_load() is to follow.
 *  leaves_save_edge() - the hashes of the tiles that are not full yet, as tiles of their number. */
int leaves_load(Store *s);
int leaves_add(Store *s, const Event *e);
int leaves_of(Store *s, int64_t seq, Hash *ret);
int leaves_rebuild(Store *s);
int leaves_save_edge(Store *s);
/** leaves_read_back() - whether the rows of the newest events (at most TILE_WIDTH) still yield the leaves
 *  that the tree has. 0, -EBADMSG, ... */
int leaves_read_back(Store *s);

/* seal.c */
void signer_forget(Store *s);                   /* it is loaded anew */
void signer_committed(Store *s);                /* the transaction is durable */

/* witness.c: sealed: a checkpoint is made in this transaction; committed: it is durable, forget: it is not.
 * compare: after a database was opened; sets s->lost. */
void witness_sealed(Store *s, const char *note);
void witness_committed(Store *s);
void witness_forget(Store *s);
void witness_compare(Store *s);

/* rescue.c: puts a copy that was saved, if there is one, into the database's place. */
int rescue_finish(const char *dir, const char *path);

/* prune.c: steps; each is part of store_step(). */
int prune_begin(Store *s, int64_t upto);
int prune_events(Store *s, int64_t *ret_done, int64_t *ret_left);
int prune_nodes(Store *s, int64_t *ret_done, int64_t *ret_left);
int prune_batches(Store *s, int64_t *ret_done, int64_t *ret_left);
int prune_thin(Store *s, int64_t *ret_done, int64_t *ret_left);

/* contents.c: a step, too, that removes contents that nothing names. contents_forget(): it begins anew, as
 * what was read may not have been so. */
int contents_step(Store *s, int64_t *ret_done, int64_t *ret_left);
void contents_forget(Store *s);

/* backup.c: a copy of an open database into a new file. */
enum {
        BACKUP_DURABLE = 1,             /* synced */
        BACKUP_CHECKED = 2,             /* the copy's structure; -EBADMSG: it is damaged */
};
int backup_copy(sqlite3 *from, const char *path, unsigned flags);

/* migrate.c: brings an older store to STORE_FORM. 0, STORE_E_NO_ROOM, negative errno. migrate_prepare() -
 * defines the functions that the schema's text calls. */
int migrate_prepare(sqlite3 *db);
int migrate(Store *s, sqlite3 *db, int64_t form);

/* rows.c: node_add_links() - a node has one more link (1), or one less (-1). */
int node_add_links(Store *s, int64_t node, int sign);
void link_row(const Store *s, sqlite3_stmt *stmt, StoreLink *ret);      /* of LINK_COLUMNS */

/* store.c: store_stmt() writes what is fresh before it hands out a statement. database_close() leaves what
 * database_open() needs, whichever way that ended. */
int database_open(Store *s);
void database_close(Store *s);
int schema_apply(sqlite3 *db, int64_t form);    /* makes STORE_FORM of `form`, its number included */
int store_sync_dir(const char *dir);
int store_write_file(int fd, const void *data, size_t size);     /* from its beginning, and synced */
int store_stmt(Store *s, StoreStatement which, sqlite3_stmt **ret);
int store_run(Store *s, sqlite3_stmt *stmt);                    /* one that answers no row */

#endif
