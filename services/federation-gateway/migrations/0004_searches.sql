-- Until when a domain is not looked for again, and how often in a row it was late or away: who is, is asked
-- again after a few seconds first.
ALTER TABLE searches
  ADD COLUMN until_ms bigint NOT NULL DEFAULT 0,
  ADD COLUMN misses integer NOT NULL DEFAULT 0;
