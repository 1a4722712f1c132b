CREATE TABLE housekeeping (
    name     TEXT PRIMARY KEY,
    since    INTEGER NOT NULL,
    begun    INTEGER,
    ended    INTEGER,
    failures INTEGER NOT NULL,
    error    TEXT,
    code     TEXT
) STRICT, WITHOUT ROWID;
