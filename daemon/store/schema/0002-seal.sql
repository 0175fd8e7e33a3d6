-- Form 2: the log as a Merkle tree. A leaf is an event's canonical bytes (docs/FORMATS.md, "Seals").

-- Level 0 has the hashes of 256 events each, level L the roots of 256 tiles of the level below. A full tile is written
-- with the event that fills it; the last one of each level, in so far as it is filled, with each checkpoint. 254 hashes
-- fill a page; with all 256 of a tile in one row, an eighth of its second page would be lost.
CREATE TABLE tile_head (
        id INTEGER PRIMARY KEY,                 -- level << 56 | idx
        data BLOB NOT NULL                      -- its first 254 hashes
) STRICT;
CREATE TABLE tile_tail (
        id INTEGER PRIMARY KEY,
        data BLOB NOT NULL                      -- the others, where it has so many
) STRICT;
CREATE VIEW tile AS SELECT h.id AS id, h.id >> 56 AS level, h.id & 0xffffffffffffff AS idx, CAST(h.data ||
        ifnull((SELECT t.data FROM tile_tail AS t WHERE t.id = h.id), x'') AS BLOB) AS data FROM tile_head AS h;

CREATE TABLE checkpoint (
        number INTEGER PRIMARY KEY,             -- dense, from 1
        size INTEGER NOT NULL,                  -- it is of the events 1 to size
        time INTEGER NOT NULL,                  -- µs
        note TEXT NOT NULL                      -- signed
) STRICT;

-- When the store itself was last taken care of, and how that went: a word of daemon/store/store.h each.
CREATE TABLE care (
        what TEXT PRIMARY KEY,
        time INTEGER NOT NULL,                  -- µs
        result TEXT NOT NULL,
        seq INTEGER NOT NULL,                   -- the newest event then
        upto INTEGER NOT NULL DEFAULT 0,        -- of "prune": events up to this one may be gone,
        said INTEGER NOT NULL DEFAULT 0         -- as the event with this seq says
) STRICT, WITHOUT ROWID;

-- The record as it was: which of a name's closed links held at a seq, what was a dataset's root then, and the batches
-- whose times the clock has shown twice.
DROP INDEX link_closed;
CREATE INDEX link_closed ON link(parent, name, until, since) WHERE until > 0;
CREATE INDEX batch_behind ON batch(first_seq, time) WHERE behind > 0;

-- In which blocks of 1024 events a dataset has some, and of which kinds (bit 1 << kind). Dataset 0: all events; -1: those
-- that took a name from another dataset than they are filed under; -2: those of which trail has not all; -3: those that
-- were stored a minute or longer after they had been noticed. A projection.
CREATE TABLE span (
        dataset INTEGER NOT NULL,
        block INTEGER NOT NULL,
        kinds INTEGER NOT NULL,
        PRIMARY KEY (dataset, block)
) STRICT, WITHOUT ROWID;
INSERT INTO span SELECT 0, seq / 1024, sum(DISTINCT 1 << kind) FROM event GROUP BY 2;
INSERT INTO span SELECT dataset, seq / 1024, sum(DISTINCT 1 << kind) FROM event WHERE dataset IS NOT NULL GROUP BY 1, 2;
INSERT INTO span SELECT -1, e.seq / 1024, sum(DISTINCT 1 << kind) FROM event AS e WHERE e.kind = 10 OR (e.kind IN (4, 5)
        AND EXISTS (SELECT 1 FROM link AS l WHERE l.parent = e.old_parent AND l.until = e.seq AND l.name = e.old_name
        AND l.dataset <> e.dataset)) GROUP BY 2;
INSERT INTO span SELECT -3, seq / 1024, sum(DISTINCT 1 << kind) FROM event WHERE ago >= 60000000 GROUP BY 2;

-- A column costs a byte in each row, whatever is in it: what few events have is one, and so are small numbers.
CREATE TABLE event_2 (
        seq INTEGER PRIMARY KEY,
        ago INTEGER NOT NULL,                   -- µs: batch.time - last
        span INTEGER NOT NULL,                  -- µs: last - first
        dataset INTEGER,
        what INTEGER NOT NULL,
        node INTEGER,
        parent INTEGER,
        name BLOB,
        inode INTEGER,                          -- of events that introduce a node
        lived INTEGER,                          -- ns: mtime - btime
        attr INTEGER,                           -- of events with a state
        size INTEGER,
        age INTEGER,                            -- ns: last - mtime
        content INTEGER,
        target BLOB,
        rest BLOB,
        detail BLOB,
        kind INTEGER NOT NULL AS (what & 63),
        origin INTEGER NOT NULL AS (what >> 6 & 7),
        digest_source INTEGER AS (nullif(what >> 9 & 3, 0)),
        count INTEGER NOT NULL AS (what >> 11)
) STRICT;
INSERT INTO event_2 SELECT seq, ago, span, dataset, kind + 64 * origin + 512 * ifnull(digest_source, 0) + 2048 *
        count, node, parent, name, inode, event_lived(inode, btime, (SELECT b.time FROM batch AS b WHERE b.first_seq <=
        event.seq ORDER BY b.first_seq DESC LIMIT 1), ago, age), attr, size, age, content, target, event_rest(replaces,
        old_parent, process, cause, gap, old_name), detail FROM event ORDER BY seq;
DROP TABLE event;
ALTER TABLE event_2 RENAME TO event;
-- The event that introduces a node is found by node.born, so most events of a first look need no entry here.
CREATE INDEX event_node ON event(node) WHERE node IS NOT NULL AND inode IS NULL;
CREATE INDEX event_commit ON event(dataset) WHERE kind = 22;
CREATE INDEX event_transient ON event(parent, name) WHERE kind = 8;
-- Which keys sealed the log, it says itself.
CREATE INDEX event_key ON event(kind) WHERE kind = 21;
-- Not IN (15, 16, 17), for which SQLite makes a table of three rows anew for each event that is written.
CREATE INDEX event_root ON event(dataset) WHERE kind BETWEEN 15 AND 17;

-- In which events something happened beneath a directory: tiles of 256 events, and of 16 tiles each above them. A row
-- has some of the directories of a tile, from `directory` on. A projection; those of the events before are made by
-- whoever runs this.
CREATE TABLE trail (
        level INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        directory INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (level, idx, directory)
) STRICT, WITHOUT ROWID;

-- Which nodes are wanted, coarsely: nodes 256 * block to 256 * block + 255, of which some may be.
CREATE TABLE wanted (
        block INTEGER PRIMARY KEY
) STRICT;
INSERT INTO wanted SELECT DISTINCT id / 256 FROM node WHERE wanted = 1 AND links > 0;
DROP INDEX node_wanted;

-- Few nodes have the same inode number.
DROP INDEX node_identity;
CREATE INDEX node_inode ON node(inode);

-- No index of digests: one by digest scatters what each content writes.
CREATE TABLE content_2 (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        size INTEGER NOT NULL
) STRICT;
INSERT INTO content_2 SELECT id, digest, size FROM content ORDER BY id;
DROP TABLE content;
ALTER TABLE content_2 RENAME TO content;

-- Which content has a digest (daemon/store/digests.c): some of them, in their order; which contents are in it, by the
-- first bits of their digests. A projection; that of the contents before is made by whoever runs this.
CREATE TABLE digest (
        first INTEGER PRIMARY KEY,
        entries BLOB NOT NULL
) STRICT;
CREATE TABLE digest_slice (
        slice INTEGER PRIMARY KEY,
        upto INTEGER NOT NULL                   -- contents up to this one
) STRICT;
