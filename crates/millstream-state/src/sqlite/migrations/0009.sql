CREATE TABLE partitioned_assets (
    asset       TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    seen        TEXT NOT NULL,
    version     INTEGER,
    built       INTEGER NOT NULL,
    micros      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE partitions (
    asset           TEXT NOT NULL,
    first_partition INTEGER NOT NULL,
    last_partition  INTEGER NOT NULL,
    status          TEXT NOT NULL,
    error           TEXT,
    parameters      TEXT NOT NULL,
    PRIMARY KEY (asset, first_partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE partition_values (
    asset     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE partition_checks (
    asset     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    check_id  TEXT NOT NULL,
    severity  TEXT NOT NULL,
    failed    INTEGER NOT NULL,
    observed  TEXT,
    PRIMARY KEY (asset, partition, check_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE backfills (
    backfill   TEXT PRIMARY KEY,
    asset      TEXT NOT NULL,
    wanted     TEXT NOT NULL,
    done       TEXT NOT NULL,
    failed     TEXT NOT NULL,
    chunk      TEXT NOT NULL,
    parameters TEXT NOT NULL,
    parallel   INTEGER NOT NULL,
    status     TEXT NOT NULL,
    started    INTEGER NOT NULL,
    finished   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX backfills_by_start ON backfills (started, backfill);
