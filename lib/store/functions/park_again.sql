-- park_again: takes admitted jobs that wait in the line of a queue back to their lanes, each to its own place, because their shares
-- have changed.
--
-- Guard:      the lock of the shares of the queue: while it is held, no other session admits jobs. The function skips a row that
--             another session has locked: that session claims the job.
-- Parameters: the queue; a fair key, or NULL for all.
-- Answer:     the jobs that were parked.
-- Tags:       a key pays only for jobs that have begun: its tag becomes the first tag that it gets back.
-- Bound:      the windows of the queue, up to 10,000 jobs.
-- Index:      job_fair_window, fair_tag_pkey, job_pkey.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.park_again(_queue text, _fair_key text) RETURNS SETOF uuid
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(leasehold.fair_lock(_queue));
    IF NOT leasehold.is_fair(_queue) THEN
        RETURN;
    END IF;
    RETURN QUERY WITH target AS MATERIALIZED (
        SELECT j.id, j.kind::text AS kind, j.fair_key, j.fair_tag FROM leasehold.job j
        WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
          AND j.queue = _queue AND j.fair_tag IS NOT NULL AND (_fair_key IS NULL OR j.fair_key = _fair_key)
        ORDER BY j.queue, j.kind, j.fair_tag LIMIT 10000 FOR UPDATE SKIP LOCKED
    ), tagged AS (
        UPDATE leasehold.fair_tag t SET tag = least(t.tag, p.tag)
        FROM (SELECT r.fair_key, min(r.fair_tag) AS tag FROM target r GROUP BY r.fair_key) p
        WHERE t.queue = _queue AND t.fair_key = p.fair_key
    ), reached AS (
        -- The tag of the window goes back to the first tag of these jobs, so that a key keeps the part of its share that it has
        -- not used.
        UPDATE leasehold.fair_window w SET tag = least(w.tag, p.tag)
        FROM (SELECT r.kind, min(r.fair_tag) AS tag FROM target r GROUP BY r.kind) p
        WHERE w.queue = _queue AND w.kind = p.kind AND _fair_key IS NULL
    ), parked_again AS (
        UPDATE leasehold.job j
        SET fair_at = leasehold.line_at(j.run_at, j.priority, j.queue), fair_tag = NULL, fair_nth = NULL, line_at = 'infinity',
            limited_by = NULL
        WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
        RETURNING j.id
    )
    SELECT p.id FROM parked_again p;
END
$$;
