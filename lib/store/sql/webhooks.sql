-- webhooks: the webhooks with their health, or one of them. Secrets are not in the answer.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id, or NULL for all webhooks.
-- Zero rows:  there is no webhook at all, or no webhook of this name.
-- Index:      webhook_pkey, webhook_secret_of, webhook_attempt_pkey.
SELECT w.id::text AS id, w.url, w.queue, w.kinds, w.states::text[] AS states, w.created_at, w.changed_at, w.failing_since,
       w.disabled_at, w.disabled_reason,
       w.disabled_at IS NULL
           AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'leasehold.history'::regclass AND t.tgname = 'webhook_ended')
           AS active,
       s.until AS previous_secret_until, a.at AS last_attempt_at, a.status AS last_status, a.error AS last_error
FROM leasehold.webhook w
LEFT JOIN LATERAL (
    SELECT max(s.until) AS until FROM leasehold.webhook_secret s WHERE s.webhook = w.id AND s.until > now()
) s ON true
LEFT JOIN LATERAL (
    SELECT a.at, a.status, a.error FROM leasehold.webhook_attempt a WHERE a.webhook = w.id::text ORDER BY a.id DESC LIMIT 1
) a ON true
WHERE $1::text IS NULL OR w.id = $1::text
ORDER BY w.id
