-- The versions, by asset, at which every rejected row was known to be rightly kept out; JSON.
ALTER TABLE partitioned_assets ADD COLUMN settled TEXT NOT NULL DEFAULT '{}';
