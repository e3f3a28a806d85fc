-- token_revoke: ends a token, and notes that in the audit. The row stays: while the table has a row, a server asks for
-- tokens.
--
-- Guard:      the token is not revoked.
-- Parameters: $1 id.
-- Zero rows:  there is no such token, or it was revoked before.
-- Index:      token_pkey.
WITH revoked AS (
    UPDATE leasehold.token t SET revoked_at = now() WHERE t.id = $1::text AND t.revoked_at IS NULL
    RETURNING t.id, t.name, t.scopes, t.created_at, t.expires_at, t.revoked_at, t.rotated_at, t.old_hash_until, t.last_used_at
), noted AS (
    INSERT INTO leasehold.audit (actor, action, target, detail)
    SELECT 'cli:' || session_user, 'token.revoke', r.id, jsonb_build_object('name', r.name) FROM revoked r
)
SELECT r.id, r.name, r.scopes, r.created_at, r.expires_at, r.revoked_at, r.rotated_at, r.old_hash_until AS old_until, r.last_used_at
FROM revoked r
