-- Short-lived state: lost at a power cut, kept when the process dies.

CREATE TABLE intents (
    id TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX intents_by_instance ON intents (instance);

-- Which gateways are alive, and until when they may be believed to be.
CREATE TABLE leases (
    instance TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- Money and tokens set aside for exchanges in flight, one row per exchange and scope. Also what concurrency is counted by.
CREATE TABLE reservations (
    id TEXT NOT NULL,
    scope TEXT NOT NULL,
    billing TEXT NOT NULL,
    day BIGINT NOT NULL,
    nanos BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    tokens_per_minute BIGINT,
    instance TEXT NOT NULL,
    PRIMARY KEY (id, scope)
);
CREATE INDEX reservations_by_scope ON reservations (scope, billing, day);
CREATE INDEX reservations_by_instance ON reservations (instance);

-- Rate limits: when the bucket of a scope will be empty again, in nanoseconds since 1970.
CREATE TABLE buckets (
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    empty_at BIGINT NOT NULL,
    PRIMARY KEY (scope, kind)
);
