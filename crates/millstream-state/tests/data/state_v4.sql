-- What versions 3 and 4 added to a store of version 2, with rows.
CREATE TABLE leases (
    token  INTEGER PRIMARY KEY AUTOINCREMENT,
    holder TEXT NOT NULL,
    until  INTEGER NOT NULL
) STRICT;

CREATE TABLE leased_assets (
    asset TEXT PRIMARY KEY,
    token INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN lease INTEGER;

DROP INDEX steps_by_run;
CREATE INDEX steps_by_run ON steps (run, asset);

CREATE TABLE publications (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    run   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE published (
    asset   TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    place   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE published_before (
    asset   TEXT NOT NULL,
    place   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (asset, place)
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN principal TEXT;

INSERT INTO dataset_versions VALUES ('churn', 2, 'dd', 'other.parquet', '{"rows": 2}', NULL, 8);
INSERT INTO leases VALUES (7, '{"pid":1,"host":"desk","machine":null,"started":5,"command":"run","mark":null}', 9);
INSERT INTO leased_assets VALUES ('silver.orders', 7);
INSERT INTO publications VALUES (1, '0199-a');
INSERT INTO published VALUES ('bronze.orders', 1, 1);
PRAGMA user_version = 4;
