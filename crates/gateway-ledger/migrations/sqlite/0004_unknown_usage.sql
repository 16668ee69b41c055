-- Requests of which nothing is known are counted apart from those that have no price.
ALTER TABLE entries ADD COLUMN n_unknown BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollup ADD COLUMN unknown BIGINT NOT NULL DEFAULT 0;

-- Until now both counted as unpriced, refusals by the upstream too. Entries have the say, the sums follow.
UPDATE entries SET
    n_unpriced = 0,
    n_unknown = CASE
        WHEN outcome <> 'rejected' AND endpoint NOT IN ('input_tokens', 'stored_response')
            AND (outcome = 'interrupted' OR status IS NULL OR status < 400) THEN 1
        ELSE 0
    END
WHERE corrects IS NULL AND input_tokens IS NULL AND cost_nanos IS NULL;

UPDATE rollup SET unpriced = 0 WHERE unpriced <> 0;
UPDATE rollup SET unpriced = sums.unpriced, unknown = sums.unknown
FROM (
    SELECT started_at / 900000000 AS bucket, instance, route, COALESCE(upstream, '') AS upstream, COALESCE(model_served, '') AS model,
        COALESCE(key_id, '') AS key_id, COALESCE(team, '') AS team, COALESCE(request_kind, '') AS request_kind, endpoint, decision,
        outcome, billing, SUM(n_unpriced) AS unpriced, SUM(n_unknown) AS unknown
    FROM entries
    WHERE n_unpriced <> 0 OR n_unknown <> 0
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
) AS sums
WHERE rollup.level = 0 AND rollup.bucket = sums.bucket AND rollup.instance = sums.instance AND rollup.route = sums.route
    AND rollup.upstream = sums.upstream AND rollup.model = sums.model AND rollup.key_id = sums.key_id AND rollup.team = sums.team
    AND rollup.request_kind = sums.request_kind AND rollup.endpoint = sums.endpoint AND rollup.decision = sums.decision
    AND rollup.outcome = sums.outcome AND rollup.billing = sums.billing;
UPDATE rollup SET unpriced = sums.unpriced, unknown = sums.unknown
FROM (
    SELECT started_at / 86400000000 AS bucket, instance, route, COALESCE(upstream, '') AS upstream, COALESCE(model_served, '') AS model,
        COALESCE(key_id, '') AS key_id, COALESCE(team, '') AS team, COALESCE(request_kind, '') AS request_kind, endpoint, decision,
        outcome, billing, SUM(n_unpriced) AS unpriced, SUM(n_unknown) AS unknown
    FROM entries
    WHERE n_unpriced <> 0 OR n_unknown <> 0
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
) AS sums
WHERE rollup.level = 1 AND rollup.bucket = sums.bucket AND rollup.instance = sums.instance AND rollup.route = sums.route
    AND rollup.upstream = sums.upstream AND rollup.model = sums.model AND rollup.key_id = sums.key_id AND rollup.team = sums.team
    AND rollup.request_kind = sums.request_kind AND rollup.endpoint = sums.endpoint AND rollup.decision = sums.decision
    AND rollup.outcome = sums.outcome AND rollup.billing = sums.billing;
