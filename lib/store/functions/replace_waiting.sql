-- replace_waiting: a job that waits becomes another one. It keeps its id and its created_at.
--
-- Guard:      the job waits, and its row is locked: of a replacement and a claim, the first one decides.
-- Parameters: the new job, which enqueue_spec has checked; the id or the unique key of the waiting job (the other is NULL); the
--             checked words of the new job; how long replacements may put off the job after its created_at, or NULL.
-- Answer:     the id and the state. Zero rows: the job does not wait (any more).
-- Line:       a job in the line keeps its place if the new one is due too: replacements cannot put it off.
-- Index:      job_pkey or job_unique_key.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.replace_waiting(
    spec leasehold.job_spec, _id uuid, _key text, _retry jsonb, _rule leasehold.unique_rule, _longest_wait interval
) RETURNS TABLE (id uuid, state text)
LANGUAGE plpgsql AS $$
DECLARE
    old leasehold.job;
    due timestamptz;
BEGIN
    IF _id IS NOT NULL THEN
        SELECT j.* INTO old FROM leasehold.job j WHERE j.id = _id AND j.state::text <> 'running' FOR UPDATE;
    ELSE
        SELECT j.* INTO old FROM leasehold.job j WHERE j.unique_key = _key AND j.state::text <> 'running' FOR UPDATE;
    END IF;
    IF NOT FOUND THEN RETURN; END IF;
    due := least(coalesce(spec.run_at, now()), old.created_at + _longest_wait);
    IF due <= now() AND old.state = 'queued' THEN
        due := old.run_at;
    END IF;
    RETURN QUERY UPDATE leasehold.job j SET
        queue = spec.queue, kind = spec.kind, payload = spec.payload, priority = spec.priority::smallint, run_at = due,
        max_attempts = spec.max_attempts, max_crashes = coalesce(spec.max_crashes, 3)::smallint,
        timeout_ms = trunc(extract(epoch FROM spec.timeout) * 1000)::integer, limit_key = spec.limit_key,
        state = CASE WHEN old.state = 'blocked' THEN 'blocked' WHEN due > now() THEN 'scheduled' ELSE 'queued' END::leasehold.job_state,
        line_at = leasehold.line_at(due, spec.priority, spec.queue), attempt = 0, crashes = 0, last_error = NULL,
        retry = _retry, retry_until = NULL, expires_at = spec.expires_at, unique_rule = _rule, batch = spec.batch
    WHERE j.id = old.id
    RETURNING j.id, j.state::text;
END
$$;
