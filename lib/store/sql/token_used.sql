-- token_used: notes that tokens were used a moment ago. Several servers together write at most once a minute for each token.
--
-- Guard:      the age of the note.
-- Parameters: $1 ids.
-- Zero rows:  the last notes are less than a minute old.
-- Index:      token_pkey.
UPDATE leasehold.token t SET last_used_at = now()
WHERE t.id = ANY ($1::text[]) AND (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')
