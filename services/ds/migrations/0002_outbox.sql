-- What waits to be fanned out. A group's rows for a destination are numbered by pairs (incarnation, n);
-- each knows the one before it. Rows outlive their group, whose last event they may be.

CREATE TABLE outbox_heads (
  group_id uuid NOT NULL,
  destination text NOT NULL CHECK (length(destination) <= 253),
  partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 15),
  -- The last pair given out. It stays when nobody of the destination is left.
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  -- The group is deleted: the head goes with the last row.
  closed boolean NOT NULL DEFAULT false,
  PRIMARY KEY (group_id, destination)
) WITH (fillfactor = 70);

CREATE TABLE outbox (
  -- The order of acceptance: within a group that of the numbers, between groups a fair one.
  position bigint GENERATED ALWAYS AS IDENTITY,
  group_id uuid NOT NULL,
  destination text NOT NULL,
  partition smallint NOT NULL,
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  prev_incarnation bigint NOT NULL,
  prev_n bigint NOT NULL,
  -- FanOut under the transport key.
  sealed bytea NOT NULL,
  PRIMARY KEY (group_id, destination, incarnation, n)
);
CREATE INDEX outbox_waiting ON outbox (destination, partition, position);
-- Ciphertext does not compress.
ALTER TABLE outbox ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE log ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE rosters ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE states ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE join_infos ALTER COLUMN sealed SET STORAGE EXTERNAL;
