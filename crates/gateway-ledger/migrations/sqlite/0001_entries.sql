CREATE TABLE entries (
    id TEXT NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    route TEXT NOT NULL,
    caller TEXT,
    key_id TEXT,
    team TEXT,
    session_id TEXT,
    thread_id TEXT,
    turn_id TEXT,
    request_kind TEXT,
    endpoint TEXT NOT NULL,
    upstream TEXT,
    model_requested TEXT,
    model_served TEXT,
    decision TEXT NOT NULL,
    rule TEXT,
    attempts TEXT NOT NULL,
    status BIGINT,
    outcome TEXT NOT NULL,
    usage_source TEXT NOT NULL,
    input_tokens BIGINT,
    cached_input_tokens BIGINT,
    cache_write_tokens BIGINT,
    output_tokens BIGINT,
    reasoning_tokens BIGINT,
    service_tier_requested TEXT,
    service_tier TEXT,
    price_version TEXT,
    cost_source TEXT NOT NULL,
    cost_nanos BIGINT,
    cost_estimated BIGINT NOT NULL,
    billing TEXT NOT NULL,
    ttft_ms BIGINT,
    duration_ms BIGINT NOT NULL,
    upstream_response_id TEXT,
    instance TEXT NOT NULL,
    corrects TEXT,
    -- Counts the corrections of one entry, so that two concurrent repricings cannot both add the same one.
    correction_no BIGINT,
    -- What the row adds to sums of requests: 1, 0 for a correction, -1 where a correction takes "unpriced" back.
    n_requests BIGINT NOT NULL,
    n_unpriced BIGINT NOT NULL,
    n_estimated BIGINT NOT NULL
);

-- Listings and time ranges; the id makes the order total, so that a cursor is exact.
CREATE INDEX entries_by_time ON entries (started_at, id);
-- What operators filter by that is rare enough to be worth an index.
CREATE INDEX entries_by_session ON entries (session_id, started_at, id) WHERE session_id IS NOT NULL;
CREATE INDEX entries_by_turn ON entries (turn_id, started_at, id) WHERE turn_id IS NOT NULL;
CREATE INDEX entries_by_key ON entries (key_id, started_at, id) WHERE key_id IS NOT NULL;
CREATE INDEX entries_by_trouble ON entries (outcome, started_at, id) WHERE outcome <> 'completed';
CREATE UNIQUE INDEX entries_by_corrected ON entries (corrects, correction_no) WHERE corrects IS NOT NULL;

-- Sums per quarter of an hour (level 0) and per day in UTC (level 1), written in the same transaction as the entries they sum
-- up. A quarter of an hour, since every time zone's day begins on one; `bucket` counts them, or the days, since 1970. The instance is part of the key so that replicas never wait for each other's rows. Empty
-- text stands for NULL.
CREATE TABLE rollup (
    level BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    instance TEXT NOT NULL,
    route TEXT NOT NULL,
    upstream TEXT NOT NULL,
    model TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT NOT NULL,
    request_kind TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    decision TEXT NOT NULL,
    outcome TEXT NOT NULL,
    billing TEXT NOT NULL,
    requests BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    PRIMARY KEY (level, bucket, instance, route, upstream, model, key_id, team, request_kind, endpoint, decision, outcome, billing)
) WITHOUT ROWID;

-- What budgets have spent: per local day, and with day 0 in total. Per instance for the same reason as above.
CREATE TABLE spend (
    scope TEXT NOT NULL,
    billing TEXT NOT NULL,
    day BIGINT NOT NULL,
    instance TEXT NOT NULL,
    nanos BIGINT NOT NULL,
    PRIMARY KEY (scope, billing, day, instance)
) WITHOUT ROWID;

-- Models that an upstream was seen to refuse, until the fact expires.
CREATE TABLE facts (
    upstream TEXT NOT NULL,
    route TEXT NOT NULL,
    plan TEXT NOT NULL,
    -- A digest of the refused credential, never the credential; empty for an upstream's own.
    credential TEXT NOT NULL,
    model TEXT NOT NULL,
    evidence TEXT NOT NULL,
    learned_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (upstream, route, plan, credential, model)
);

-- The newest plan limits seen for a hashed account.
CREATE TABLE plan_limits (
    account TEXT NOT NULL PRIMARY KEY,
    observed_at BIGINT NOT NULL,
    body TEXT NOT NULL
);

-- Numbers the changes that running servers must notice: one row, one counter.
CREATE TABLE changes (
    id BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO changes (id, revision) VALUES (1, 0);
