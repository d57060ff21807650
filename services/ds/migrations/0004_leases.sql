-- Which replica carries which partition of the outbox, by the clock of this database. Nothing here must last: what a
-- crash or a failover forgets is taken anew.
CREATE UNLOGGED TABLE dispatchers (
  replica text PRIMARY KEY CHECK (length(replica) <= 64),
  expires_at timestamptz NOT NULL
);

CREATE UNLOGGED TABLE leases (
  partition smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 15),
  replica text NOT NULL CHECK (length(replica) <= 64),
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
