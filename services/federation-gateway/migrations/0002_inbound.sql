-- What others said to us, and were believed.

-- Message ids within the window in which an envelope is good: the same id stands for the same bytes.
CREATE TABLE seen (
  source text NOT NULL CHECK (length(source) BETWEEN 3 AND 253),
  message_id bytea NOT NULL CHECK (octet_length(message_id) = 16),
  -- SHA-256 of the envelope's content.
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  expires_ms bigint NOT NULL,
  PRIMARY KEY (source, message_id)
);
CREATE INDEX seen_expires ON seen (expires_ms);

-- Each start of a gateway has a chain of its own, so that replicas do not wait for each other.
CREATE TABLE audit_chains (
  chain_number integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  chain bytea NOT NULL UNIQUE CHECK (octet_length(chain) = 16),
  -- The last row: what follows is chained to it.
  position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  -- What the first row that is left goes on from.
  anchor_position bigint NOT NULL DEFAULT 0 CHECK (anchor_position >= 0),
  anchor bytea NOT NULL CHECK (octet_length(anchor) = 32)
) WITH (fillfactor = 50);

-- The record: envelopes that were accepted, as they came.
CREATE TABLE audit (
  chain_number integer NOT NULL REFERENCES audit_chains,
  position bigint NOT NULL CHECK (position > 0),
  accepted_at_ms bigint NOT NULL,
  envelope bytea NOT NULL CHECK (octet_length(envelope) <= 2048),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (chain_number, position)
);
CREATE INDEX audit_accepted_at ON audit (accepted_at_ms);
