CREATE TABLE housekeeping (
    name     TEXT COLLATE "C" PRIMARY KEY,
    since    BIGINT NOT NULL,
    begun    BIGINT,
    ended    BIGINT,
    failures BIGINT NOT NULL,
    error    TEXT,
    code     TEXT
);
