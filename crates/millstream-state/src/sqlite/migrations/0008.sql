ALTER TABLE runs ADD COLUMN asked INTEGER;
ALTER TABLE steps ADD COLUMN figures TEXT;

CREATE TABLE outbox (
    place    INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    at       INTEGER NOT NULL,
    message  TEXT NOT NULL,
    claimed  INTEGER
) STRICT;

CREATE TABLE last_words (
    run      TEXT NOT NULL,
    asset    TEXT NOT NULL,
    receiver TEXT NOT NULL,
    message  TEXT NOT NULL,
    PRIMARY KEY (run, asset, receiver)
) STRICT, WITHOUT ROWID;
