-- What the hub looks after by itself.

-- For expiry: groups that nobody used for long.
CREATE INDEX groups_used_month ON groups (used_month);

-- Queues that their QS called gone, until the member is removed or says where it is reached instead.
CREATE TABLE dead_queues (
  group_id uuid NOT NULL REFERENCES groups ON DELETE CASCADE,
  -- HMAC of the handle under the transport key, which is not here.
  digest bytea NOT NULL CHECK (length(digest) = 32),
  PRIMARY KEY (group_id, digest)
);

-- Who reported which epochs, sealed under the EAR key. In clear: that somebody reported something, and
-- the day of the last report, when the row expires.
CREATE TABLE reports (
  group_id uuid PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
  sealed bytea NOT NULL,
  day integer NOT NULL
);
CREATE INDEX reports_day ON reports (day);

-- The directory. Public rooms are open to everybody, this server too: their keys are here in clear by
-- design (design §6).
CREATE TABLE public_rooms (
  group_id uuid PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  -- As it is searched: lower case, in one normal form.
  folded text NOT NULL,
  ear_key bytea NOT NULL CHECK (length(ear_key) = 32),
  link_wrapper_key bytea NOT NULL CHECK (length(link_wrapper_key) = 32),
  participant_key bytea NOT NULL CHECK (length(participant_key) = 32)
);
