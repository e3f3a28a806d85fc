-- counts_differ: the stored counts of jobs equal a count of all jobs, and the triggers that note changes exist. One statement has
-- one snapshot, so concurrent changes do not matter.
-- Index: job_line_at, job_due, job_blocked, job_lease; the indexes of the counts.
WITH
-- include counted
SELECT NULL::uuid AS id, format('queue %s, kind %s: %s jobs are %s, and counted as %s', d.queue, d.kind, coalesce(d.exact, 0), d.state,
                                coalesce(d.counted, 0)) AS detail
FROM (
    SELECT queue, kind, state, e.jobs AS exact, c.jobs AS counted
    FROM (
        -- include exact_counts
    ) e
    FULL JOIN (
        SELECT c.queue, c.kind, s.state::leasehold.job_state AS state, s.jobs
        FROM counted c
        CROSS JOIN LATERAL (VALUES ('blocked', c.blocked), ('scheduled', c.scheduled), ('queued', c.queued), ('running', c.running))
                   AS s(state, jobs)
        WHERE s.jobs <> 0
    ) c USING (queue, kind, state)
) d
WHERE coalesce(d.exact, 0) <> coalesce(d.counted, 0)
UNION ALL
SELECT NULL, format('the trigger %s of leasehold.job is missing or switched off', n.name)
FROM (VALUES ('count_inserted'), ('count_updated'), ('count_deleted'), ('count_truncated')) n(name)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger t
    WHERE t.tgrelid = 'leasehold.job'::regclass AND t.tgname = n.name AND t.tgenabled IN ('O', 'A'))
LIMIT 100
