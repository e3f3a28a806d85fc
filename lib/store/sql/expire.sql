-- expire: running → queued, dead or cancelled, for leases that ran out. The attempt stays spent, and a crash is counted.
--
-- Guard:      the lease ran out by the database's clock. A row that another session has locked is skipped: a renew or a settle
--             uses the row, or a user's transaction, which may hold the lock for any time. While the row is locked, the worker
--             cannot renew the lease. When the lock is released, the reaper gives the worker time to renew it.
-- Held up:    if this statement waited for half a second for a lock on the whole table, it expires nothing: the same lock has
--             kept workers from renewing their leases.
-- Parameters: $1 limit, $2 scan start: no lease ends before this time, or NULL; $3 ids that must not expire, because they
--             were locked a moment ago; $4 how soon, in ms, a lease must run out for its row to be checked for a lock.
-- Zero rows:  no lease ran out, and no row whose lease is about to run out is locked.
-- Locked:     a row whose lease has run out or is about to, and that another session has locked, is in the answer as
--             running: it was not changed. Up to 20 times the limit of rows are checked.
-- Becomes:    cancelled if a cancel was wanted; dead if this was the last allowed crash or attempt, or if the time for retries
--             is over; otherwise queued, with the same run_at, so that the job stays near the front.
-- Then:       a dead letter of each job that died, if its queue has a queue for them.
-- Index:      job_lease; then job_pkey.
WITH spared AS MATERIALIZED (
    SELECT s.id FROM unnest($3::uuid[]) AS s(id)
), target AS MATERIALIZED (
    SELECT j.id,
           CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                WHEN j.crashes + 1 >= j.max_crashes OR j.attempt >= j.max_attempts THEN 'dead'
                WHEN j.retry IS NOT NULL
                     AND coalesce(j.retry_until, j.started_at + (j.retry ->> 'for')::interval) <= now() THEN 'dead'
                ELSE 'queued' END AS becomes,
           CASE WHEN j.cancel_requested_at IS NOT NULL THEN j.last_error
                WHEN j.crashes + 1 >= j.max_crashes
                    THEN format('its lease ran out %s times, as often as is allowed', j.crashes + 1)
                WHEN j.attempt >= j.max_attempts THEN 'its lease ran out in its last attempt'
                ELSE 'its lease ran out, and its time for retries is over' END AS error
    FROM leasehold.job j
    WHERE j.lease_expires_at IS NOT NULL AND j.lease_expires_at < now()
      AND (SELECT clock_timestamp() - statement_timestamp() < interval '500 milliseconds')
      -- Its worker has left a deferred result.
      AND NOT EXISTS (SELECT FROM leasehold.deferred_settle d WHERE d.id = j.id AND d.epoch = j.epoch)
      AND j.lease_expires_at >= coalesce($2::timestamptz, '-infinity')
      AND NOT EXISTS (SELECT FROM spared s WHERE s.id = j.id)
    ORDER BY j.lease_expires_at LIMIT $1::bigint
    FOR UPDATE OF j SKIP LOCKED
), near AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.lease_expires_at IS NOT NULL AND j.lease_expires_at < now() + $4::bigint * interval '1 millisecond'
      AND j.lease_expires_at >= coalesce($2::timestamptz, '-infinity')
      AND NOT EXISTS (SELECT FROM target t WHERE t.id = j.id)
    ORDER BY j.lease_expires_at LIMIT $1::bigint * 20
), free AS MATERIALIZED (
    -- Not FOR UPDATE: two reapers that check at the same time must not see each other as a lock.
    SELECT j.id FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT n.id FROM near n))
    FOR SHARE SKIP LOCKED
), again AS (
    UPDATE leasehold.job j
    SET state = 'queued', worker = NULL, lease_expires_at = NULL, crashes = j.crashes + 1,
        retry_until = CASE WHEN j.retry IS NOT NULL
            THEN coalesce(j.retry_until, j.started_at + (j.retry ->> 'for')::interval) END,
        trail = leasehold.with_trail(j.trail, 'expire', j.epoch, j.worker, NULL)
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.becomes = 'queued'))
    -- The row no longer contains the worker; the new entry of the trail does.
    RETURNING j.id, j.queue::text AS queue, j.line_at, (j.trail -> -1 ->> 'worker')::uuid AS worker,
              j.epoch, 'queued' AS state
), gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.becomes <> 'queued'))
    RETURNING j.*
), ended AS (
    -- include finish: state = t.becomes::leasehold.job_state; crashes = g.crashes + 1; error = t.error;
    --     trail = leasehold.with_trail(g.trail, 'expire', g.epoch, g.worker, NULL); from = gone g JOIN target t ON t.id = g.id
    RETURNING h.*
),
-- include note_ended: ended = ended
,
-- include dead_letter: ended = ended
SELECT a.id, a.queue, a.line_at, a.worker, a.epoch, a.state FROM again a
UNION ALL
SELECT e.id, e.queue, NULL, e.worker, e.epoch, e.state::text FROM ended e
UNION ALL
SELECT j.id, j.queue::text, NULL, j.worker, j.epoch, 'running'
FROM leasehold.job j
WHERE j.id = ANY (ARRAY(SELECT n.id FROM near n WHERE NOT EXISTS (SELECT FROM free f WHERE f.id = n.id)))
  AND j.state = 'running'
UNION ALL
-- This only tells the children of the end. A reaper finds the children that are now in the line.
SELECT c.id, c.queue, NULL, NULL, NULL, NULL
FROM (
    -- include tell_children: ended = ended
) c
WHERE c.id IS NULL
