-- replace_waiting: replaces a waiting job with a new one. The new job has the id and the created_at of the old one.
--
-- Guard:      the job waits, and its row is locked. If a replacement and a claim meet, the one that locks the row first wins.
-- Parameters: the new job, which enqueue_spec has checked; the id or the unique key of the waiting job (the other is NULL); the
--             checked fields of the new job; how long after its created_at the job may be delayed by replacements, or NULL.
-- Answer:     the id and the state. Zero rows: the job does not wait (any more).
-- Line:       a job in the line keeps its place if the new job is due too. So repeated replacements cannot delay it.
-- Webhook:    the webhook that the new job names, or none.
-- Shares:     a job that was admitted keeps its place if the new one has the same queue, kind and fair key.
-- Index:      job_pkey or job_unique_key; job_webhook_pkey if the old job has a value in `retry`.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.replace_waiting(
    spec leasehold.job_spec, _id uuid, _key text, _retry jsonb, _rule leasehold.unique_rule, _longest_wait interval
) RETURNS TABLE (id uuid, state text)
LANGUAGE plpgsql AS $$
DECLARE
    old leasehold.job;
    due timestamptz;
    becomes leasehold.job_state;
    full_key text;
    is_full boolean := false;
    stays boolean := false;
    parks boolean := false;
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
    becomes := CASE WHEN old.state = 'blocked' THEN 'blocked' WHEN due > now() THEN 'scheduled' ELSE 'queued' END;
    IF becomes = 'queued' AND spec.fair_key IS NOT NULL AND leasehold.is_fair(spec.queue) THEN
        stays := old.state = 'queued' AND old.fair_tag IS NOT NULL AND old.limit_keys IS NULL AND spec.limit_keys IS NULL
            AND (old.queue, old.kind, old.fair_key) = (spec.queue, spec.kind, spec.fair_key);
        parks := NOT stays;
    END IF;
    IF becomes = 'queued' AND spec.limit_keys IS NOT NULL AND NOT parks THEN
        SELECT f.key, f.is_full INTO full_key, is_full
        FROM leasehold.first_full_key(spec.limit_keys, spec.queue, spec.kind) f;
    END IF;
    IF spec.webhook IS NOT NULL THEN
        PERFORM leasehold.name_webhook(old.id, spec.webhook);
    ELSIF old.retry IS NOT NULL THEN
        -- Every job that names a webhook has a value there.
        DELETE FROM leasehold.job_webhook n WHERE n.job = old.id;
    END IF;
    RETURN QUERY UPDATE leasehold.job j SET
        queue = spec.queue, kind = spec.kind, payload = spec.payload, priority = spec.priority::smallint, run_at = due,
        max_attempts = spec.max_attempts, max_crashes = coalesce(spec.max_crashes, 3)::smallint,
        timeout_ms = trunc(extract(epoch FROM spec.timeout) * 1000)::integer, limit_key = spec.limit_key,
        limit_keys = spec.limit_keys,
        limited_by = full_key,
        limited_at = CASE WHEN is_full THEN leasehold.line_at(due, spec.priority, spec.queue) END,
        state = becomes,
        fair_key = spec.fair_key,
        fair_at = CASE WHEN parks THEN leasehold.line_at(due, spec.priority, spec.queue) END,
        fair_tag = CASE WHEN stays THEN j.fair_tag END, fair_nth = CASE WHEN stays THEN j.fair_nth END,
        line_at = CASE WHEN stays THEN j.line_at WHEN is_full OR parks THEN 'infinity'
                       ELSE leasehold.line_at(due, spec.priority, spec.queue) END, attempt = 0, crashes = 0, last_error = NULL,
        retry = _retry, retry_until = NULL, expires_at = spec.expires_at, unique_rule = _rule, batch = spec.batch
    WHERE j.id = old.id
    RETURNING j.id, j.state::text;
END
$$;
