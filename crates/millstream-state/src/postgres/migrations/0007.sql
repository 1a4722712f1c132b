CREATE TABLE partitioned_assets (
    asset       TEXT COLLATE "C" PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    seen        TEXT NOT NULL,
    version     BIGINT,
    built       BIGINT NOT NULL,
    micros      BIGINT NOT NULL
);

CREATE TABLE partitions (
    asset           TEXT COLLATE "C" NOT NULL,
    first_partition BIGINT NOT NULL,
    last_partition  BIGINT NOT NULL,
    status          TEXT NOT NULL,
    error           TEXT,
    parameters      TEXT NOT NULL,
    PRIMARY KEY (asset, first_partition)
);

CREATE TABLE partition_values (
    asset     TEXT COLLATE "C" NOT NULL,
    partition BIGINT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (asset, partition)
);

CREATE TABLE partition_checks (
    asset     TEXT COLLATE "C" NOT NULL,
    partition BIGINT NOT NULL,
    check_id  TEXT COLLATE "C" NOT NULL,
    severity  TEXT NOT NULL,
    failed    BIGINT NOT NULL,
    observed  TEXT,
    PRIMARY KEY (asset, partition, check_id)
);

CREATE TABLE backfills (
    backfill   TEXT COLLATE "C" PRIMARY KEY,
    asset      TEXT COLLATE "C" NOT NULL,
    wanted     TEXT NOT NULL,
    done       TEXT NOT NULL,
    failed     TEXT NOT NULL,
    chunk      TEXT NOT NULL,
    parameters TEXT NOT NULL,
    parallel   BIGINT NOT NULL,
    status     TEXT NOT NULL,
    started    BIGINT NOT NULL,
    finished   BIGINT
);

CREATE INDEX backfills_by_start ON backfills (started, backfill);
