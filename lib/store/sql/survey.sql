-- survey: where the live jobs begin in each order that is scanned from its front: in each stretch of each line, in the
-- leases, and in the scheduled jobs. All entries before that are dead.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, or NULL for all queues, the leases and the schedule.
-- Zero rows:  never. One row for each stretch, which is one kind of a queue; or one row without a stretch.
-- Begins:     the scan start. No job has an earlier time. A job that is enqueued later has no earlier time either, unless
--             its transaction began more than 250 ms ago, or the job has a priority above 0: the next survey finds that job.
--             NULL: not known, because the first job has no finite time.
-- Index:      job_line_at, one probe for each stretch; job_lease and job_due, one probe each.
-- Cost:       the statement reads all dead index entries before the first live entry of each stretch. That is almost nothing
--             where PostgreSQL may remove the dead entries, otherwise about 0.25 µs for each entry.
WITH RECURSIVE stretch(queue, kind, line_at) AS (
    (SELECT j.queue::text, j.kind::text, j.line_at FROM leasehold.job j
     WHERE j.state = 'queued' AND j.queue >= coalesce($1::text, '')
     ORDER BY j.queue, j.kind, j.line_at LIMIT 1)
    UNION ALL
    SELECT next.queue, next.kind, next.line_at
    FROM stretch s
    CROSS JOIN LATERAL (
        (SELECT j.queue::text, j.kind::text, j.line_at FROM leasehold.job j
         WHERE j.state = 'queued' AND (j.queue, j.kind) > (s.queue, s.kind)
         ORDER BY j.queue, j.kind, j.line_at LIMIT 1)
    ) next
    WHERE s.queue = coalesce($1::text, s.queue)
), look AS (
    SELECT now() AS at, now() - interval '250 milliseconds' AS latest,
           CASE WHEN $1::text IS NULL THEN coalesce((
               SELECT min(j.lease_expires_at) FROM leasehold.job j WHERE j.lease_expires_at IS NOT NULL), 'infinity') END AS lease,
           CASE WHEN $1::text IS NULL THEN coalesce((
               SELECT min(j.run_at) FROM leasehold.job j WHERE j.state = 'scheduled'), 'infinity') END AS due
)
SELECT k.at, s.queue, s.kind, q.paused_at IS NOT NULL AS paused,
       CASE WHEN s.line_at > '-infinity' THEN least(s.line_at, k.latest) END AS begins,
       CASE WHEN k.lease > '-infinity' THEN least(k.lease, k.latest) END AS leases_begin,
       CASE WHEN k.due > '-infinity' THEN least(k.due, k.latest) END AS schedule_begins,
       -- The last column is computed last, and the last row has the largest value: the duration of the whole statement.
       (extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint AS took_ms
FROM look k
LEFT JOIN stretch s ON s.queue = coalesce($1::text, s.queue)
LEFT JOIN leasehold.queue q ON q.name = s.queue
ORDER BY s.queue, s.kind
