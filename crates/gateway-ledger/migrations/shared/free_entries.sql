-- Whether a request uses up nothing of its own. The gateway says so with each request; until now it followed from the name of
-- the endpoint.
ALTER TABLE entries ADD COLUMN is_free BIGINT NOT NULL DEFAULT 0;
UPDATE entries SET is_free = 1 WHERE endpoint IN ('input_tokens', 'stored_response');
