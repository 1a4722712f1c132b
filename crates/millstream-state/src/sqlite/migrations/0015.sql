-- What steps noted and logged while they ran, in the order in which they did.
CREATE TABLE step_log (
    run     TEXT NOT NULL,
    asset   TEXT NOT NULL,
    line    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    level   TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run, asset, line)
) STRICT, WITHOUT ROWID;
