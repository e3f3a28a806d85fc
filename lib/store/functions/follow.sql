-- follow: enqueues the jobs that follow from successes. The statement that ended the runs calls this function, so the jobs and
-- the ends are one transaction.
--
-- Guard:      as enqueue_jobs and enqueue_nodes. The caller passes only jobs of runs that the same statement has ended.
-- Parameters: an array of JSON objects, as read_job takes them.
-- Answer:     the jobs that are now in the line. Jobs that wait for room of a limit key are not.
-- Order:      jobs with parents come last: the other jobs of the call may be their parents.
-- Refused:    a job that is not valid is an error, and then no run of the statement has ended. A job whose unique key is held is
--             skipped.
-- Rights:     of the owner, like the functions that it calls.
CREATE OR REPLACE FUNCTION leasehold.follow(jobs json)
RETURNS TABLE (id uuid, queue text, line_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    alone json;
    dependent json;
BEGIN
    SELECT json_agg(e.job ORDER BY e.nth) FILTER (WHERE e.parents = 0), json_agg(e.job ORDER BY e.nth) FILTER (WHERE e.parents > 0)
    INTO alone, dependent
    FROM (SELECT n.job, n.nth,
                 CASE WHEN json_typeof(n.job -> 'depends_on') = 'array' THEN json_array_length(n.job -> 'depends_on') ELSE 0 END AS parents
          FROM json_array_elements(jobs) WITH ORDINALITY AS n(job, nth)) e;
    IF alone IS NOT NULL THEN
        RETURN QUERY SELECT e.id, e.queue, e.line_at FROM leasehold.enqueue_jobs(alone, false) e
                     WHERE (e.inserted OR e.replaced) AND e.state = 'queued' AND e.line_at IS NOT NULL;
    END IF;
    IF dependent IS NOT NULL THEN
        RETURN QUERY SELECT e.id, e.queue, e.line_at FROM leasehold.enqueue_nodes(dependent) e
                     WHERE (e.inserted OR e.replaced) AND e.state = 'queued' AND e.line_at IS NOT NULL;
    END IF;
END
$$;
