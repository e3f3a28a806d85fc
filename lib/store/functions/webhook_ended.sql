-- webhook_ended: makes the deliveries for jobs that have just ended: one for each webhook whose filter matches the job, and one
-- for the webhook that the job names. The trigger of this name calls it after each statement that
-- inserts into history, in the same transaction. So an end and its deliveries commit together: neither exists without the other.
--
-- Guard:      the rows were inserted by this statement. Only the winner of an end inserts a row.
-- Answer:     none. A delivery is a job of the queue leasehold.webhooks. Its kind is the id of the webhook, and its limit key is
--             the limit key of the webhook, so that an endpoint that hangs delays only its own deliveries. Its payload is the
--             body that is sent.
-- Attempts:   8, as many as the schedule in lib/webhooks has.
-- Limits:     a delivery waits for room behind the line, until a reaper or the end of another delivery admits it. So one INSERT
--             makes all deliveries, for any number of jobs that the statement ends and any number of matching webhooks.
-- Never fails: an error here would undo the end of the job, again and again. So the data that a delivery takes from the job is
--             bounded: a result that is long, deep or encrypted is left out, and only the end of a long error is kept.
-- Once:       a webhook whose filter matches the job and which the job also names is only one row here.
-- Excepted:   the ends of deliveries have no deliveries: each would make the next one.
-- Index:      webhook is read as a whole: it has at most 1,000 rows. job_webhook_pkey, only for a job with a value in `retry`: every job
--             that names a webhook has one.
-- Rights:     of the owner: a role that may end jobs may have no rights on webhooks.
CREATE OR REPLACE FUNCTION leasehold.webhook_ended() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    iso constant text := 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';
BEGIN
    INSERT INTO leasehold.job (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, state, line_at, limit_keys,
                               limited_by, limited_at)
    SELECT leasehold.new_id(), 'leasehold.webhooks', w.id,
           json_build_object(
               'type', 'job.' || e.state,
               'timestamp', to_char(e.finished_at AT TIME ZONE 'UTC', iso),
               'data', json_build_object(
                   'id', e.id, 'queue', e.queue, 'kind', e.kind, 'state', e.state,
                   'attempt', e.attempt, 'max_attempts', e.max_attempts, 'batch', e.batch, 'unique_key', e.unique_key,
                   'created_at', to_char(e.created_at AT TIME ZONE 'UTC', iso),
                   'started_at', to_char(e.started_at AT TIME ZONE 'UTC', iso),
                   'finished_at', to_char(e.finished_at AT TIME ZONE 'UTC', iso),
                   'result', CASE WHEN r.is_kept THEN e.result END,
                   'result_left_out', NOT r.is_kept,
                   'error', CASE WHEN e.state <> 'succeeded' THEN right(e.last_error, 4000) END)),
           0, now(), 8, 3, 'queued', 'infinity', ARRAY['leasehold.webhook:' || w.id], 'leasehold.webhook:' || w.id,
           leasehold.line_at(now(), 0, 'leasehold.webhooks')
    FROM (
        -- This is a separate subquery: a join might read all of job_webhook.
        SELECT d.*, CASE WHEN d.retry IS NOT NULL
                         THEN (SELECT n.webhook FROM leasehold.job_webhook n WHERE n.job = d.id) END AS named
        FROM ended d OFFSET 0
    ) e
    JOIN leasehold.webhook w
      ON w.disabled_at IS NULL AND e.state = ANY (w.states)
         AND (w.id = e.named
              OR ((w.queue = e.queue::text OR (right(w.queue, 1) = '*' AND starts_with(e.queue::text, left(w.queue, -1))))
                  AND (w.kinds = '{}' OR e.kind::text = ANY (w.kinds))))
    CROSS JOIN LATERAL (
        -- A payload may have 100 levels, and the body adds two levels around the result.
        SELECT CASE WHEN e.result IS NULL THEN true
                    WHEN octet_length(e.result::text) > 32768 OR starts_with(e.result::text, '{"$encrypted":') THEN false
                    ELSE NOT leasehold.is_deeper_than(e.result::text, 98) END AS is_kept
    ) r
    WHERE e.queue::text <> 'leasehold.webhooks';
    RETURN NULL;
END
$$;
