-- What version 5 added to a store of version 4, with a row.
CREATE TABLE artifacts (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    hash       TEXT NOT NULL,
    definition TEXT NOT NULL,
    location   TEXT,
    made_of    TEXT,
    at         INTEGER NOT NULL,
    removed_at INTEGER,
    PRIMARY KEY (kind, name, version)
) STRICT, WITHOUT ROWID;

DROP TABLE service_versions;
DROP TABLE dataset_versions;

INSERT INTO artifacts VALUES ('dataset', 'churn', 3, 'ee', '{}', NULL, NULL, 9, NULL);
PRAGMA user_version = 5;
