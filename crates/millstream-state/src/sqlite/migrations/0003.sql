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
