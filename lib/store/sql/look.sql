-- look: the live jobs among some ids, and whether each of them may be claimed. The answer explains why some hints were
-- not claimed.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids, $2 kinds that the worker has handlers for, or NULL for every kind.
-- Zero rows:  an id that is not in the answer belongs to no live job: its hint can be dropped.
-- Answer:     claimability is a value of Claimability in lib/core, except `finished`. If the answer says that a job is
--             claimable and a claim did not get the job, another session has locked its row.
-- Index:      job_pkey.
SELECT j.id, j.state::text AS state, j.queue::text AS queue, j.kind::text AS kind,
       coalesce(j.limited_at, j.fair_at, j.line_at) AS line_at,
       CASE
           WHEN
               -- include claimable: kinds = $2; queue = j.queue::text
           THEN CASE WHEN j.limited_at IS NOT NULL THEN 'key_full' WHEN j.limit_keys IS NOT NULL THEN 'limited'
                     WHEN j.crashes = 0 THEN 'claimable' WHEN j.crashes + 1 >= j.max_crashes THEN 'in_danger' ELSE 'crashed' END
           WHEN j.state <> 'queued' THEN 'not_queued'
           WHEN EXISTS (SELECT FROM leasehold.queue q WHERE q.name = j.queue AND q.paused_at IS NOT NULL) THEN 'paused'
           WHEN NOT
               -- include kind_not_paused: queue = j.queue::text; kind = j.kind::text
           THEN 'paused'
           WHEN j.fair_key IS NOT NULL AND EXISTS (
               SELECT FROM leasehold.pause p WHERE p.queue = j.queue AND p.what = 'fair_key' AND p.name = j.fair_key) THEN 'paused'
           WHEN least(j.expires_at, j.retry_until) <= now() THEN 'overdue'
           WHEN j.kind::text <> ALL ($2::text[]) THEN 'foreign'
           WHEN j.fair_at IS NOT NULL THEN 'parked'
           ELSE 'key_held'
       END AS claimability,
       CASE WHEN j.lease_expires_at IS NOT NULL
           THEN (extract(epoch FROM least(greatest(j.lease_expires_at, '0001-01-01'), '9999-12-31') - now()) * 1000)::bigint
       END AS lease_ms_left
FROM leasehold.job j
WHERE j.id = ANY ($1::uuid[])
