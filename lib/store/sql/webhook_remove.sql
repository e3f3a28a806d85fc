-- webhook_remove: removes a webhook with its secrets. Its log stays until it is old.
--
-- Guard:      none: a webhook that is gone stays gone.
-- Parameters: $1 id.
-- Answer:     whether there was such a webhook.
-- Index:      webhook_pkey, webhook_secret_of.
WITH gone AS (
    DELETE FROM leasehold.webhook w WHERE w.id = $1::text RETURNING w.id
), secrets AS (
    DELETE FROM leasehold.webhook_secret s WHERE s.webhook = $1::text
)
SELECT EXISTS (SELECT FROM gone) AS removed
