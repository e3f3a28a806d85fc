-- webhook_new: makes a webhook with its secret.
--
-- Guard:      there is no webhook of this id. The number of webhooks is bounded, because the end of each job looks at all of them; two
--             calls at the same moment may pass the bound by one.
-- Parameters: $1 id, $2 url, $3 queue or pattern, $4 kinds, $5 states, $6 secret, $7 the most webhooks.
-- Answer:     made, exists or full.
-- Index:      webhook_pkey.
WITH made AS (
    INSERT INTO leasehold.webhook AS w (id, url, queue, kinds, states)
    SELECT $1::text, $2::text, $3::text, $4::text[], $5::text[]::leasehold.job_state[]
    WHERE (SELECT count(*) FROM leasehold.webhook) < $7::bigint
    ON CONFLICT (id) DO NOTHING
    RETURNING w.id
), signs AS (
    INSERT INTO leasehold.webhook_secret (id, webhook, secret)
    SELECT leasehold.new_id(), m.id, $6::text FROM made m
)
SELECT CASE WHEN EXISTS (SELECT FROM made) THEN 'made'
            WHEN EXISTS (SELECT FROM leasehold.webhook w WHERE w.id = $1::text) THEN 'exists' ELSE 'full' END AS answer
