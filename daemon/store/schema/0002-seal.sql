-- Form 2: the log as a Merkle tree. A leaf is an event's canonical bytes (docs/FORMATS.md, "Seals").

-- Level 0 has the hashes of 256 events each, level L the roots of 256 tiles of the level below. A full tile is written
-- with the event that fills it; the last one of level 0, in so far as it is filled, with each checkpoint.
CREATE TABLE tile (
        level INTEGER NOT NULL,
        idx INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
        number INTEGER PRIMARY KEY,             -- dense, from 1
        size INTEGER NOT NULL,                  -- it is of the events 1 to size
        time INTEGER NOT NULL,                  -- µs
        note TEXT NOT NULL                      -- signed
) STRICT;

-- Which keys sealed it, the log itself says.
CREATE INDEX event_key ON event(kind) WHERE kind = 21;

-- When the store itself was last taken care of, and how that went: a word of daemon/store/store.h each.
CREATE TABLE care (
        what TEXT PRIMARY KEY,
        time INTEGER NOT NULL,                  -- µs
        result TEXT NOT NULL,
        seq INTEGER NOT NULL,                   -- the newest event then
        upto INTEGER NOT NULL DEFAULT 0         -- of "prune": events up to this one may be gone
) STRICT, WITHOUT ROWID;
