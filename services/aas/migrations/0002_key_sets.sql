-- What the AS signed of the key sets: one signature for all replicas, so that everyone is served the
-- same bytes.
CREATE TABLE key_sets (
  key_set_hash   bytea       PRIMARY KEY CHECK (octet_length(key_set_hash) = 32),
  issuer         bytea       NOT NULL CHECK (octet_length(issuer) = 32),
  signature      bytea       NOT NULL CHECK (octet_length(signature) = 64),
  created_at     timestamptz NOT NULL
);
