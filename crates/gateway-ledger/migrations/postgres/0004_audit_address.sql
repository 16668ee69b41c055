-- The network address that a change came from; NULL for commands on the gateway's own machine.
ALTER TABLE audit ADD COLUMN address TEXT;
