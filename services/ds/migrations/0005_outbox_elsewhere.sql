-- What waits in a partition, by where it goes: for our own QS, and for each of the other homeservers.
CREATE INDEX outbox_carried ON outbox (partition, destination, position);
DROP INDEX outbox_waiting;
