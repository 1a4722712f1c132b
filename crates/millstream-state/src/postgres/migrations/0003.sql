CREATE TABLE artifacts (
    kind       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    hash       TEXT NOT NULL,
    definition TEXT NOT NULL,
    location   TEXT,
    made_of    TEXT,
    at         BIGINT NOT NULL,
    removed_at BIGINT,
    PRIMARY KEY (kind, name, version)
);

INSERT INTO artifacts (kind, name, version, hash, definition, at, removed_at)
    SELECT 'service', service, version, hash, definition, at, removed_at FROM service_versions;
INSERT INTO artifacts (kind, name, version, hash, definition, location, made_of, at)
    SELECT 'dataset', dataset, version, id, manifest, path, service, at FROM dataset_versions;

DROP TABLE service_versions;
DROP TABLE dataset_versions;
