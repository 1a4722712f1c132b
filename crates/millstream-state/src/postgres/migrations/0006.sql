ALTER TABLE runs ADD COLUMN asked BIGINT;
ALTER TABLE steps ADD COLUMN figures TEXT;

CREATE TABLE outbox (
    place    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    message  TEXT NOT NULL,
    claimed  BIGINT
);

CREATE TABLE last_words (
    run      TEXT COLLATE "C" NOT NULL,
    asset    TEXT COLLATE "C" NOT NULL,
    receiver TEXT COLLATE "C" NOT NULL,
    message  TEXT NOT NULL,
    PRIMARY KEY (run, asset, receiver)
);
