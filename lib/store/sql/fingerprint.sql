-- fingerprint: whether the line (slice by slice) or the set of pauses has changed since an earlier fingerprint.
--
-- Guard:      none, it only reads.
-- Parameters: the slices of the line, by name of queue: $1 the name before the slice, $2 the last name of the slice, or
--             NULL for all names that follow; $3 the maximum number of jobs to compare in a slice.
-- Zero rows:  never. One row for each slice, in order.
-- Jobs, hash: computed from the first $3 + 1 jobs in the line of the slice, ordered by queue, kind, line_at and id.
--             Equal values mean the same jobs.
-- Begins:     the same as in survey.
-- Index:      job_line_at, one range for each slice; job_lease and job_due, one probe each.
-- Cost:       about 0.3 µs for each job and 8 µs for each slice, plus the cost of dead rows.
WITH look AS MATERIALIZED (
    SELECT now() - interval '250 milliseconds' AS latest,
           (SELECT min(j.lease_expires_at) FROM leasehold.job j WHERE j.lease_expires_at IS NOT NULL) AS lease,
           (SELECT min(j.run_at) FROM leasehold.job j WHERE j.state = 'scheduled') AS due
), paused AS MATERIALIZED (
    -- No name of a queue has a newline.
    SELECT count(*) AS pauses, coalesce(bit_xor(hashtextextended(p.name, 0)), 0) AS hash
    FROM (
        SELECT q.name::text FROM leasehold.queue q WHERE q.paused_at IS NOT NULL
        UNION ALL
        SELECT concat_ws(E'\n', p.queue, p.what, p.name) FROM leasehold.pause p
    ) p(name)
)
SELECT f.jobs, f.hash, p.pauses AS paused, p.hash AS paused_hash,
       CASE WHEN coalesce(k.lease, 'infinity') > '-infinity' THEN least(k.lease, k.latest) END AS leases_begin,
       CASE WHEN coalesce(k.due, 'infinity') > '-infinity' THEN least(k.due, k.latest) END AS schedule_begins,
       (extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint AS took_ms
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s(after, until, nth)
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs,
           coalesce(bit_xor(uuid_hash_extended(front.id, timestamp_hash(front.line_at AT TIME ZONE 'UTC'))), 0) AS hash
    FROM (
        SELECT j.id, j.line_at FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue > s.after
          -- No name is longer than 128 characters, and no character of a name sorts after z.
          AND j.queue <= coalesce(s.until, repeat('z', 129))
        ORDER BY j.queue, j.kind, j.line_at, j.id
        LIMIT $3::bigint + 1
    ) front
) f
CROSS JOIN look k
CROSS JOIN paused p
ORDER BY s.nth
