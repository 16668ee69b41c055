-- What an upstream ran itself and bills by the call, as JSON by kind; NULL for nothing.
ALTER TABLE entries ADD COLUMN tool_calls TEXT;
