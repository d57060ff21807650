-- Of those who listen to a direct queue the one with the highest number may, at whichever replica.
ALTER TABLE clients ADD COLUMN listener bigint NOT NULL DEFAULT 0;
