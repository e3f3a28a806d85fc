-- admit_tokens: brings jobs into the line that will soon get the tokens of their limit keys. A reaper sends it.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the maximum number of jobs for each queue and kind of a key.
-- Zero rows:  no job waits for a token that comes soon.
-- Index:      see the function.
SELECT a.id, a.queue, a.line_at FROM leasehold.admit_tokens($1::integer) a
