-- token_rotate: gives a token a new secret, and notes that in the audit. The previous secret stays valid for a time.
--
-- Guard:      the token is neither revoked nor expired. Secrets older than the previous secret are not valid any more.
-- Parameters: $1 id, $2 the SHA-256 of the new token, $3 for how many milliseconds the previous secret stays valid, $4 for how
--             many milliseconds the token is valid from now on, or NULL to keep the time of its end.
-- Zero rows:  there is no such token, or it cannot be used any more.
-- Index:      token_pkey.
WITH rotated AS (
    UPDATE leasehold.token t
    SET hash = $2::bytea, rotated_at = now(), old_hash = t.hash,
        old_hash_until = now() + $3::bigint * interval '1 millisecond',
        expires_at = coalesce(now() + $4::bigint * interval '1 millisecond', t.expires_at)
    WHERE t.id = $1::text AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
    RETURNING t.id, t.name, t.scopes, t.created_at, t.expires_at, t.revoked_at, t.rotated_at, t.old_hash_until, t.last_used_at
), noted AS (
    INSERT INTO leasehold.audit (actor, action, target, detail)
    SELECT 'cli:' || session_user, 'token.rotate', r.id,
           jsonb_build_object('name', r.name, 'old_until', r.old_hash_until, 'expires_at', r.expires_at)
    FROM rotated r
)
SELECT r.id, r.name, r.scopes, r.created_at, r.expires_at, r.revoked_at, r.rotated_at, r.old_hash_until AS old_until, r.last_used_at
FROM rotated r
