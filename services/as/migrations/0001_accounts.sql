-- The credentials of this AS: private keys sealed under the service's secret key.
CREATE TABLE authorities (
  authority_number integer     PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  kind             smallint    NOT NULL CHECK (kind IN (1, 2)),   -- 1 root, 2 intermediate
  credential       bytea       NOT NULL CHECK (octet_length(credential) BETWEEN 64 AND 2048),
  private_sealed   bytea       NOT NULL CHECK (octet_length(private_sealed) = 60),
  not_before       timestamptz NOT NULL,
  not_after        timestamptz NOT NULL CHECK (not_after > not_before)
);

-- A reservation of ten minutes between the two steps of registration.
CREATE TABLE registrations (
  registration_id  bytea       PRIMARY KEY CHECK (octet_length(registration_id) = 16),
  request_hash     bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
  user_name        text        NOT NULL CHECK (user_name ~ '^[a-z0-9][a-z0-9._-]{0,61}[a-z0-9]$'),
  user_uuid        uuid        NOT NULL,
  client_uuid      uuid        NOT NULL,
  signature_key    bytea       NOT NULL CHECK (octet_length(signature_key) = 32),
  client_credential bytea      NOT NULL CHECK (octet_length(client_credential) <= 2048),
  name_binding     bytea       NOT NULL CHECK (octet_length(name_binding) <= 2048),
  invite_hash      bytea       CHECK (octet_length(invite_hash) = 32),
  is_finished      boolean     NOT NULL DEFAULT false,
  expires_at       timestamptz NOT NULL
);

-- One open reservation of a name; taken names are in `users`.
CREATE UNIQUE INDEX registrations_name ON registrations (user_name) WHERE NOT is_finished;
CREATE UNIQUE INDEX registrations_invite ON registrations (invite_hash) WHERE NOT is_finished;
CREATE INDEX registrations_expiry ON registrations (expires_at);

CREATE TABLE users (
  user_uuid          uuid        PRIMARY KEY,
  user_name          text        NOT NULL UNIQUE CHECK (user_name ~ '^[a-z0-9][a-z0-9._-]{0,61}[a-z0-9]$'),
  name_binding       bytea       NOT NULL CHECK (octet_length(name_binding) <= 2048),
  is_searchable      boolean     NOT NULL DEFAULT true,
  is_suspended       boolean     NOT NULL DEFAULT false,
  general_allowance  integer     CHECK (general_allowance BETWEEN 0 AND 10000000),
  contact_allowance  integer     CHECK (contact_allowance BETWEEN 0 AND 10000000)
);

-- Ids are never used again, and never change.
CREATE TABLE used_ids (
  uuid uuid PRIMARY KEY
);

CREATE FUNCTION refuse_change_of_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an id is immutable';
END $$;

CREATE TRIGGER users_id_is_immutable BEFORE UPDATE OF user_uuid ON users
  FOR EACH ROW WHEN (OLD.user_uuid IS DISTINCT FROM NEW.user_uuid)
  EXECUTE FUNCTION refuse_change_of_id();

CREATE TABLE clients (
  client_uuid        uuid        PRIMARY KEY,
  user_uuid          uuid        NOT NULL REFERENCES users,
  signature_key      bytea       NOT NULL CHECK (octet_length(signature_key) = 32),
  recovery_key_hash  bytea       NOT NULL CHECK (octet_length(recovery_key_hash) = 32),
  client_credential  bytea       NOT NULL CHECK (octet_length(client_credential) <= 2048),
  connection_package bytea       NOT NULL CHECK (octet_length(connection_package) <= 4096),
  -- The direct queue: dense from 0.
  next_sequence      bigint      NOT NULL DEFAULT 0 CHECK (next_sequence >= 0),
  first_sequence     bigint      NOT NULL DEFAULT 0
                     CHECK (first_sequence >= 0 AND first_sequence <= next_sequence),
  queued_bytes       bigint      NOT NULL DEFAULT 0 CHECK (queued_bytes >= 0),
  active_month       integer     NOT NULL
);

CREATE INDEX clients_user ON clients (user_uuid);

CREATE TABLE direct_messages (
  client_uuid uuid   NOT NULL REFERENCES clients ON DELETE CASCADE,
  sequence    bigint NOT NULL CHECK (sequence >= 0),
  sections    bytea  NOT NULL CHECK (octet_length(sections) <= 600000),
  PRIMARY KEY (client_uuid, sequence)
);

-- What was stored, for a day: a repeated message_id is stored once.
CREATE TABLE direct_message_ids (
  user_uuid   uuid        NOT NULL,
  message_id  bytea       NOT NULL CHECK (octet_length(message_id) = 16),
  hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),
  forget_at   timestamptz NOT NULL,
  PRIMARY KEY (user_uuid, message_id)
);

CREATE INDEX direct_message_ids_forget ON direct_message_ids (forget_at);

CREATE TABLE invites (
  code_hash   bytea       PRIMARY KEY CHECK (octet_length(code_hash) = 32),
  expires_at  timestamptz NOT NULL,
  is_used     boolean     NOT NULL DEFAULT false
);
