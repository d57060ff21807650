-- What waits for other homeservers, as the DS gave it to us: numbered per group and destination by pairs
-- (incarnation, n), each row knowing the one before it, sealed under a key that is not here.

-- The last pair that was taken of a group for a destination: what the DS hears, and what the destination
-- has to reach.
CREATE TABLE marks (
  destination text NOT NULL CHECK (length(destination) BETWEEN 3 AND 253),
  group_id uuid NOT NULL,
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (destination, group_id)
) WITH (fillfactor = 70);

CREATE TABLE outbox (
  -- The order of arrival.
  position bigint GENERATED ALWAYS AS IDENTITY,
  destination text NOT NULL,
  group_id uuid NOT NULL,
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  prev_incarnation bigint NOT NULL,
  prev_n bigint NOT NULL,
  sealed bytea NOT NULL,
  -- For those that nobody takes in time.
  since_ms bigint NOT NULL,
  PRIMARY KEY (destination, group_id, incarnation, n)
);
CREATE INDEX outbox_waiting ON outbox (destination, position);
ALTER TABLE outbox ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- How it goes with a destination.
CREATE TABLE lanes (
  destination text PRIMARY KEY CHECK (length(destination) BETWEEN 3 AND 253),
  failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  next_try_ms bigint NOT NULL DEFAULT 0,
  trouble text NOT NULL DEFAULT '' CHECK (length(trouble) <= 512)
) WITH (fillfactor = 50);

-- Which replica carries which destination, by the clock of this database. Nothing here must last.
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
  sealed bytea NOT NULL
);
CREATE INDEX dead_letters_destination ON dead_letters (destination, letter_number);
ALTER TABLE dead_letters ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- Handles that their homeserver called gone, until the DS has heard of them for a day. Sealed under the
-- key that the DS and we share.
CREATE TABLE gone (
  group_id uuid NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  sealed bytea NOT NULL,
  since_ms bigint NOT NULL,
  PRIMARY KEY (group_id, digest)
);
CREATE INDEX gone_since ON gone (since_ms);
