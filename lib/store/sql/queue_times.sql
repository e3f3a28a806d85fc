-- queue_times: how many jobs of each queue and kind have ended in a time, and how long they waited and ran.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, or NULL for all queues; $2 the number of minutes, which end with the last minute that is added up; $3
--             whether to return a separate row for each minute.
-- Zero rows:  no job has ended in this time.
-- Answer:     waits and runs: the bounds of the buckets (see leasehold.minute) and their jobs, as two arrays each.
-- Index:      minute_pkey, the range of these minutes.
WITH chosen AS MATERIALIZED (
    SELECT CASE WHEN $3 THEN m.begins END AS begins, m.queue, m.kind, m.succeeded, m.dead, m.cancelled, m.waits, m.runs
    FROM leasehold.minute m
    WHERE m.begins >= (SELECT u.until FROM leasehold.minutes_until u) - $2::bigint * interval '1 minute'
      AND ($1::text IS NULL OR m.queue = $1)
), bucket AS (
    SELECT c.begins, c.queue, c.kind, b.is_wait, b.nth::integer AS nth, sum(b.jobs::bigint)::bigint AS jobs
    FROM chosen c
    CROSS JOIN LATERAL (
        SELECT true, w.key, w.value FROM jsonb_each_text(c.waits) w
        UNION ALL
        SELECT false, r.key, r.value FROM jsonb_each_text(c.runs) r
    ) b(is_wait, nth, jobs)
    GROUP BY 1, 2, 3, 4, 5
), buckets AS (
    SELECT b.begins, b.queue, b.kind,
           array_agg(b.nth ORDER BY b.nth) FILTER (WHERE b.is_wait) AS waits, array_agg(b.jobs ORDER BY b.nth) FILTER (WHERE b.is_wait) AS waited,
           array_agg(b.nth ORDER BY b.nth) FILTER (WHERE NOT b.is_wait) AS runs, array_agg(b.jobs ORDER BY b.nth) FILTER (WHERE NOT b.is_wait) AS ran
    FROM bucket b
    GROUP BY 1, 2, 3
), ended AS (
    SELECT c.begins, c.queue, c.kind, sum(c.succeeded)::bigint AS succeeded, sum(c.dead)::bigint AS dead, sum(c.cancelled)::bigint AS cancelled
    FROM chosen c
    GROUP BY 1, 2, 3
)
SELECT e.begins, e.queue, e.kind, e.succeeded, e.dead, e.cancelled,
       coalesce(b.waits, '{}') AS waits, coalesce(b.waited, '{}') AS waited, coalesce(b.runs, '{}') AS runs, coalesce(b.ran, '{}') AS ran
FROM ended e
LEFT JOIN buckets b ON b.queue = e.queue AND b.kind = e.kind AND b.begins IS NOT DISTINCT FROM e.begins
ORDER BY e.queue, e.kind, e.begins
