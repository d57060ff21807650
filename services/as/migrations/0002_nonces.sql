-- Of signed requests that would do something a second time; kept for longer than they are good.
CREATE TABLE nonces (
  nonce     bytea       PRIMARY KEY CHECK (octet_length(nonce) = 16),
  forget_at timestamptz NOT NULL
);

CREATE INDEX nonces_forget ON nonces (forget_at);
