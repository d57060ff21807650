-- Whom this homeserver exchanges messages with, what it signs with, and what it believes of the others.

-- One row: 1 allowlist, 2 open. Closed until the operator says otherwise.
CREATE TABLE policy (
  is_there boolean PRIMARY KEY DEFAULT true CHECK (is_there),
  mode smallint NOT NULL DEFAULT 1 CHECK (mode IN (1, 2))
);
INSERT INTO policy DEFAULT VALUES;

-- What the operator said of a domain: 1 allowed, 2 blocked.
CREATE TABLE listings (
  domain text PRIMARY KEY CHECK (length(domain) BETWEEN 3 AND 253),
  kind smallint NOT NULL CHECK (kind IN (1, 2)),
  -- host:port, instead of where its directory says; empty for none.
  endpoint text NOT NULL CHECK (length(endpoint) <= 260),
  note text NOT NULL CHECK (length(note) <= 256),
  since timestamptz NOT NULL
);

-- Our own federation keys, the private halves sealed under the service's secret. They are never deleted:
-- others check with them what we said.
CREATE TABLE keys (
  key_number integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  public_key bytea NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
  private_sealed bytea NOT NULL CHECK (octet_length(private_sealed) = 60),
  not_before_ms bigint NOT NULL CHECK (not_before_ms > 0),
  not_after_ms bigint NOT NULL CHECK (not_after_ms > not_before_ms),
  revoked_at_ms bigint CHECK (revoked_at_ms > 0),
  predecessor bytea NOT NULL CHECK (octet_length(predecessor) = 8),
  endorsement bytea NOT NULL CHECK (octet_length(endorsement) = 64)
);

-- What we publish: the same bytes by every replica.
CREATE TABLE directory (
  is_there boolean PRIMARY KEY DEFAULT true CHECK (is_there),
  serial bigint NOT NULL CHECK (serial > 0),
  signed bytea NOT NULL CHECK (octet_length(signed) <= 33000),
  -- SHA-256 of all in it but its times and serial: whether another one is due.
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  signed_at_ms bigint NOT NULL
);

-- Homeservers that were found, and the directory that was believed last.
CREATE TABLE peers (
  domain text PRIMARY KEY CHECK (length(domain) BETWEEN 3 AND 253),
  -- New ones start slowly.
  first_met timestamptz NOT NULL,
  serial bigint NOT NULL CHECK (serial >= 0),
  signed bytea NOT NULL CHECK (octet_length(signed) <= 33000),
  content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
  read_at_ms bigint NOT NULL,
  relied_until_ms bigint NOT NULL CHECK (relied_until_ms > read_at_ms)
) WITH (fillfactor = 70);

-- All keys of theirs that were ever believed: the record is checked with them.
CREATE TABLE peer_keys (
  domain text NOT NULL REFERENCES peers ON DELETE CASCADE,
  key_id bytea NOT NULL CHECK (octet_length(key_id) = 8),
  public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
  not_before_ms bigint NOT NULL,
  not_after_ms bigint NOT NULL,
  revoked_at_ms bigint,
  PRIMARY KEY (domain, key_id)
);

-- When a domain was last looked for, by whichever replica, so that nobody makes us look without end.
-- Nothing here must last.
CREATE UNLOGGED TABLE searches (
  domain text PRIMARY KEY CHECK (length(domain) BETWEEN 3 AND 253),
  at_ms bigint NOT NULL,
  -- Why it was not found; empty where it was.
  trouble text NOT NULL CHECK (length(trouble) <= 512)
) WITH (fillfactor = 70);
CREATE INDEX searches_at ON searches (at_ms);
