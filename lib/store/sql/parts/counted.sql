-- counted: how many jobs each queue and kind has in each live state, and how many have ended within the last minute: the counts of the
-- newest fold, and the changes of the transactions that this fold has not seen.
--
-- Takes:      queues = true
-- From:       queues: a condition on the rows `c`, which have a queue.
-- Answer:     CTEs; the last one is `counted`: queue, kind, blocked, scheduled, queued, running, succeeded, dead, cancelled.
-- Exact:      a transaction changes jobs and counts together. A statement sees all changes of a transaction or none, and counts them
--             either in the fold or among the later changes, never in both. Ends are counted since the newest fold that is at least
--             a minute old, so they cover up to 5 s more than a minute.
-- Index:      count_fold_pkey, the newest rows; folded_count_pkey, the rows of two folds; count_change_xact, from the first transaction
--             on that the fold has not seen, and one probe for each transaction that was open then.
-- Cost:       1 µs for each row: it depends on the number of queues and kinds, not on the number of jobs.
newest_fold AS MATERIALIZED (
    SELECT f.fold, f.snapshot FROM leasehold.count_fold f ORDER BY f.fold DESC LIMIT 1
), minute_fold AS MATERIALIZED (
    SELECT f.fold FROM leasehold.count_fold f WHERE f.at <= now() - interval '1 minute' ORDER BY f.fold DESC LIMIT 1
), counted AS (
    SELECT p.queue, p.kind, coalesce(sum(p.blocked), 0) AS blocked, coalesce(sum(p.scheduled), 0) AS scheduled,
           coalesce(sum(p.queued), 0) AS queued, coalesce(sum(p.running), 0) AS running,
           coalesce(sum(p.succeeded), 0) AS succeeded, coalesce(sum(p.dead), 0) AS dead,
           coalesce(sum(p.cancelled), 0) AS cancelled
    FROM (
        -- A sum of bigint is a numeric, which takes ten times as long as a sum of integer.
        SELECT c.queue, c.kind, c.blocked::integer, c.scheduled::integer, c.queued::integer, c.running::integer,
               (c.succeeded - coalesce(m.succeeded, 0))::integer AS succeeded, (c.dead - coalesce(m.dead, 0))::integer AS dead,
               (c.cancelled - coalesce(m.cancelled, 0))::integer AS cancelled
        FROM leasehold.folded_count c
        LEFT JOIN leasehold.folded_count m
               ON m.fold = (SELECT f.fold FROM minute_fold f) AND m.queue = c.queue AND m.kind = c.kind AND m.since = c.since
        WHERE c.fold = (SELECT f.fold FROM newest_fold f) AND ($queues)
        UNION ALL
        SELECT c.queue, c.kind,
               CASE WHEN c.state = 'blocked' THEN c.jobs WHEN c.from_state = 'blocked' THEN -c.jobs END::integer,
               CASE WHEN c.state = 'scheduled' THEN c.jobs WHEN c.from_state = 'scheduled' THEN -c.jobs END::integer,
               CASE WHEN c.state = 'queued' THEN c.jobs WHEN c.from_state = 'queued' THEN -c.jobs END::integer,
               CASE WHEN c.state = 'running' THEN c.jobs WHEN c.from_state = 'running' THEN -c.jobs END::integer,
               CASE WHEN c.state = 'succeeded' AND c.at > now() - interval '1 minute' THEN c.jobs::integer END,
               CASE WHEN c.state = 'dead' AND c.at > now() - interval '1 minute' THEN c.jobs::integer END,
               CASE WHEN c.state = 'cancelled' AND c.at > now() - interval '1 minute' THEN c.jobs::integer END
        FROM (
            SELECT c.queue, c.kind, c.state, c.jobs, c.from_state, c.at FROM leasehold.count_change c
            WHERE c.xact >= (SELECT pg_snapshot_xmax(f.snapshot) FROM newest_fold f)
            UNION ALL
            SELECT c.queue, c.kind, c.state, c.jobs, c.from_state, c.at FROM leasehold.count_change c
            WHERE c.xact = ANY (ARRAY(SELECT pg_snapshot_xip(f.snapshot) FROM newest_fold f))
        ) c
        WHERE ($queues)
    ) p
    GROUP BY p.queue, p.kind
)
