-- Times are microseconds since 1970 UTC, lengths of time microseconds, fingerprints hexadecimal digits.

CREATE TABLE runs (
    run      TEXT PRIMARY KEY,
    command  TEXT NOT NULL,
    version  TEXT NOT NULL,
    started  INTEGER NOT NULL,
    finished INTEGER,
    outcome  TEXT
) STRICT;
CREATE INDEX runs_by_start ON runs (started);

CREATE TABLE steps (
    id            INTEGER PRIMARY KEY,
    run           TEXT NOT NULL,
    asset         TEXT NOT NULL,
    reason        TEXT NOT NULL,
    reason_text   TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    message       TEXT,
    code          TEXT,
    hint          TEXT,
    rows_written  INTEGER NOT NULL,
    rows_deleted  INTEGER NOT NULL,
    rows_rejected INTEGER NOT NULL,
    version       INTEGER,
    finished      INTEGER NOT NULL,
    elapsed       INTEGER NOT NULL
) STRICT;
CREATE INDEX steps_by_asset ON steps (asset, id);
CREATE INDEX steps_by_run ON steps (run);

CREATE TABLE assets (
    asset          TEXT PRIMARY KEY,
    fingerprint    TEXT NOT NULL,
    input_versions TEXT NOT NULL,
    version        INTEGER,
    rows           INTEGER,
    built_at       INTEGER NOT NULL,
    status         TEXT NOT NULL,
    message        TEXT,
    code           TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE landings (
    source        TEXT PRIMARY KEY,
    epoch         INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parts (
    source   TEXT NOT NULL,
    part     TEXT NOT NULL,
    version  TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (source, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE schema_versions (
    table_name TEXT NOT NULL,
    version    INTEGER NOT NULL,
    columns    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    run        TEXT,
    part       TEXT,
    change     TEXT NOT NULL,
    PRIMARY KEY (table_name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE check_results (
    run      TEXT NOT NULL,
    asset    TEXT NOT NULL,
    check_id TEXT NOT NULL,
    severity TEXT NOT NULL,
    passed   INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    observed TEXT,
    PRIMARY KEY (run, asset, check_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE metrics (
    asset TEXT NOT NULL,
    name  TEXT NOT NULL,
    at    INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (asset, name, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
    table_name TEXT NOT NULL,
    version    INTEGER NOT NULL,
    pinned_by  TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (table_name, version, pinned_by)
) STRICT, WITHOUT ROWID;
