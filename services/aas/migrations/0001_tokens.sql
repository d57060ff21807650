-- The issuer keys. The private key is sealed under the service's secret key.
CREATE TABLE issuer_keys (
  key_number     integer     PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  token_class    smallint    NOT NULL CHECK (token_class IN (2, 3)),
  token_key_id   bytea       NOT NULL UNIQUE CHECK (octet_length(token_key_id) = 32),
  spki           bytea       NOT NULL CHECK (octet_length(spki) BETWEEN 300 AND 1024),
  private_sealed bytea       NOT NULL CHECK (octet_length(private_sealed) <= 4096),
  issues_from    timestamptz NOT NULL,
  issues_until   timestamptz NOT NULL CHECK (issues_until > issues_from),
  redeems_until  timestamptz NOT NULL CHECK (redeems_until > issues_until),
  UNIQUE (token_class, issues_from)
);

-- What an account drew. The account is an HMAC under the service's secret key.
CREATE TABLE allowances (
  account        bytea    NOT NULL CHECK (octet_length(account) = 32),
  token_class    smallint NOT NULL CHECK (token_class IN (2, 3)),
  period         integer  NOT NULL CHECK (period >= 0),
  drawn          integer  NOT NULL DEFAULT 0 CHECK (drawn >= 0),
  PRIMARY KEY (account, token_class, period)
);

-- Each batch that was charged: the same bytes are signed again, other bytes are refused.
CREATE TABLE batches (
  account        bytea    NOT NULL,
  token_class    smallint NOT NULL,
  period         integer  NOT NULL,
  batch_number   integer  NOT NULL CHECK (batch_number BETWEEN 0 AND 99999),
  request_hash   bytea    NOT NULL CHECK (octet_length(request_hash) = 32),
  tokens         smallint NOT NULL CHECK (tokens BETWEEN 1 AND 100),
  PRIMARY KEY (account, token_class, period, batch_number),
  FOREIGN KEY (account, token_class, period) REFERENCES allowances ON DELETE CASCADE
);

CREATE INDEX allowances_period ON allowances (period);

-- Spent tokens: one partition for each issuer key, dropped when the key retires. The primary key
-- alone decides who spends a token.
CREATE TABLE spent (
  key_number     integer NOT NULL,
  nonce          bytea   NOT NULL CHECK (octet_length(nonce) = 32),
  PRIMARY KEY (key_number, nonce)
) PARTITION BY LIST (key_number);
