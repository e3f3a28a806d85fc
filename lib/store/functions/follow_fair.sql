-- follow_fair: moves one batch of the jobs of a queue after its setting `fair` has changed: into the lanes of their keys if
-- `fair` is on, or out of the lanes into the line if it is off.
--
-- Guard:      the call skips a row that another session has locked: that session claims or changes the job. The next call finds
--             the row.
-- Parameters: the queue; the maximum number of jobs.
-- Answer:     the jobs that were moved. A job that is parked now has no position. A job with limit keys that has left its lane waits
--             for room: its answer has the key to admit.
-- Paused:     jobs of a paused key stay where they are.
-- Index:      pause_pkey; job_parked, or job_fair_window; job_pkey.
-- Rights:     of the caller, which is an operator or a reaper.
CREATE OR REPLACE FUNCTION leasehold.follow_fair(_queue text, _limit bigint)
RETURNS TABLE (id uuid, queue text, line_at timestamptz, limited_by text)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    IF leasehold.is_fair(_queue) THEN
        RETURN QUERY
            WITH RECURSIVE kind(name) AS (
                (SELECT j.kind::text FROM leasehold.job j
                 WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                   AND j.queue = _queue ORDER BY j.kind LIMIT 1)
                UNION ALL
                SELECT (SELECT j.kind::text FROM leasehold.job j
                        WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                          AND j.queue = _queue AND j.kind > k.name ORDER BY j.kind LIMIT 1)
                FROM kind k WHERE k.name IS NOT NULL
            ), target AS MATERIALIZED (
                SELECT f.id FROM kind k
                CROSS JOIN LATERAL (
                    SELECT j.id FROM leasehold.job j
                    WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                      AND j.queue = _queue AND j.kind = k.name AND j.fair_tag IS NULL
                    LIMIT _limit FOR UPDATE SKIP LOCKED
                ) f
                WHERE k.name IS NOT NULL
            )
            UPDATE leasehold.job j
            SET fair_at = leasehold.line_at(j.run_at, j.priority, j.queue), line_at = 'infinity', limited_by = NULL
            WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
            RETURNING j.id, j.queue::text, NULL::timestamptz, NULL::text;
    ELSE
        RETURN QUERY
            WITH target AS MATERIALIZED (
                SELECT j.id FROM leasehold.job j
                WHERE j.fair_at IS NOT NULL AND j.queue = _queue
                  AND NOT EXISTS (SELECT FROM leasehold.pause p
                                  WHERE p.queue = _queue AND p.what = 'fair_key' AND p.name = j.fair_key)
                LIMIT _limit FOR UPDATE SKIP LOCKED
            )
            UPDATE leasehold.job j
            SET fair_at = NULL,
                line_at = CASE WHEN j.limit_keys IS NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) ELSE 'infinity' END,
                limited_at = CASE WHEN j.limit_keys IS NOT NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) END,
                limited_by = j.limit_keys[1]
            WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
            RETURNING j.id, j.queue::text, coalesce(j.limited_at, j.line_at), j.limited_by;
    END IF;
END
$$;
