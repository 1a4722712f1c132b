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
