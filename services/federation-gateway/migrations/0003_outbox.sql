-- What waits for other homeservers, as the DS gave it to us: numbered per group and destination by pairs
-- (incarnation, n), each row knowing the one before it, sealed under a key that is not here.

-- The last pair that was taken of a group for a destination: what the DS hears, and what the destination
-- has to reach.
CREATE TABLE marks (
  -- HMAC of destination and group under the secret of this service, which is not here.
  tag bytea PRIMARY KEY CHECK (octet_length(tag) = 32),
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  -- When the destination was last given something by which it would see a loss.
  told_ms bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE outbox (
  -- The order of arrival: within a group that of the numbers, between groups a fair one.
  position bigint GENERATED ALWAYS AS IDENTITY,
  destination text NOT NULL CHECK (length(destination) BETWEEN 1 AND 253),
  group_id uuid NOT NULL,
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  prev_incarnation bigint NOT NULL,
  prev_n bigint NOT NULL,
  -- 1 an event; 3 a head: there was something up to this number, which is its prev too.
  kind smallint NOT NULL CHECK (kind IN (1, 3)),
  -- FanOut under the transport key; empty for heads.
  sealed bytea NOT NULL,
  -- For those that nobody takes in time.
  since_ms bigint NOT NULL,
  PRIMARY KEY (destination, group_id, incarnation, n)
);
CREATE INDEX outbox_waiting ON outbox (destination, position);
CREATE INDEX outbox_since ON outbox (since_ms);
CREATE INDEX outbox_heads ON outbox (since_ms) WHERE kind = 3;
ALTER TABLE outbox ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Destinations that could not be reached the last time.
CREATE TABLE lanes (
  destination text PRIMARY KEY CHECK (length(destination) BETWEEN 1 AND 253),
  failures integer NOT NULL CHECK (failures >= 0),
  next_try_ms bigint NOT NULL,
  trouble text NOT NULL CHECK (length(trouble) <= 512)
) WITH (fillfactor = 50);

-- Which replica carries which destination, by the clock of this database. Nothing here must last.
CREATE UNLOGGED TABLE senders (
  replica text PRIMARY KEY CHECK (length(replica) <= 64),
  expires_at timestamptz NOT NULL
);
CREATE UNLOGGED TABLE leases (
  destination text PRIMARY KEY,
  replica text NOT NULL CHECK (length(replica) <= 64),
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What was given up. The destination is told that something is missing.
CREATE TABLE dead_letters (
  letter_number bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  destination text NOT NULL,
  group_id uuid NOT NULL,
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  reason text NOT NULL CHECK (length(reason) <= 64),
  at_ms bigint NOT NULL,
  bytes integer NOT NULL CHECK (bytes >= 0),
  -- What a peer could not read, for whoever looks into it; of what only came too late nothing.
  sealed bytea NOT NULL
);
CREATE INDEX dead_letters_destination ON dead_letters (destination, letter_number);
CREATE INDEX dead_letters_at ON dead_letters (at_ms);
ALTER TABLE dead_letters ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Handles that their homeserver called gone, until the DS has heard of them. Sealed under the key that the
-- DS and we share.
CREATE TABLE gone (
  -- As in marks.
  tag bytea NOT NULL CHECK (octet_length(tag) = 32),
  -- HMAC of the handle under the secret of this service.
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  sealed bytea NOT NULL CHECK (octet_length(sealed) <= 128),
  since_ms bigint NOT NULL,
  -- When the DS was first told; an answer may be lost, so it is told again for a day.
  told_ms bigint,
  PRIMARY KEY (tag, digest)
);
CREATE INDEX gone_since ON gone (since_ms);
