-- Entries are inserted and pruned, never updated. Numbers come from `head`, so that none is given twice.
CREATE TABLE head (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    last    INTEGER NOT NULL,
    indexed INTEGER NOT NULL    -- up to here `signal_entity` has the signals that wait, too
) STRICT;
INSERT INTO head VALUES (1, 0, 0);

CREATE TABLE entry (
    seq         INTEGER PRIMARY KEY,
    part        INTEGER NOT NULL,
    kind        INTEGER NOT NULL,   -- EntryKind
    connection  TEXT NOT NULL,
    parent      INTEGER,
    at          INTEGER NOT NULL,   -- milliseconds since 1970
    entity_kind TEXT,
    entity_id   TEXT,
    number      TEXT,
    name        TEXT,
    amount      BLOB,               -- as `amount_key` makes it: sorts as amounts do
    currency    TEXT,
    destination TEXT,
    dedupe      TEXT,
    trace       BLOB,
    body        BLOB                -- last, because what comes behind a long one is slow to read
) STRICT;
-- A signal is stored while its vendor waits, so it does not pay for indexes in random order: only for its dedupe
-- key where the vendor gives one. Its entity is indexed in `signal_entity` when nobody waits, or once it is settled.
-- Entries of one connection and kind are in the order of their numbers, which costs little.
CREATE UNIQUE INDEX entry_dedupe ON entry (dedupe) WHERE dedupe IS NOT NULL;
CREATE INDEX entry_at ON entry (at);
CREATE INDEX entry_connection ON entry (connection, kind);
CREATE INDEX entry_parent ON entry (parent) WHERE parent IS NOT NULL;
CREATE INDEX entry_entity ON entry (entity_id, connection) WHERE entity_id IS NOT NULL AND kind <> 1;
CREATE INDEX entry_number ON entry (number, connection) WHERE number IS NOT NULL;
CREATE INDEX entry_name ON entry (name, connection) WHERE name IS NOT NULL AND kind <> 1;
CREATE INDEX entry_destination ON entry (destination) WHERE destination IS NOT NULL;
CREATE INDEX entry_amount ON entry (amount) WHERE amount IS NOT NULL;

-- How often an entry came again, where that is counted.
CREATE TABLE repeated (
    seq   INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT;

-- Signals by entity: those that are not on the work list, and those up to `head.indexed`.
CREATE TABLE signal_entity (
    entity_id TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (entity_id, seq)
) STRICT, WITHOUT ROWID;

-- Whatever is not on the work list, by what became of it.
CREATE TABLE settled (
    state        INTEGER NOT NULL,  -- State
    seq          INTEGER NOT NULL,
    connection   TEXT,              -- of the dead only, like the two below
    kind         INTEGER,
    acknowledged INTEGER,
    PRIMARY KEY (state, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX settled_dead ON settled (connection, kind, seq, acknowledged) WHERE state = 4;

-- The work list: the row goes in the transaction that settles the entry.
CREATE TABLE work (
    part         INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    connection   TEXT NOT NULL,
    lane         INTEGER NOT NULL,
    due          INTEGER NOT NULL,  -- 9223372036854775807 = parked
    attempt      INTEGER NOT NULL,
    uncertain    INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (part, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX work_lane ON work (lane, seq) WHERE kind = 3;
CREATE INDEX work_parked ON work (seq) WHERE due = 9223372036854775807;

-- How many rows of `work` there are, by `Backlog::slot`. None has the count 0.
CREATE TABLE backlog (
    connection TEXT NOT NULL,
    kind       INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (connection, kind, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome (
    seq       INTEGER NOT NULL,
    nth       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    what      INTEGER NOT NULL,     -- 1 begun, 2 retry, 3 parked, 4 done, 5 dead, 6 dropped, 7 acknowledged,
                                    -- 8 cancelled, 9 discarded, 10 replayed
    attempt   INTEGER,
    due       INTEGER,
    uncertain INTEGER,
    reason    TEXT,
    receipt   TEXT,
    actor     TEXT,
    replay    INTEGER,
    note      BLOB,
    trace     BLOB,
    PRIMARY KEY (seq, nth)
) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_receipt ON outcome (receipt) WHERE receipt IS NOT NULL;

-- Deleted documents and tokens keep their version: bytes are NULL.
CREATE TABLE document (key TEXT PRIMARY KEY, version INTEGER NOT NULL, bytes BLOB) STRICT;
CREATE TABLE token (key TEXT PRIMARY KEY, version INTEGER NOT NULL, bytes BLOB) STRICT;

-- Who works on this file. One owner holds the first `parts` partitions.
CREATE TABLE holder (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    owner TEXT,
    fence INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;
INSERT INTO holder VALUES (1, NULL, 0, 0, 0);
