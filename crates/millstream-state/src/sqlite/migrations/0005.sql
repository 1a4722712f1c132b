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

INSERT INTO artifacts (kind, name, version, hash, definition, at, removed_at)
    SELECT 'service', service, version, hash, definition, at, removed_at FROM service_versions;
INSERT INTO artifacts (kind, name, version, hash, definition, location, made_of, at)
    SELECT 'dataset', dataset, version, id, manifest, path, service, at FROM dataset_versions;

DROP TABLE service_versions;
DROP TABLE dataset_versions;
