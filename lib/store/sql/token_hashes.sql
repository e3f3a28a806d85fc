-- token_hashes: what a server must know to check tokens: those that can be used, and whether tokens are needed at all.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  never. Without a usable token, one row whose id is NULL. Tokens are needed as soon as the table has a row: a server whose
--             tokens have all been revoked serves nobody.
-- Index:      none; the table has one row for each token.
SELECT n.are_needed, t.id, t.name, t.scopes, t.hash,
       (extract(epoch FROM t.expires_at - now()) * 1000)::double precision AS left_ms,
       CASE WHEN t.old_hash_until > now() THEN t.old_hash END AS old_hash,
       (extract(epoch FROM t.old_hash_until - now()) * 1000)::double precision AS old_left_ms
FROM (SELECT EXISTS (SELECT FROM leasehold.token) AS are_needed) n
LEFT JOIN leasehold.token t ON t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
