-- Steps that the process which schedules offers to all that serve the project, until it has taken in their ends.
CREATE TABLE offers (
    lease      INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    asset      TEXT NOT NULL,
    definition TEXT NOT NULL,
    command    TEXT NOT NULL,
    due        INTEGER,
    again      INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    offered    INTEGER NOT NULL,
    worker     INTEGER,
    claimed    INTEGER,
    ending     TEXT,
    took       INTEGER,
    versions   TEXT,
    doubtful   INTEGER,
    because    TEXT,
    repair     TEXT,
    halted_by  TEXT,
    PRIMARY KEY (lease, number)
) STRICT, WITHOUT ROWID;

-- The processes that run such steps, by their leases.
CREATE TABLE workers (
    lease  INTEGER PRIMARY KEY,
    places INTEGER NOT NULL
) STRICT;

-- The lease of the server whose attempt failed; one that is gone has no fault any more.
ALTER TABLE failed_reloads ADD COLUMN lease INTEGER;

-- Calls of webhooks that another process than the one that schedules has answered, until that takes them in.
CREATE TABLE webhook_calls (
    name  TEXT PRIMARY KEY,
    calls INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
