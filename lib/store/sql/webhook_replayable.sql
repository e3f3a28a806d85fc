-- webhook_replayable: a page of the deliveries of a webhook that were tried within a time, in the order of their attempts, with whether
-- each is in one of the wanted states now.
--
-- Guard:      none, it only reads.
-- Parameters: $1 webhook, $2 since, $3 until, $4 only attempts after this one (an id) or NULL, $5 states, $6 limit, $7 when the first
--             page was read; NULL: now.
-- Zero rows:  there are no more attempts.
-- Again:      a delivery that was sent again since the first page has ended later than that, or has not ended: no page wants it twice.
-- Index:      webhook_attempt_pkey, job_pkey, the primary keys of the partitions of history.
SELECT a.id, a.delivery,
       EXISTS (SELECT FROM leasehold.history h
               WHERE h.id = a.delivery AND h.state::text = ANY ($5::text[])
                 AND h.finished_at < coalesce($7::timestamptz, now())) AS is_wanted,
       coalesce($7::timestamptz, now()) AS begun
FROM leasehold.webhook_attempt a
WHERE a.webhook = $1::text AND a.id >= leasehold.first_id_at($2::timestamptz) AND a.id < leasehold.first_id_at($3::timestamptz)
  AND a.id > coalesce($4::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY a.id LIMIT $6::bigint
