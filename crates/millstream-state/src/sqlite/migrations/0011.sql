-- Whoever begins a run looks for those that were left without an end, however many have ended.
CREATE INDEX runs_without_end ON runs (lease) WHERE outcome IS NULL;

-- One row at most: a server could not load its project again, and goes on with what it had loaded.
CREATE TABLE failed_reloads (
    at      INTEGER NOT NULL,
    code    TEXT NOT NULL,
    message TEXT NOT NULL,
    hint    TEXT
) STRICT;
