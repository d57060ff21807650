-- The queuing service. No user id and no group id is stored in any form that can be compared with
-- another service's tables. Locks are taken in this order: claims, users, queues (by client_id),
-- everything else, marks last.

CREATE TABLE users (
  user_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uuid uuid NOT NULL UNIQUE,
  auth_key bytea NOT NULL UNIQUE CHECK (octet_length(auth_key) = 32),
  tokens_version bigint NOT NULL DEFAULT 0 CHECK (tokens_version >= 0)
);

-- A token opens its user's KeyPackages. Dummies are among them.
CREATE TABLE friendship_tokens (
  token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  PRIMARY KEY (token_hash, user_id)
);
CREATE INDEX friendship_tokens_user ON friendship_tokens (user_id);

CREATE TABLE clients (
  client_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uuid uuid NOT NULL UNIQUE,
  user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  auth_key bytea NOT NULL UNIQUE CHECK (octet_length(auth_key) = 32),
  -- Months since 1970-01.
  active_month smallint NOT NULL,
  is_low_water_told boolean NOT NULL DEFAULT false
);
CREATE INDEX clients_user ON clients (user_id);

-- What changes with every delivery, apart from what does not, and without an index on it, so that
-- an update stays in its page.
CREATE TABLE queues (
  client_id bigint PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
  queue_key bytea NOT NULL CHECK (octet_length(queue_key) = 32),
  -- Sealed under a key that is not in the database.
  ratchet bytea NOT NULL CHECK (octet_length(ratchet) = 60),
  next_sequence bigint NOT NULL CHECK (next_sequence >= 0),
  acknowledged bigint NOT NULL DEFAULT 0 CHECK (acknowledged BETWEEN 0 AND next_sequence),
  stored_bytes bigint NOT NULL CHECK (stored_bytes >= 0),
  runs_since_secret integer NOT NULL DEFAULT 0 CHECK (runs_since_secret >= 0),
  is_gap_marked boolean NOT NULL DEFAULT false,
  -- Grows with every Listen; a listener with a smaller number was replaced.
  listener bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

-- No foreign key: its check would cost more than the row. Who inserts or deletes holds the queue.
CREATE TABLE runs (
  client_id bigint NOT NULL,
  first_sequence bigint NOT NULL CHECK (first_sequence >= 0),
  count integer NOT NULL CHECK (count BETWEEN 1 AND 256),
  -- Days since 1970-01-01.
  stored_day integer NOT NULL,
  ciphertext bytea NOT NULL CHECK (octet_length(ciphertext) <= 4194304),
  PRIMARY KEY (client_id, first_sequence)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- Ciphertext does not compress: nobody tries.
ALTER TABLE runs ALTER ciphertext SET STORAGE EXTERNAL;
CREATE INDEX runs_day ON runs USING brin (stored_day);

-- state: 1 active, 2 silenced, 3 gone (its client was deleted; this is reported).
-- rule, of push alone: 1 all, 2 silent, 3 muted until a minute since 1970.
CREATE TABLE handles (
  handle_hash bytea PRIMARY KEY CHECK (octet_length(handle_hash) = 32),
  client_id bigint REFERENCES clients,
  state smallint NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 3),
  is_last_resort boolean NOT NULL DEFAULT false,
  rule smallint NOT NULL DEFAULT 1 CHECK (rule BETWEEN 1 AND 3),
  muted_until integer CHECK (muted_until > 0),
  push_wrap bytea CHECK (octet_length(push_wrap) = 60),
  -- What may deliver: HMAC(handle, group id), and the group's hub.
  binding bytea CHECK (octet_length(binding) = 32),
  hub text CHECK (octet_length(hub) BETWEEN 1 AND 253),
  gone_month smallint,
  CHECK ((state = 3) = (client_id IS NULL)),
  CHECK ((state = 3) = (gone_month IS NOT NULL)),
  CHECK ((rule = 3) = (muted_until IS NOT NULL)),
  CHECK ((binding IS NULL) = (hub IS NULL))
);
CREATE INDEX handles_client ON handles (client_id);
CREATE INDEX handles_gone ON handles (gone_month) WHERE state = 3;
CREATE INDEX handles_muted ON handles (muted_until) WHERE rule = 3;

-- Where pushes go, sealed under a key that lies here only wrapped: for each handle, under the push key
-- that comes with its deliveries. is_told: a push was sent and nothing was fetched since.
CREATE TABLE push_subscriptions (
  client_id bigint PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
  sealed bytea NOT NULL CHECK (octet_length(sealed) = 1052),
  is_told boolean NOT NULL DEFAULT false
);

-- Only the handle of a last-resort KeyPackage is bound to several groups.
CREATE TABLE last_resort_bindings (
  handle_hash bytea NOT NULL REFERENCES handles ON DELETE CASCADE,
  binding bytea NOT NULL CHECK (octet_length(binding) = 32),
  hub text NOT NULL CHECK (octet_length(hub) BETWEEN 1 AND 253),
  bound_number bigint GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (handle_hash, binding)
);

-- A claimed one stays, emptied, until it expires: so nobody can publish it again.
CREATE TABLE add_packages (
  package_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  client_id bigint NOT NULL REFERENCES clients ON DELETE CASCADE,
  key_package_ref bytea NOT NULL CHECK (octet_length(key_package_ref) = 32),
  init_key bytea NOT NULL CHECK (octet_length(init_key) BETWEEN 32 AND 133),
  encryption_key bytea NOT NULL CHECK (octet_length(encryption_key) BETWEEN 32 AND 133),
  signature_key bytea NOT NULL CHECK (octet_length(signature_key) BETWEEN 32 AND 133),
  is_last_resort boolean NOT NULL,
  is_claimed boolean NOT NULL DEFAULT false,
  expires_at timestamptz NOT NULL,
  handle bytea CHECK (octet_length(handle) = 32),
  key_package bytea CHECK (octet_length(key_package) <= 65536),
  sealed_link_key bytea CHECK (octet_length(sealed_link_key) BETWEEN 1 AND 256),
  CONSTRAINT add_packages_ref UNIQUE (key_package_ref),
  CONSTRAINT add_packages_init_key UNIQUE (init_key),
  CONSTRAINT add_packages_encryption_key UNIQUE (encryption_key),
  CONSTRAINT add_packages_signature_key UNIQUE (signature_key),
  CHECK (NOT (is_claimed AND is_last_resort)),
  CHECK (is_claimed = (key_package IS NULL)),
  CHECK (is_claimed = (sealed_link_key IS NULL)),
  CHECK (is_claimed = (handle IS NULL))
);
CREATE INDEX add_packages_pool ON add_packages (client_id, is_last_resort, expires_at, package_id)
  WHERE NOT is_claimed;
CREATE INDEX add_packages_expiry ON add_packages (expires_at);

-- What a claim was answered with, for a day; request_tag is a keyed hash of what was asked.
CREATE TABLE claims (
  claim_id bytea PRIMARY KEY CHECK (octet_length(claim_id) = 16),
  request_tag bytea NOT NULL CHECK (octet_length(request_tag) = 32),
  claimed_at timestamptz NOT NULL,
  response bytea CHECK (octet_length(response) <= 1048576)
);
CREATE INDEX claims_at ON claims (claimed_at);

-- How far each group's events were stored. tag is a keyed hash of source and group.
CREATE TABLE marks (
  tag bytea PRIMARY KEY CHECK (octet_length(tag) = 32),
  incarnation bigint NOT NULL CHECK (incarnation >= 0),
  n bigint NOT NULL CHECK (n >= 0)
) WITH (fillfactor = 80);

-- Events that could not be stored, for the operator: undecodable ones, as they came, and gaps.
CREATE TABLE dead_letters (
  letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tag bytea NOT NULL,
  incarnation bigint NOT NULL,
  n bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('undecodable', 'gap')),
  sealed bytea NOT NULL CHECK (octet_length(sealed) <= 1048576),
  buried_at timestamptz NOT NULL
);
CREATE INDEX dead_letters_at ON dead_letters (buried_at);

-- Of signed requests that must not be repeated.
CREATE TABLE nonces (
  nonce bytea PRIMARY KEY CHECK (octet_length(nonce) = 16),
  seen_at timestamptz NOT NULL
);
CREATE INDEX nonces_at ON nonces (seen_at);
