ALTER TABLE scheduled_assets ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE scheduled_assets ADD COLUMN unreachable BIGINT NOT NULL DEFAULT 0;
ALTER TABLE scheduled_assets ADD COLUMN aside_since BIGINT;
ALTER TABLE scheduled_assets ADD COLUMN aside_definition TEXT;

CREATE TABLE resumptions (
    asset TEXT COLLATE "C" PRIMARY KEY,
    at    BIGINT NOT NULL
);

CREATE TABLE circuits (
    name       TEXT COLLATE "C" PRIMARY KEY,
    failures   TEXT NOT NULL,
    open_since BIGINT,
    open_until BIGINT,
    open_wait  BIGINT
);

CREATE TABLE retry_budgets (
    scope   TEXT COLLATE "C" PRIMARY KEY,
    minutes TEXT NOT NULL
);

CREATE TABLE sla_promises (
    asset        TEXT COLLATE "C" NOT NULL,
    promise      TEXT COLLATE "C" NOT NULL,
    since        BIGINT NOT NULL,
    judged_until BIGINT NOT NULL,
    state        TEXT NOT NULL,
    broken_since BIGINT,
    PRIMARY KEY (asset, promise)
);

CREATE TABLE sla_breaches (
    asset     TEXT COLLATE "C" NOT NULL,
    promise   TEXT COLLATE "C" NOT NULL,
    broken_at BIGINT NOT NULL,
    met_at    BIGINT,
    PRIMARY KEY (asset, promise, broken_at)
);
