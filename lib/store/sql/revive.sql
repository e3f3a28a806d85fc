-- revive: moves finished jobs back to the line with new attempts and no crashes. It also moves scheduled jobs into the line
-- immediately.
--
-- Guard:      the row is in history (locked in id order), or live and scheduled; and no live job has its unique key. If one
--             key is in use, nothing is changed, and the rows say whose key it is. A key that another session takes at the
--             same moment is refused by the unique index; then the whole statement can be sent again.
-- Words:      a revived job has all its time for retries again, and does not expire: its expires_at has passed or may pass
--             soon. It takes the first place of its unique key, like a job that is new.
-- Limits:     a revived job with limit keys waits for room behind the line, until a reaper admits it.
-- Shares:     a revived job with a fair key is parked, until a reaper admits it.
-- Parameters: $1 ids, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  an id that is not in the answer belongs to no job, or to a job that is neither finished nor scheduled.
-- Index:      the primary keys of the partitions of history, job_pkey, job_unique_key.
WITH found AS MATERIALIZED (
    SELECT h.id, h.unique_key FROM leasehold.history h
    WHERE h.id = ANY ($1::uuid[]) AND (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
    ORDER BY h.id FOR UPDATE
), taken AS MATERIALIZED (
    SELECT f.id FROM found f JOIN leasehold.job j ON j.unique_key = f.unique_key
    UNION ALL
    SELECT f.id FROM found f JOIN found earlier ON earlier.unique_key = f.unique_key AND earlier.id < f.id
), gone AS (
    DELETE FROM leasehold.history h
    WHERE h.id = ANY (ARRAY(SELECT f.id FROM found f)) AND NOT EXISTS (SELECT FROM taken)
    RETURNING h.*
), revived AS (
    INSERT INTO leasehold.job AS j (id, run_at, created_at, epoch, max_attempts, timeout_ms, state, priority,
                                    max_crashes, queue, kind, payload, unique_key, limit_key, last_error, trail,
                                    line_at, retry, unique_rule, is_parent, unmet, limit_keys, limited_by, limited_at, batch, fair_key, fair_at,
                                    on_clock)
    SELECT g.id, now(), g.created_at, g.epoch, g.max_attempts, g.timeout_ms, 'queued', g.priority,
           g.max_crashes, g.queue, g.kind, g.payload, g.unique_key, g.limit_key, g.last_error,
           leasehold.with_trail(g.trail, 'revive', g.epoch, g.worker, 'was ' || g.state),
           CASE WHEN g.limit_keys IS NULL AND NOT f.parks THEN leasehold.line_at(now(), g.priority, g.queue) ELSE 'infinity' END,
           g.retry, g.unique_rule, g.is_parent, CASE WHEN g.unmet IS NOT NULL THEN 0 END, g.limit_keys,
           CASE WHEN NOT f.parks THEN g.limit_keys[1] END,
           CASE WHEN g.limit_keys IS NOT NULL AND NOT f.parks THEN leasehold.line_at(now(), g.priority, g.queue) END, g.batch,
           g.fair_key, CASE WHEN f.parks THEN leasehold.line_at(now(), g.priority, g.queue) END, g.on_clock
    FROM gone g CROSS JOIN LATERAL (SELECT g.fair_key IS NOT NULL AND leasehold.is_fair(g.queue) AS parks) f
    RETURNING j.id, j.queue, coalesce(j.limited_at, j.fair_at, j.line_at) AS line_at
), hurried AS (
    UPDATE leasehold.job j
    SET state = 'queued', run_at = now(),
        line_at = CASE WHEN j.limit_keys IS NULL AND NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue))
                       THEN leasehold.line_at(now(), j.priority, j.queue) ELSE 'infinity' END,
        fair_at = CASE WHEN j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)
                       THEN leasehold.line_at(now(), j.priority, j.queue) END,
        fair_tag = NULL, fair_nth = NULL,
        limited_at = CASE WHEN j.limit_keys IS NOT NULL AND NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue))
                          THEN leasehold.line_at(now(), j.priority, j.queue) END,
        limited_by = CASE WHEN NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)) THEN j.limit_keys[1] END,
        trail = leasehold.with_trail(j.trail, 'revive', j.epoch, NULL, 'was scheduled for ' || j.run_at)
    -- Compared as text. Otherwise the planner may scan all of job_due to find them.
    WHERE j.id = ANY ($1::uuid[]) AND j.state::text = 'scheduled' AND NOT EXISTS (SELECT FROM taken)
      AND (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
    RETURNING j.id, j.queue, coalesce(j.limited_at, j.fair_at, j.line_at) AS line_at
)
SELECT r.id, r.queue::text AS queue, r.line_at FROM revived r
UNION ALL
SELECT h.id, h.queue::text, h.line_at FROM hurried h
UNION ALL
SELECT t.id, NULL, NULL FROM taken t
