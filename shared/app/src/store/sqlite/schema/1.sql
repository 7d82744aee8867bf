-- Times are microseconds since 1970, UTC. Bodies are JSON.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO facts (name, value) VALUES ('revision', 0);

-- What is in force.
CREATE TABLE definitions (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    body TEXT NOT NULL,
    text TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Every version of a playbook that ever was in force: runs end with the version they began with.
CREATE TABLE playbook_versions (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    body TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE findings (
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    severity INTEGER NOT NULL,
    status TEXT,
    account TEXT,
    title TEXT NOT NULL,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    transition TEXT NOT NULL,
    pending INTEGER NOT NULL,
    created INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX findings_by_stored ON findings (stored);
CREATE INDEX findings_pending ON findings (stored) WHERE pending = 1;

CREATE TABLE runs (
    id TEXT NOT NULL UNIQUE,
    finding TEXT NOT NULL,
    automation TEXT,
    playbook TEXT NOT NULL,
    stage TEXT NOT NULL,
    state TEXT NOT NULL,
    -- When somebody should take it up; nothing once it is over.
    due INTEGER,
    owner TEXT,
    fence INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    -- Its state and time of update are those of the day it was made; the columns hold the present ones.
    body TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_finding ON runs (finding, created);
CREATE INDEX runs_by_created ON runs (created);
CREATE INDEX runs_due ON runs (due) WHERE due IS NOT NULL;
CREATE INDEX runs_finished ON runs (updated) WHERE due IS NULL;

CREATE TABLE journal (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    body BLOB NOT NULL,
    dedupe TEXT,
    -- Proves who has it in hand; nothing while it waits.
    receipt TEXT,
    received INTEGER NOT NULL DEFAULT 0,
    visible INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    -- When it was given up; nothing while it is alive.
    died INTEGER,
    reason TEXT
) STRICT;
CREATE INDEX messages_alive ON messages (queue, visible, id) WHERE died IS NULL;
CREATE INDEX messages_by_visible ON messages (visible) WHERE died IS NULL;
CREATE INDEX messages_dead ON messages (died) WHERE died IS NOT NULL;
CREATE INDEX messages_dedupe ON messages (queue, dedupe) WHERE dedupe IS NOT NULL;
