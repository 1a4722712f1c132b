-- The oldest messages for a receiver, and those that somebody sends, are found however many wait.
CREATE INDEX outbox_by_receiver ON outbox (receiver, place);
CREATE INDEX outbox_claimed ON outbox (receiver, claimed) WHERE claimed IS NOT NULL;

-- How often the receiver has refused the message.
ALTER TABLE outbox ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
