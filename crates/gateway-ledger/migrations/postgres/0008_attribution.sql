-- What clients say about the work that a request is part of.
ALTER TABLE entries ADD COLUMN repo TEXT;
ALTER TABLE entries ADD COLUMN commit_id TEXT;
ALTER TABLE entries ADD COLUMN root_turn TEXT;
ALTER TABLE entries ADD COLUMN parent TEXT;
CREATE INDEX entries_by_root_turn ON entries (root_turn, started_at, id) WHERE root_turn IS NOT NULL;

-- The roll-up again, with the repository in its key.
CREATE TABLE rollup_by_repo (
    level BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    instance TEXT NOT NULL,
    route TEXT NOT NULL,
    upstream TEXT NOT NULL,
    model TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team TEXT NOT NULL,
    request_kind TEXT NOT NULL,
    repo TEXT NOT NULL,
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
    unknown BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (level, bucket, instance, route, upstream, model, key_id, team, request_kind, repo, endpoint, decision, outcome, billing)
);
INSERT INTO rollup_by_repo (
    level, bucket, instance, route, upstream, model, key_id, team, request_kind, repo, endpoint, decision, outcome, billing,
    requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_nanos, unpriced,
    estimated, unknown
)
SELECT
    level, bucket, instance, route, upstream, model, key_id, team, request_kind, '', endpoint, decision, outcome, billing,
    requests, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_nanos, unpriced,
    estimated, unknown
FROM rollup;
DROP TABLE rollup;
ALTER TABLE rollup_by_repo RENAME TO rollup;
