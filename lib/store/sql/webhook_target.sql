-- webhook_target: where a delivery goes, and the secrets that sign it, the newest first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id.
-- Zero rows:  the webhook was removed.
-- Index:      webhook_pkey, webhook_secret_of.
SELECT w.url, w.revision, w.disabled_at, w.disabled_reason,
       ARRAY(SELECT s.secret FROM leasehold.webhook_secret s
             WHERE s.webhook = w.id AND (s.until IS NULL OR s.until > now()) ORDER BY s.id DESC LIMIT 5) AS secrets
FROM leasehold.webhook w
WHERE w.id = $1::text
