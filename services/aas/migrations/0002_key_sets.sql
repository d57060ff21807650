-- What the AS signed of the key sets: one signature for all replicas, so that everyone is served the
-- same bytes. Sealed, as it names the AS's key: no value stands in the rows of two services.
CREATE TABLE key_sets (
  key_set_hash   bytea       PRIMARY KEY CHECK (octet_length(key_set_hash) = 32),
  signed_sealed  bytea       NOT NULL CHECK (octet_length(signed_sealed) BETWEEN 96 AND 160),
  created_at     timestamptz NOT NULL
);
