-- Steps that the process which schedules offers to all that serve the project, until it has taken in their ends.
CREATE TABLE offers (
    lease      BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    asset      TEXT NOT NULL,
    definition TEXT NOT NULL,
    command    TEXT NOT NULL,
    due        BIGINT,
    again      BIGINT NOT NULL,
    attempt    BIGINT NOT NULL,
    offered    BIGINT NOT NULL,
    worker     BIGINT,
    claimed    BIGINT,
    ending     TEXT,
    took       BIGINT,
    versions   TEXT,
    doubtful   BIGINT,
    because    TEXT,
    repair     TEXT,
    halted_by  TEXT,
    PRIMARY KEY (lease, number)
);

-- The processes that run such steps, by their leases.
CREATE TABLE workers (
    lease  BIGINT PRIMARY KEY,
    places BIGINT NOT NULL
);

-- The lease of the server whose attempt failed; one that is gone has no fault any more.
ALTER TABLE failed_reloads ADD COLUMN lease BIGINT;

-- Calls of webhooks that another process than the one that schedules has answered, until that takes them in.
CREATE TABLE webhook_calls (
    name  TEXT PRIMARY KEY,
    calls BIGINT NOT NULL
);
