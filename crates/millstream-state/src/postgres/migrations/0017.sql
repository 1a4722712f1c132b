-- The breakers of streaming sources, as each opened last, and when somebody closed it.
CREATE TABLE breakers (
    source     TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    opened     BIGINT NOT NULL,
    judged     BIGINT NOT NULL,
    rejected   BIGINT NOT NULL,
    halt_above TEXT NOT NULL,
    examples   TEXT NOT NULL,
    resumed    BIGINT
);
