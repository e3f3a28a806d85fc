-- token_create: makes a token, and notes that in the audit.
--
-- Guard:      the id is new.
-- Parameters: $1 id, $2 name, $3 scopes, $4 the SHA-256 of the token, $5 for how many milliseconds the token is valid, or NULL.
-- Zero rows:  never.
-- Index:      token_pkey.
WITH made AS (
    INSERT INTO leasehold.token AS t (id, name, scopes, hash, expires_at)
    VALUES ($1::text, $2::text, $3::text[], $4::bytea, now() + $5::bigint * interval '1 millisecond')
    RETURNING t.id, t.name, t.scopes, t.created_at, t.expires_at
), noted AS (
    INSERT INTO leasehold.audit (actor, action, target, detail)
    SELECT 'cli:' || session_user, 'token.create', m.id,
           jsonb_build_object('name', m.name, 'scopes', m.scopes, 'expires_at', m.expires_at)
    FROM made m
)
SELECT m.id, m.name, m.scopes, m.created_at, m.expires_at, NULL::timestamptz AS revoked_at, NULL::timestamptz AS rotated_at,
       NULL::timestamptz AS old_until, NULL::timestamptz AS last_used_at
FROM made m
