-- The same for intents that an earlier version left open. They are JSON as the gateway writes it, without spaces; inside a text
-- its quotes would be escaped.
UPDATE intents SET body = REPLACE(body, '"endpoint":"input_tokens"', '"endpoint":"input_tokens","is_free":true');
UPDATE intents SET body = REPLACE(body, '"endpoint":"stored_response"', '"endpoint":"stored_response","is_free":true');
