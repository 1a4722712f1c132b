-- What an offered step takes while it runs, whether it tries a place whose circuit is open, and whether what it makes stays on the machine.
ALTER TABLE offers ADD COLUMN connection TEXT;
ALTER TABLE offers ADD COLUMN pools TEXT;
ALTER TABLE offers ADD COLUMN is_probe BIGINT NOT NULL DEFAULT 0;
ALTER TABLE offers ADD COLUMN is_local BIGINT NOT NULL DEFAULT 0;
