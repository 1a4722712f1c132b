-- What version 4 added to a store of version 3, with a row of each table.
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

INSERT INTO scheduled_assets VALUES ('silver.orders', 1, 55, 44, '[1000,2000]');
INSERT INTO scheduled_triggers VALUES ('silver.orders', 'every 900000', 60, NULL);
INSERT INTO schedule_decisions (lease, number, at, asset, decision, because) VALUES (7, 1, 60, 'silver.orders', 'started', 'every 15m');
UPDATE millstream_state SET format = 4;
