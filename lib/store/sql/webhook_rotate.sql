-- webhook_rotate: gives a webhook a new secret. The earlier secrets sign too until the overlap ends.
--
-- Guard:      the row of the webhook is locked, so two rotations run one after the other.
-- Parameters: $1 id, $2 the new secret, $3 the overlap in ms.
-- Answer:     when the earlier secrets end.
-- Zero rows:  there is no such webhook.
-- Index:      webhook_pkey, webhook_secret_of.
WITH target AS MATERIALIZED (
    SELECT w.id, now() + $3::bigint * interval '1 ms' AS until FROM leasehold.webhook w WHERE w.id = $1::text FOR NO KEY UPDATE
), earlier AS (
    UPDATE leasehold.webhook_secret s SET until = t.until
    FROM target t WHERE s.webhook = t.id AND (s.until IS NULL OR s.until > t.until)
), signs AS (
    INSERT INTO leasehold.webhook_secret (id, webhook, secret)
    SELECT leasehold.new_id(), t.id, $2::text FROM target t
)
SELECT t.until FROM target t
