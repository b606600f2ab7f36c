-- Every name that begins with an at-sign is in the schema of the log. All text is compared byte by byte.
CREATE TABLE @meta (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);
INSERT INTO @meta (version) VALUES (1);

-- A transaction of ours leaves a row here: whoever lost the answer to COMMIT finds out what became of it.
CREATE TABLE @batch (
    at timestamptz NOT NULL DEFAULT now(),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (at, id)
);

-- Who is alive, and who works on what. A host counts before it holds anything.
CREATE TABLE @host (
    owner      text COLLATE "C" PRIMARY KEY,
    expires_at bigint NOT NULL              -- milliseconds since 1970
);
CREATE TABLE @partition (
    part       smallint PRIMARY KEY,
    owner      text COLLATE "C",
    fence      bigint NOT NULL DEFAULT 0,
    expires_at bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO @partition (part) SELECT generate_series(0, 63);

-- Whoever appends to a partition locks its row here before it takes numbers, so that their order is the order of commit.
CREATE TABLE @head (part smallint PRIMARY KEY);
INSERT INTO @head (part) SELECT generate_series(0, 63);
CREATE SEQUENCE @entry_seq;

-- Entries are inserted and pruned, never updated.
CREATE TABLE @entry (
    seq         bigint PRIMARY KEY,
    root        bigint NOT NULL,            -- what began its family
    part        smallint NOT NULL,
    kind        smallint NOT NULL,          -- EntryKind
    connection  text COLLATE "C" NOT NULL,
    parent      bigint,
    at          bigint NOT NULL,            -- milliseconds since 1970
    entity_kind text COLLATE "C",
    entity_id   text COLLATE "C",
    number      text COLLATE "C",
    name        text COLLATE "C",
    amount      bytea,                      -- as `amount_key` makes it: sorts as amounts do
    currency    text COLLATE "C",
    destination text COLLATE "C",
    dedupe      text COLLATE "C",
    trace       bytea,
    body        bytea
);
CREATE UNIQUE INDEX entry_dedupe ON @entry (dedupe) WHERE dedupe IS NOT NULL;
CREATE INDEX entry_root ON @entry (root, seq) WHERE root <> seq;
CREATE INDEX entry_at ON @entry (at);
CREATE INDEX entry_connection ON @entry (connection, kind, seq);
CREATE INDEX entry_entity ON @entry (entity_id, connection, seq) WHERE entity_id IS NOT NULL;
CREATE INDEX entry_number ON @entry (number, connection, seq) WHERE number IS NOT NULL;
-- What somebody did, and what is worth remembering: few among the others.
CREATE INDEX entry_kind ON @entry (kind, seq) WHERE kind > 3;
CREATE INDEX entry_name ON @entry (name, seq) WHERE name IS NOT NULL AND kind <> 1;
CREATE INDEX entry_destination ON @entry (destination, seq) WHERE destination IS NOT NULL;
CREATE INDEX entry_amount ON @entry (amount) WHERE amount IS NOT NULL;

-- How often an entry came again, where that is counted.
CREATE TABLE @repeated (
    seq   bigint PRIMARY KEY,
    count bigint NOT NULL,
    last  bigint NOT NULL
);

-- The work list: the row goes in the transaction that settles the entry.
CREATE TABLE @work (
    part         smallint NOT NULL,
    seq          bigint NOT NULL,
    kind         smallint NOT NULL,
    connection   text COLLATE "C" NOT NULL,
    lane         bigint NOT NULL,
    due          bigint NOT NULL,           -- 9223372036854775807 = parked
    attempt      bigint NOT NULL,
    uncertain    boolean NOT NULL,
    acknowledged boolean NOT NULL,
    PRIMARY KEY (part, seq)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX work_lane ON @work (lane, seq) WHERE kind = 3;
CREATE INDEX work_parked ON @work (seq) WHERE due = 9223372036854775807;

-- What is neither on the work list nor done: dead, dropped, cancelled, discarded, replayed.
CREATE TABLE @settled (
    seq          bigint PRIMARY KEY,
    state        smallint NOT NULL,         -- EntryState
    acknowledged boolean NOT NULL
);
CREATE INDEX settled_state ON @settled (state, seq);

-- By how much the work list grew and shrank, by `Backlog::slot`. Rows are added up, and put together from time to time:
-- a count that is updated would have every transaction wait for every other.
CREATE TABLE @backlog (
    connection text COLLATE "C" NOT NULL,
    kind       smallint NOT NULL,
    slot       bigint NOT NULL,
    count      bigint NOT NULL
);

-- Outcomes are inserted and pruned, never updated.
CREATE TABLE @outcome (
    seq       bigint NOT NULL,
    nth       bigint GENERATED ALWAYS AS IDENTITY,
    at        bigint NOT NULL,
    what      smallint NOT NULL,
    attempt   bigint,
    due       bigint,
    uncertain boolean,
    reason    text COLLATE "C",
    receipt   text COLLATE "C",
    actor     text COLLATE "C",
    replay    bigint,
    note      bytea,
    trace     bytea,
    PRIMARY KEY (seq, nth)
);
CREATE INDEX outcome_receipt ON @outcome (receipt) WHERE receipt IS NOT NULL;

-- Deleted documents and tokens keep their version: bytes are NULL.
CREATE TABLE @document (key text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, bytes bytea) WITH (fillfactor = 70);
CREATE TABLE @token (key text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, bytes bytea) WITH (fillfactor = 70);

-- What was spent of quotas, by key, and the numbers of permits.
CREATE TABLE @quota (key text COLLATE "C" PRIMARY KEY, state bytea NOT NULL) WITH (fillfactor = 50);
CREATE SEQUENCE @permit;
