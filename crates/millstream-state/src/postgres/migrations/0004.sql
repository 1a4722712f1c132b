CREATE TABLE scheduled_assets (
    asset               TEXT COLLATE "C" PRIMARY KEY,
    attempt             BIGINT,
    attempt_fresh_as_of BIGINT,
    fresh_as_of         BIGINT,
    durations           TEXT NOT NULL
);

CREATE TABLE scheduled_triggers (
    asset    TEXT COLLATE "C" NOT NULL,
    cause    TEXT COLLATE "C" NOT NULL,
    answered BIGINT NOT NULL,
    noted    BIGINT,
    PRIMARY KEY (asset, cause)
);

CREATE TABLE schedule_decisions (
    place    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lease    BIGINT NOT NULL,
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    asset    TEXT COLLATE "C" NOT NULL,
    decision TEXT NOT NULL,
    because  TEXT NOT NULL,
    UNIQUE (lease, number)
);

CREATE INDEX schedule_decisions_of_assets ON schedule_decisions (asset, place);
