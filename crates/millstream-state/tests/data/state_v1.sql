-- A state store as version 1 wrote it. Never change this file: it shows that old stores are read.
PRAGMA application_id = 1296649299;
PRAGMA user_version = 1;

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
INSERT INTO runs VALUES
    ('0199-a', 'millstream run', '0.1.0', 1790000000000000, 1790000001000000, 'succeeded'),
    ('0199-b', 'millstream run +silver.orders', '0.1.0', 1790000100000000, 1790000101000000, 'failed');
INSERT INTO steps VALUES
    (1, '0199-a', 'bronze.orders', 'never_built', 'never built', 'built', NULL, NULL, NULL, 4000, 0, 12, 1, 1790000000500000, 480000),
    (2, '0199-b', 'bronze.orders', 'new_input', 'new input: data/orders/2.csv', 'built', NULL, NULL, NULL, 200, 0, 0, 3, 1790000100500000, 20000),
    (3, '0199-b', 'silver.orders', 'new_input', 'new input: bronze.orders', 'failed', 'disk full', 'MS-0401', 'free space', 0, 0, 0, NULL, 1790000100600000, 90000);
INSERT INTO assets VALUES
    ('bronze.orders', '0707070707070707070707070707070707070707070707070707070707070707', '{}', 3, 4200, 1790000000000000, 'built', NULL, NULL),
    ('silver.orders', '0808080808080808080808080808080808080808080808080808080808080808', '{"bronze.orders":3}', 0, 4000, 1790000000700000, 'failed', 'disk full', 'MS-0401');
INSERT INTO landings VALUES ('orders', 3, 4200);
INSERT INTO parts VALUES
    ('orders', 'data/orders/1.csv', '{"size":120000}', 4001),
    ('orders', 'data/orders/2.csv', '{"size":6000}', 201);
INSERT INTO schema_versions VALUES
    ('bronze.orders', 1, '[["order_id","int64"]]', 1790000000000000, '0199-a', 'data/orders/1.csv', 'first schema'),
    ('bronze.orders', 2, '[["order_id","int64"],["note","string"]]', 1790000100000000, '0199-b', 'data/orders/2.csv', 'added `note`');
INSERT INTO check_results VALUES ('0199-b', 'bronze.orders', 'not_null(order_id)', 'quarantine', 0, 12, '0.3 %');
INSERT INTO metrics VALUES
    ('bronze.orders', 'row_count', 1790000000500000, 4000.0),
    ('bronze.orders', 'row_count', 1790000100500000, 4200.0);
INSERT INTO pins VALUES ('bronze.orders', 1, 'dataset churn', 1790000050000000);
