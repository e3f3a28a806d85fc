-- fair_share: the reasons why a parked job waits: the jobs before it with the same key, and the other keys of its queue and kind.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id, $2 how far to count.
-- Zero rows:  the job is not parked.
-- Index:      job_pkey; job_parked: one range of the lane, and one probe for each key; fair_weight_pkey, fair_weight_change_pkey,
--             pause_pkey.
WITH RECURSIVE me AS MATERIALIZED (
    -- This finds the job by its id, without a scan of the parked jobs.
    SELECT j.* FROM (SELECT j.id, j.queue, j.kind, j.fair_key, j.fair_at FROM leasehold.job j WHERE j.id = $1 OFFSET 0) j
    WHERE j.fair_at IS NOT NULL
), key(name, nth) AS (
    (SELECT j.fair_key, 1 FROM leasehold.job j
     WHERE j.fair_at IS NOT NULL AND j.queue = (SELECT m.queue FROM me m) AND j.kind = (SELECT m.kind FROM me m)
     ORDER BY j.fair_key LIMIT 1)
    UNION ALL
    SELECT (SELECT j.fair_key FROM leasehold.job j
            WHERE j.fair_at IS NOT NULL AND j.queue = (SELECT m.queue FROM me m) AND j.kind = (SELECT m.kind FROM me m)
              AND j.fair_key > k.name ORDER BY j.fair_key LIMIT 1), k.nth + 1
    FROM key k WHERE k.name IS NOT NULL AND k.nth < $2::bigint
)
SELECT m.fair_key,
       coalesce((SELECT c.weight FROM leasehold.fair_weight_change c WHERE c.queue = m.queue AND c.fair_key = m.fair_key
                 ORDER BY c.since DESC LIMIT 1),
                (SELECT w.weight FROM leasehold.fair_weight w WHERE w.queue = m.queue AND w.fair_key = m.fair_key), 1) AS weight,
       EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = m.queue AND p.what = 'fair_key' AND p.name = m.fair_key) AS paused,
       (SELECT count(*) FROM key k WHERE k.name IS NOT NULL) AS keys,
       (SELECT count(*) FROM (
            SELECT FROM leasehold.job j
            WHERE j.fair_at IS NOT NULL AND j.queue = m.queue AND j.kind = m.kind AND j.fair_key = m.fair_key
              AND (j.fair_at, j.id) < (m.fair_at, m.id)
            LIMIT $2::bigint) before) AS before
FROM me m
