-- What version 6 added to a store of version 5, with a row of each table.
CREATE TABLE scheduled_assets (
    asset               TEXT PRIMARY KEY,
    attempt             INTEGER,
    attempt_fresh_as_of INTEGER,
    fresh_as_of         INTEGER,
    durations           TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scheduled_triggers (
    asset    TEXT NOT NULL,
    cause    TEXT NOT NULL,
    answered INTEGER NOT NULL,
    noted    INTEGER,
    PRIMARY KEY (asset, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule_decisions (
    place    INTEGER PRIMARY KEY AUTOINCREMENT,
    lease    INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    asset    TEXT NOT NULL,
    decision TEXT NOT NULL,
    because  TEXT NOT NULL,
    UNIQUE (lease, number)
) STRICT;

CREATE INDEX schedule_decisions_of_assets ON schedule_decisions (asset, place);

INSERT INTO scheduled_assets VALUES ('silver.orders', 1, 55, 44, '[1000,2000]');
INSERT INTO scheduled_triggers VALUES ('silver.orders', 'every 900000', 60, NULL);
INSERT INTO schedule_decisions (lease, number, at, asset, decision, because) VALUES (7, 1, 60, 'silver.orders', 'started', 'every 15m');
PRAGMA user_version = 6;
