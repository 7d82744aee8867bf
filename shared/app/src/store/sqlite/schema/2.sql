-- Questions to people.
CREATE TABLE approvals (
    id TEXT NOT NULL UNIQUE,
    run TEXT NOT NULL,
    finding TEXT NOT NULL,
    playbook TEXT NOT NULL,
    stage TEXT NOT NULL,
    state TEXT NOT NULL,
    asked TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    expires INTEGER NOT NULL,
    -- When it was decided; nothing once the run has heard of it.
    unheard INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    -- Its state and who was asked are those of the moment it was made; the columns hold the present ones.
    body TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_by_created ON approvals (created);
CREATE INDEX approvals_by_stage ON approvals (stage, created);
CREATE INDEX approvals_by_expires ON approvals (expires);
CREATE INDEX approvals_unheard ON approvals (unheard) WHERE unheard IS NOT NULL;

-- Digests of the tokens in links; the tokens themselves are nowhere.
CREATE TABLE approval_tokens (
    hash TEXT PRIMARY KEY,
    approval TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX approval_tokens_by_approval ON approval_tokens (approval);

-- What automations have changed within the last hour.
CREATE TABLE reservations (
    automation TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (automation, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_by_at ON reservations (automation, at);

-- Whether a run is to go on as soon as it would wait.
ALTER TABLE runs ADD COLUMN woken INTEGER NOT NULL DEFAULT 0;
