CREATE TABLE service_versions (
    service    TEXT NOT NULL,
    version    INTEGER NOT NULL,
    hash       TEXT NOT NULL,
    definition TEXT NOT NULL,
    at         INTEGER NOT NULL,
    removed_at INTEGER,
    PRIMARY KEY (service, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_versions (
    dataset  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    id       TEXT NOT NULL,
    path     TEXT NOT NULL,
    manifest TEXT NOT NULL,
    service  TEXT,
    at       INTEGER NOT NULL,
    PRIMARY KEY (dataset, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE verify_reports (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    report TEXT NOT NULL
) STRICT;
