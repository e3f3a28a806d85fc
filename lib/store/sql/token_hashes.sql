-- token_hashes: the data that a server needs to check tokens: the valid tokens, and whether tokens are needed at all.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  never. Without a usable token, one row whose id is NULL. Tokens are needed as soon as the table has a row: if all
--             tokens have been revoked, a server refuses every request.
-- Index:      none; the table has one row for each token.
SELECT n.are_needed, t.id, t.name, t.scopes, t.hash,
       (extract(epoch FROM t.expires_at - now()) * 1000)::double precision AS left_ms,
       CASE WHEN t.old_hash_until > now() THEN t.old_hash END AS old_hash,
       (extract(epoch FROM t.old_hash_until - now()) * 1000)::double precision AS old_left_ms
FROM (SELECT EXISTS (SELECT FROM leasehold.token) AS are_needed) n
LEFT JOIN leasehold.token t ON t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
