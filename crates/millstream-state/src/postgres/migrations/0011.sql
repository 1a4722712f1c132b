-- When the asset's attempts began to end badly, one after the other; nothing while the last one ended well.
ALTER TABLE assets ADD COLUMN bad_since BIGINT;
UPDATE assets SET bad_since =
    (SELECT finished FROM steps WHERE steps.asset = assets.asset ORDER BY steps.id DESC LIMIT 1)
WHERE status <> 'built';

-- What was found damaged or lost, and what was done about it by itself.
CREATE TABLE repairs (
    repair  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset   TEXT COLLATE "C" NOT NULL,
    code    TEXT NOT NULL,
    cause   TEXT NOT NULL,
    action  TEXT NOT NULL,
    found   BIGINT NOT NULL,
    state   TEXT NOT NULL,
    ended   BIGINT,
    message TEXT
);

CREATE INDEX repairs_of_asset ON repairs (asset, repair);
