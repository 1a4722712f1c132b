CREATE TABLE publications (
    place BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run   TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE published (
    asset   TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    place   BIGINT NOT NULL
);

CREATE TABLE published_before (
    asset   TEXT COLLATE "C" NOT NULL,
    place   BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (asset, place)
);

ALTER TABLE runs ADD COLUMN principal TEXT;
