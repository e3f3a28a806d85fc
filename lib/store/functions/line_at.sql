-- line_at: the position of a job in the line of its queue. A job with a lower value comes first. One point of priority is worth
-- one `priority_step` of waiting.
--
-- Guard:      none, it only reads.
-- Rights:     of the caller.
-- Cost:       for a job with priority 0, the function does not read the queue. Callers that insert many jobs check this case
--             themselves.
-- Zones:      the step is counted in seconds, so that each day has 24 hours in every time zone.
CREATE OR REPLACE FUNCTION leasehold.line_at(run_at timestamptz, priority integer, queue text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN priority = 0 OR NOT isfinite(run_at) THEN run_at ELSE
        run_at - priority * interval '1 second' * extract(epoch FROM coalesce(
            (SELECT q.priority_step FROM leasehold.queue q WHERE q.name = queue), interval '1 hour'))::double precision END
$$;
