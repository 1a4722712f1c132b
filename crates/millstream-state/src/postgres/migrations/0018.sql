-- How each pipeline was when the process that keeps it last told.
CREATE TABLE pipelines (
    asset   TEXT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    figures TEXT NOT NULL
);
