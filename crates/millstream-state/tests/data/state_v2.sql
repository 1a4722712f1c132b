-- What version 2 added to a store of version 1, with rows.
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

INSERT INTO service_versions VALUES ('churn_v1', 1, 'aa', '{}', 5, NULL), ('churn_v1', 2, 'bb', '{}', 6, 9);
INSERT INTO dataset_versions VALUES ('churn', 1, 'cc', 'churn.parquet', '{}', 'churn_v1@1', 6);
INSERT INTO verify_reports VALUES (1, 7, '{}');
PRAGMA user_version = 2;
