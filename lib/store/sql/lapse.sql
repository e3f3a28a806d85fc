-- lapse: blocked, scheduled or queued → cancelled, for jobs that have not begun by their expires_at; scheduled or queued → dead,
-- for jobs whose time for retries has ended. The rows move to history.
--
-- Guard:      the time has passed by the database's clock, and the job waits. A row that another session has locked is skipped.
-- Parameters: $1 limit.
-- Zero rows:  no job is overdue.
-- Index:      job_overdue, which contains only waiting jobs with such a time; then job_pkey.
-- Then:       a dead letter of each job that died, if its queue has a queue for them.
-- Claims:     a claim refuses an overdue job too, so no such job begins before a reaper ends it.
WITH target AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.state <> 'running' AND least(j.expires_at, j.retry_until) <= now()
    ORDER BY least(j.expires_at, j.retry_until) LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
), ended AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.*
), gone AS (
    SELECT e.*, w.expired, w.reason, concat(w.reason, '; the last error: ' || e.last_error) AS error
    FROM ended e
    CROSS JOIN LATERAL (
        SELECT coalesce(e.expires_at <= now(), false) AS expired,
               CASE WHEN e.expires_at <= now() AND e.epoch > 0 THEN 'it expired before its next attempt, at '
                    WHEN e.expires_at <= now() THEN 'it expired: it had not begun by '
                    ELSE 'its time for retries is over since ' END
               || to_char(CASE WHEN e.expires_at <= now() THEN e.expires_at ELSE e.retry_until END AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS reason
    ) w
), kept AS (
    -- include finish: state = CASE WHEN g.expired THEN 'cancelled' ELSE 'dead' END::leasehold.job_state; error = g.error;
    --     trail = leasehold.with_trail(g.trail, CASE WHEN g.expired THEN 'cancel' ELSE 'bury' END, g.epoch, NULL, g.reason)
    RETURNING h.*
),
-- include note_ended: ended = kept
,
-- include dead_letter: ended = kept
SELECT k.id, k.queue, k.state::text AS state FROM kept k
UNION ALL
-- This only tells the children of the end. A reaper finds the children that are now in the line.
SELECT c.id, c.queue, NULL
FROM (
    -- include tell_children: ended = kept
) c
WHERE c.id IS NULL
