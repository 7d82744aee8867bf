-- When the last of the messages that told of it was sent.
ALTER TABLE findings ADD COLUMN sent INTEGER;
