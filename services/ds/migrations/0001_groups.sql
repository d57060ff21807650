-- Groups. Everything that says who is in one is sealed under the group's EAR key, which is not here.

CREATE TABLE groups (
  group_id uuid PRIMARY KEY,
  epoch bigint NOT NULL CHECK (epoch >= 0),
  -- Grows with every change of the roster: caches are keyed by it.
  roster_version bigint NOT NULL CHECK (roster_version >= 0),
  -- Months since 1970-01.
  used_month integer NOT NULL
) WITH (fillfactor = 70);

-- Ids of groups that were deleted. They are never used again.
CREATE TABLE tombstones (
  group_id uuid PRIMARY KEY,
  -- HMAC of the deleter's key under the EAR key: its retry gets the same answer.
  digest bytea NOT NULL CHECK (length(digest) = 32)
);

-- The hot part: what a message needs.
CREATE TABLE rosters (
  group_id uuid PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
  sealed bytea NOT NULL
);

-- The cold part: the public group (tree, GroupContext) and its GroupInfo, of the current epoch.
CREATE TABLE states (
  group_id uuid PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
  sealed bytea NOT NULL
);

-- Tree and wrapped link keys of an epoch that has joiners who did not commit yet.
CREATE TABLE join_infos (
  group_id uuid NOT NULL REFERENCES groups ON DELETE CASCADE,
  epoch bigint NOT NULL,
  sealed bytea NOT NULL,
  -- Days since 1970-01-01, of the insert.
  day integer NOT NULL,
  PRIMARY KEY (group_id, epoch)
);
CREATE INDEX join_infos_day ON join_infos (day);

-- Commits and proposals, as they were fanned out.
CREATE TABLE log (
  group_id uuid NOT NULL REFERENCES groups ON DELETE CASCADE,
  -- The epoch that it was made in.
  epoch bigint NOT NULL,
  -- Proposals from 0, then the commit.
  position integer NOT NULL CHECK (position >= 0),
  is_commit boolean NOT NULL,
  sealed bytea NOT NULL,
  day integer NOT NULL,
  PRIMARY KEY (group_id, epoch, position)
);
-- One winner per epoch.
CREATE UNIQUE INDEX log_one_commit ON log (group_id, epoch) WHERE is_commit;
CREATE INDEX log_day ON log (day);

-- The answers that were given, so that the same message gets the same one and is not delivered twice.
-- Written with each message: without a foreign key, which would cost a look-up each time.
CREATE TABLE accepted (
  group_id uuid NOT NULL,
  -- HMAC of the message's SHA-256 under the EAR key.
  digest bytea NOT NULL CHECK (length(digest) = 32),
  sealed bytea NOT NULL,
  day integer NOT NULL,
  PRIMARY KEY (group_id, digest)
);
CREATE INDEX accepted_day ON accepted (day);
