-- Gateway keys. The secret itself is never stored; `hash` is the SHA-256 of it in hexadecimal.
CREATE TABLE gateway_keys (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    -- The secret's last four characters, to tell keys apart by sight.
    ending TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT,
    team TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    -- JSON arrays; empty: no restriction.
    models TEXT NOT NULL,
    routes TEXT NOT NULL,
    requests_per_minute BIGINT,
    tokens_per_minute BIGINT,
    concurrency BIGINT
);

CREATE TABLE teams (
    name TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    requests_per_minute BIGINT,
    tokens_per_minute BIGINT,
    concurrency BIGINT
);

CREATE TABLE budgets (
    scope TEXT NOT NULL,
    billing TEXT NOT NULL,
    period TEXT NOT NULL,
    nanos BIGINT NOT NULL,
    soft_percent BIGINT,
    PRIMARY KEY (scope, billing, period)
);

-- Every administrative change, newest last.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at, id);

-- Sign-in links and sessions of the dashboard, by the SHA-256 of their secret.
CREATE TABLE sessions (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
