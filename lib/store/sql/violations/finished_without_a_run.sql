-- finished_without_a_run: a result, or a death, comes from a worker's run. Checks jobs that finished in the last day. A job whose
-- time for retries ended while the job waited has no worker, but it has run before.
-- Index: history_finished.
SELECT h.id, format('%s with worker %s, epoch %s, started %s', h.state, coalesce(h.worker::text, 'none'), h.epoch,
                    coalesce(h.started_at::text, 'never')) AS detail
FROM leasehold.history h
WHERE h.finished_at > now() - interval '1 day'
  AND (h.state NOT IN ('succeeded', 'dead', 'cancelled')
       OR (h.state IN ('succeeded', 'dead') AND (h.epoch < 1 OR h.started_at IS NULL))
       OR (h.worker IS NULL AND (h.state = 'succeeded' OR (h.state = 'dead' AND h.retry_until IS NULL)))
       OR (h.state <> 'succeeded' AND h.result IS NOT NULL))
LIMIT 100
