ALTER TABLE scheduled_assets ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scheduled_assets ADD COLUMN unreachable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scheduled_assets ADD COLUMN aside_since INTEGER;
ALTER TABLE scheduled_assets ADD COLUMN aside_definition TEXT;

CREATE TABLE resumptions (
    asset TEXT PRIMARY KEY,
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE circuits (
    name       TEXT PRIMARY KEY,
    failures   TEXT NOT NULL,
    open_since INTEGER,
    open_until INTEGER,
    open_wait  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE retry_budgets (
    scope   TEXT PRIMARY KEY,
    minutes TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sla_promises (
    asset        TEXT NOT NULL,
    promise      TEXT NOT NULL,
    since        INTEGER NOT NULL,
    judged_until INTEGER NOT NULL,
    state        TEXT NOT NULL,
    broken_since INTEGER,
    PRIMARY KEY (asset, promise)
) STRICT, WITHOUT ROWID;

CREATE TABLE sla_breaches (
    asset     TEXT NOT NULL,
    promise   TEXT NOT NULL,
    broken_at INTEGER NOT NULL,
    met_at    INTEGER,
    PRIMARY KEY (asset, promise, broken_at)
) STRICT, WITHOUT ROWID;
