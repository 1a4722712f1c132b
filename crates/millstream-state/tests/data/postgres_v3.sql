-- What version 3 changed in a store of version 2, with a row.
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

DROP TABLE service_versions;
DROP TABLE dataset_versions;

INSERT INTO artifacts VALUES ('dataset', 'churn', 3, 'ee', '{}', NULL, NULL, 9, NULL);
UPDATE millstream_state SET format = 3;
