-- tokens: all tokens, the newest first, without their hashes.
--
-- Guard:      none, it only reads. It reads no hash, so that readers may list tokens.
-- Parameters: $1 the id of one token, or NULL for all.
-- Zero rows:  there are none.
-- Index:      none; the table has one row for each token.
SELECT t.id, t.name, t.scopes, t.created_at, t.expires_at, t.revoked_at, t.rotated_at, t.old_hash_until AS old_until, t.last_used_at
FROM leasehold.token t
WHERE $1::text IS NULL OR t.id = $1::text
ORDER BY t.created_at DESC, t.id
