-- The breakers of streaming sources, as each opened last, and when somebody closed it.
CREATE TABLE breakers (
    source     TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    opened     INTEGER NOT NULL,
    judged     INTEGER NOT NULL,
    rejected   INTEGER NOT NULL,
    halt_above TEXT NOT NULL,
    examples   TEXT NOT NULL,
    resumed    INTEGER
) STRICT, WITHOUT ROWID;
