-- webhook_change: changes the given fields of a webhook.
--
-- Guard:      one conditional update.
-- Parameters: $1 id, $2 url, $3 queue or pattern, $4 kinds, $5 states, $6 whether it is enabled. NULL leaves a value as it is.
-- Health:     a webhook that is enabled, or that gets another URL, has not failed yet.
-- Zero rows:  there is no such webhook.
-- Index:      webhook_pkey.
UPDATE leasehold.webhook AS w
SET url = coalesce($2::text, w.url), queue = coalesce($3::text, w.queue), kinds = coalesce($4::text[], w.kinds),
    states = coalesce($5::text[]::leasehold.job_state[], w.states),
    failing_since = CASE WHEN $6::boolean OR $2::text <> w.url THEN NULL ELSE w.failing_since END,
    disabled_at = CASE WHEN $6::boolean THEN NULL WHEN NOT $6::boolean THEN coalesce(w.disabled_at, now()) ELSE w.disabled_at END,
    disabled_reason = CASE WHEN $6::boolean THEN NULL
                           WHEN NOT $6::boolean THEN coalesce(w.disabled_reason, 'an operator has disabled it')
                           ELSE w.disabled_reason END,
    revision = w.revision + 1, changed_at = now()
WHERE w.id = $1::text
RETURNING w.id::text AS id
