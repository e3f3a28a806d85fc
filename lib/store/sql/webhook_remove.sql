-- webhook_remove: removes a webhook with its secrets. Its log stays until it is old.
--
-- Guard:      none: a second call finds no webhook.
-- Parameters: $1 id.
-- Answer:     whether there was a webhook to remove.
-- Index:      webhook_pkey, webhook_secret_of.
WITH gone AS (
    DELETE FROM leasehold.webhook w WHERE w.id = $1::text RETURNING w.id
), secrets AS (
    DELETE FROM leasehold.webhook_secret s WHERE s.webhook = $1::text
)
SELECT EXISTS (SELECT FROM gone) AS removed
