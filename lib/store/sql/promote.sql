-- promote: scheduled → queued, for jobs that are due by the database's clock.
--
-- Guard:      the row is scheduled and due. A row that another session has locked is skipped.
-- Parameters: $1 limit, $2 scan start: no job is due before this time, or NULL.
-- Answer:     a row for each job: its queue, its position, and how late it came into the line. The last row has only `next_ms`: the
--             time until the next job is due, if that is within a minute.
-- Zero rows:  never.
-- Index:      job_due; then job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.state = 'scheduled' AND j.run_at <= now() AND j.run_at >= coalesce($2::timestamptz, '-infinity')
    ORDER BY j.run_at LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
),
-- include promoted: last = next_ms
UNION ALL
SELECT NULL, NULL, NULL, NULL, (
    SELECT ceil(extract(epoch FROM min(j.run_at) - now()) * 1000)::bigint FROM leasehold.job j
    WHERE j.state = 'scheduled' AND j.run_at > now() AND j.run_at < now() + interval '1 minute'), NULL
