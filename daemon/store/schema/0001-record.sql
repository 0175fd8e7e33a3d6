-- The store, form 1. docs/FORMATS.md ("Schema") explains it; `event` is the truth, the projections below it can be
-- rebuilt from it. Ranges are in seq. A name is bytes. 0 and NULL: NULL is "does not apply", but for link.until.
-- No foreign keys on what is written with each event: they nearly double the writer's work (measured), and the
-- tests compare all of it with a model.

CREATE TABLE filesystem (
        id INTEGER PRIMARY KEY,
        uuid BLOB,
        type TEXT NOT NULL,
        root_inode INTEGER NOT NULL,
        root_btime INTEGER NOT NULL
) STRICT;

CREATE TABLE dataset (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
        name TEXT NOT NULL,
        root BLOB NOT NULL,
        kind INTEGER NOT NULL,
        filesystem INTEGER NOT NULL REFERENCES filesystem,
        root_node INTEGER NOT NULL,
        added INTEGER,                          -- seq of its first dataset-add
        removed INTEGER,                        -- seq of its last dataset-remove while it is not watched
        head TEXT,                              -- HEAD last recorded
        covered_until INTEGER NOT NULL DEFAULT 0        -- µs; moved by canaries, no part of the record
) STRICT;
CREATE UNIQUE INDEX dataset_name ON dataset(name) WHERE removed IS NULL;

CREATE TABLE boot (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16)
) STRICT;

-- One row a transaction that wrote events. The batch of a seq is the one with the greatest first_seq <= seq.
CREATE TABLE batch (
        first_seq INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,                  -- µs of CLOCK_REALTIME
        boot INTEGER NOT NULL REFERENCES boot,
        mono INTEGER NOT NULL,                  -- µs of CLOCK_BOOTTIME
        behind INTEGER NOT NULL                 -- greatest time of any batch so far - time: 0 unless the clock was set
                                                -- back; time + behind only grows, so it can be searched
) STRICT;

-- What a node is apart from its content: few combinations, many nodes.
CREATE TABLE attr (
        id INTEGER PRIMARY KEY,
        type INTEGER NOT NULL,
        mode INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        gid INTEGER NOT NULL,
        UNIQUE (type, mode, uid, gid)
) STRICT;

CREATE TABLE content (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        size INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        ago INTEGER NOT NULL,                   -- µs: batch.time - last
        span INTEGER NOT NULL,                  -- µs: last - first
        dataset INTEGER,
        kind INTEGER NOT NULL,
        origin INTEGER NOT NULL,
        count INTEGER NOT NULL,
        node INTEGER,
        parent INTEGER,
        name BLOB,
        inode INTEGER,                          -- of events that introduce a node
        btime INTEGER,
        attr INTEGER,                           -- of events with a state
        size INTEGER,
        age INTEGER,                            -- ns: last - mtime
        content INTEGER,
        digest_source INTEGER,
        replaces INTEGER,
        old_parent INTEGER,
        old_name BLOB,
        target BLOB,
        process INTEGER,
        cause INTEGER,
        gap INTEGER,
        detail BLOB
) STRICT;
-- The event that introduces a node is found by node.born, so most events of a first look need no entry here.
CREATE INDEX event_node ON event(node) WHERE node IS NOT NULL AND inode IS NULL;
CREATE INDEX event_commit ON event(dataset) WHERE kind = 22;
CREATE INDEX event_transient ON event(parent, name) WHERE kind = 8;

-- Projections.

CREATE TABLE node (
        id INTEGER PRIMARY KEY,
        filesystem INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        btime INTEGER NOT NULL,
        born INTEGER,                           -- seq of the event that introduced it
        seq INTEGER,                            -- its last event
        attr INTEGER NOT NULL,
        size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        content INTEGER,
        digest_source INTEGER,
        links INTEGER NOT NULL,                 -- open links
        wanted INTEGER NOT NULL,                -- 1: its digest is still to be read
        ctime INTEGER NOT NULL DEFAULT 0,       -- a cache, no part of the record
        target BLOB
) STRICT;
CREATE INDEX node_identity ON node(filesystem, inode, btime);
CREATE INDEX node_wanted ON node(id) WHERE wanted = 1 AND links > 0;

-- until 0: the link is open. The present names of a directory are one range of the primary key, in order.
CREATE TABLE link (
        parent INTEGER NOT NULL,
        until INTEGER NOT NULL,
        name BLOB NOT NULL,
        node INTEGER NOT NULL,
        since INTEGER NOT NULL,
        dataset INTEGER NOT NULL,
        PRIMARY KEY (parent, until, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_node ON link(node, until, dataset);
CREATE INDEX link_closed ON link(parent, name, until) WHERE until > 0;

CREATE TABLE gap (
        id INTEGER PRIMARY KEY,                 -- seq of its gap-open
        dataset INTEGER NOT NULL,
        node INTEGER,                           -- subtree; NULL: all of the dataset
        cause INTEGER NOT NULL,
        since INTEGER NOT NULL,                 -- µs
        until INTEGER,                          -- µs
        closed_by INTEGER                       -- seq of its gap-close
) STRICT;
CREATE INDEX gap_dataset ON gap(dataset);
CREATE INDEX gap_open ON gap(dataset) WHERE closed_by IS NULL;

CREATE TABLE counter (
        dataset INTEGER PRIMARY KEY,
        files INTEGER NOT NULL,                 -- open links to regular files
        bytes INTEGER NOT NULL                  -- the sum of their sizes
) STRICT;

-- Beside the record.

CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        first_seq INTEGER NOT NULL,             -- the newest event when it started
        last_seq INTEGER                        -- the newest event at its clean end
) STRICT;

CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        unit TEXT NOT NULL,
        UNIQUE (name, labels)
) STRICT;

CREATE TABLE chunk (
        series INTEGER NOT NULL REFERENCES series,
        since INTEGER NOT NULL,                 -- µs
        until INTEGER NOT NULL,
        points INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (series, since)
) STRICT, WITHOUT ROWID;
