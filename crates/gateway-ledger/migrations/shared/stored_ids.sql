-- Who made what an upstream keeps under the gateway's own credential: responses, their items, containers. Another caller's
-- are refused.
CREATE TABLE stored_ids (
    upstream TEXT NOT NULL,
    id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT,
    model TEXT,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (upstream, id)
);
CREATE INDEX stored_ids_made_at ON stored_ids (made_at);
