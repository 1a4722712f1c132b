-- How each pipeline was when the process that keeps it last told.
CREATE TABLE pipelines (
    asset   TEXT NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    figures TEXT NOT NULL
) STRICT, WITHOUT ROWID;
