-- parked_and_not_moved: a parked job waits for the jobs that were admitted before it. If no job of its queue and kind is admitted, or the
-- setting `fair` of its queue is off, a reaper moves it within a few ticks.
-- Index: job_parked and job_fair_window, one probe for each queue and kind; of each of them the first parked job.
WITH RECURSIVE stretch(queue, kind) AS (
    (SELECT j.queue::text, j.kind::text FROM leasehold.job j WHERE j.fair_at IS NOT NULL ORDER BY j.queue, j.kind LIMIT 1)
    UNION ALL
    SELECT next.queue, next.kind FROM stretch s
    CROSS JOIN LATERAL (
        SELECT j.queue::text AS queue, j.kind::text AS kind FROM leasehold.job j
        WHERE j.fair_at IS NOT NULL AND (j.queue, j.kind) > (s.queue, s.kind) ORDER BY j.queue, j.kind LIMIT 1
    ) next
)
SELECT first.id, format('waits in the lane of fair key %L of queue %s, and nothing is before it', first.fair_key, s.queue) AS detail
FROM stretch s
CROSS JOIN LATERAL (
    SELECT j.id, j.fair_key, j.created_at FROM leasehold.job j
    WHERE j.fair_at IS NOT NULL AND j.queue = s.queue AND j.kind = s.kind
      AND NOT EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = s.queue AND p.what = 'fair_key' AND p.name = j.fair_key)
    ORDER BY j.fair_key, j.fair_at, j.id LIMIT 1
) first
WHERE first.created_at < now() - interval '10 seconds'
  AND (NOT leasehold.is_fair(s.queue) OR NOT EXISTS (
      SELECT FROM leasehold.job j
      WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
        AND j.queue = s.queue AND j.kind = s.kind AND j.fair_tag IS NOT NULL))
LIMIT 100
