-- A state store of PostgreSQL as format 2 had it, with rows. Never change this file: it shows that old stores are read.
CREATE TABLE millstream_state (format BIGINT NOT NULL, project TEXT NOT NULL);
INSERT INTO millstream_state VALUES (2, 'shop');

CREATE TABLE runs (
    run       TEXT COLLATE "C" PRIMARY KEY,
    command   TEXT NOT NULL,
    version   TEXT NOT NULL,
    started   BIGINT NOT NULL,
    finished  BIGINT,
    outcome   TEXT,
    lease     BIGINT,
    principal TEXT
);
CREATE INDEX runs_by_start ON runs (started);

CREATE TABLE steps (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run           TEXT COLLATE "C" NOT NULL,
    asset         TEXT COLLATE "C" NOT NULL,
    reason        TEXT NOT NULL,
    reason_text   TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    message       TEXT,
    code          TEXT,
    hint          TEXT,
    rows_written  BIGINT NOT NULL,
    rows_deleted  BIGINT NOT NULL,
    rows_rejected BIGINT NOT NULL,
    version       BIGINT,
    finished      BIGINT NOT NULL,
    elapsed       BIGINT NOT NULL
);
CREATE INDEX steps_by_asset ON steps (asset, id);
CREATE INDEX steps_by_run ON steps (run, asset);

CREATE TABLE assets (
    asset          TEXT COLLATE "C" PRIMARY KEY,
    fingerprint    TEXT NOT NULL,
    input_versions TEXT NOT NULL,
    version        BIGINT,
    rows           BIGINT,
    built_at       BIGINT NOT NULL,
    status         TEXT NOT NULL,
    message        TEXT,
    code           TEXT
);

CREATE TABLE landings (
    source        TEXT COLLATE "C" PRIMARY KEY,
    epoch         BIGINT NOT NULL,
    next_sequence BIGINT NOT NULL
);

CREATE TABLE parts (
    source   TEXT COLLATE "C" NOT NULL,
    part     TEXT COLLATE "C" NOT NULL,
    version  TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (source, part)
);

CREATE TABLE schema_versions (
    table_name TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    columns    TEXT NOT NULL,
    at         BIGINT NOT NULL,
    run        TEXT,
    part       TEXT,
    change     TEXT NOT NULL,
    PRIMARY KEY (table_name, version)
);

CREATE TABLE check_results (
    run      TEXT COLLATE "C" NOT NULL,
    asset    TEXT COLLATE "C" NOT NULL,
    check_id TEXT COLLATE "C" NOT NULL,
    severity TEXT NOT NULL,
    passed   BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    observed TEXT,
    PRIMARY KEY (run, asset, check_id)
);

CREATE TABLE metrics (
    asset TEXT COLLATE "C" NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    at    BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (asset, name, at)
);

CREATE TABLE pins (
    table_name TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    pinned_by  TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (table_name, version, pinned_by)
);

CREATE TABLE service_versions (
    service    TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    hash       TEXT NOT NULL,
    definition TEXT NOT NULL,
    at         BIGINT NOT NULL,
    removed_at BIGINT,
    PRIMARY KEY (service, version)
);

CREATE TABLE dataset_versions (
    dataset  TEXT COLLATE "C" NOT NULL,
    version  BIGINT NOT NULL,
    id       TEXT NOT NULL,
    path     TEXT NOT NULL,
    manifest TEXT NOT NULL,
    service  TEXT,
    at       BIGINT NOT NULL,
    PRIMARY KEY (dataset, version)
);

CREATE TABLE verify_reports (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    report TEXT NOT NULL
);

CREATE TABLE leases (
    token  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL
);

CREATE TABLE leased_assets (
    asset TEXT COLLATE "C" PRIMARY KEY,
    token BIGINT NOT NULL
);

CREATE TABLE publications (
    place BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run   TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE published (
    asset   TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    place   BIGINT NOT NULL
);

CREATE TABLE published_before (
    asset   TEXT COLLATE "C" NOT NULL,
    place   BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (asset, place)
);

INSERT INTO runs VALUES ('0199-a', 'millstream run', '0.1.0', 5, 6, 'succeeded', NULL, 'ci');
INSERT INTO service_versions VALUES ('churn_v1', 1, 'aa', '{}', 5, NULL), ('churn_v1', 2, 'bb', '{}', 6, 9);
INSERT INTO dataset_versions VALUES
    ('churn', 1, 'cc', 'churn.parquet', '{}', 'churn_v1@1', 6),
    ('churn', 2, 'dd', 'other.parquet', '{"rows": 2}', NULL, 8);
