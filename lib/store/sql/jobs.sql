-- jobs: a page of jobs, live and finished, newest first: in descending order of the time of their enqueue, then of their
-- id.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, $2 kind, $3 state, $4 the job after which the page starts (the last job of the page before), each
--             NULL for any; $5 limit.
-- Zero rows:  there are no more jobs.
-- How:        most ids contain the time of the enqueue, accurate to two seconds. These jobs are found by a backward scan of
--             a primary key. `newest` scans until it has a page. No job whose id is more than two seconds outside of the
--             times of this page can belong to the page. So `ordinary` reads the jobs within this range. Ids that do not
--             contain the time have an index in the right order (`job_not_on_clock`, `history_not_on_clock`; running jobs are few
--             and are read by `job_lease`), and so do finished jobs that did not succeed.
-- Index:      job_pkey and the primary keys of the partitions of history, backwards; job_not_on_clock, job_lease,
--             history_not_on_clock, history_ended_badly; then the primary keys. A page reads its own index entries, and the
--             index entries of four more seconds.
-- Form:       each state is written by its name, so that the planner, which knows the parameters, sees which state is
--             requested and leaves out branches that cannot contain it. Only times and ids are sorted, because payloads may
--             be large.
WITH given AS MATERIALIZED (
    SELECT CASE WHEN $4::uuid IS NULL THEN timestamptz 'infinity'
                ELSE coalesce((SELECT j.created_at FROM leasehold.job j WHERE j.id = $4::uuid),
                              (SELECT h.created_at FROM leasehold.history h WHERE h.id = $4::uuid LIMIT 1),
                              leasehold.time_of_id($4::uuid)) END AS at
), start AS MATERIALIZED (
    -- A clock may have been set back, so an ordinary id may be ahead of now, but not by a year.
    SELECT g.at, coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS id,
           leasehold.first_id_at(least(g.at, now() + interval '1 year') + interval '2002 milliseconds') AS above
    FROM given g
), live_newest AS MATERIALIZED (
    SELECT l.created_at, l.id FROM leasehold.job l
    WHERE l.id < (SELECT s.above FROM start s) AND (l.on_clock IS TRUE OR NOT leasehold.is_off_clock(l.id, l.created_at))
      AND (l.created_at, l.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR l.queue = $1) AND ($2::text IS NULL OR l.kind = $2)
      AND ($3::text IS NULL OR $3::text IN ('blocked', 'scheduled', 'queued', 'running'))
      AND ($3::text IS DISTINCT FROM 'blocked' OR l.state = 'blocked')
      AND ($3::text IS DISTINCT FROM 'scheduled' OR l.state = 'scheduled')
      AND ($3::text IS DISTINCT FROM 'queued' OR l.state = 'queued')
      AND ($3::text IS DISTINCT FROM 'running' OR (l.state = 'running' AND l.lease_expires_at IS NOT NULL))
    ORDER BY l.id DESC LIMIT $5::bigint
), live_ordinary AS (
    SELECT l.created_at, l.id, NULL::timestamptz AS finished_at FROM leasehold.job l
    WHERE l.id < (SELECT s.above FROM start s)
      AND l.id >= (SELECT CASE WHEN count(*) < $5::bigint THEN (array_agg(n.id ORDER BY n.id))[1]
                               ELSE leasehold.first_id_at(min(n.created_at) - interval '2002 milliseconds') END
                   FROM live_newest n)
      AND (l.on_clock IS TRUE OR NOT leasehold.is_off_clock(l.id, l.created_at))
      AND (l.created_at, l.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR l.queue = $1) AND ($2::text IS NULL OR l.kind = $2)
      AND ($3::text IS NULL OR $3::text IN ('blocked', 'scheduled', 'queued', 'running'))
      AND ($3::text IS DISTINCT FROM 'blocked' OR l.state = 'blocked')
      AND ($3::text IS DISTINCT FROM 'scheduled' OR l.state = 'scheduled')
      AND ($3::text IS DISTINCT FROM 'queued' OR l.state = 'queued')
      AND ($3::text IS DISTINCT FROM 'running' OR (l.state = 'running' AND l.lease_expires_at IS NOT NULL))
    ORDER BY l.created_at DESC, l.id DESC LIMIT $5::bigint
), live_off_clock AS (
    SELECT l.created_at, l.id, NULL::timestamptz AS finished_at FROM leasehold.job l
    WHERE l.on_clock IS NOT TRUE AND l.state <> 'running' AND leasehold.is_off_clock(l.id, l.created_at)
      AND (l.created_at, l.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR l.queue = $1) AND ($2::text IS NULL OR l.kind = $2)
      AND ($3::text IS NULL OR $3::text IN ('blocked', 'scheduled', 'queued'))
      AND ($3::text IS DISTINCT FROM 'blocked' OR l.state = 'blocked')
      AND ($3::text IS DISTINCT FROM 'scheduled' OR l.state = 'scheduled')
      AND ($3::text IS DISTINCT FROM 'queued' OR l.state = 'queued')
    ORDER BY l.created_at DESC, l.id DESC LIMIT $5::bigint
), running_off_clock AS (
    SELECT l.created_at, l.id, NULL::timestamptz AS finished_at FROM leasehold.job l
    WHERE l.lease_expires_at IS NOT NULL AND l.on_clock IS NOT TRUE AND leasehold.is_off_clock(l.id, l.created_at)
      AND (l.created_at, l.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR l.queue = $1) AND ($2::text IS NULL OR l.kind = $2)
      AND ($3::text IS NULL OR $3::text = 'running')
    ORDER BY l.created_at DESC, l.id DESC LIMIT $5::bigint
), finished_newest AS MATERIALIZED (
    SELECT h.created_at, h.id FROM leasehold.history h
    WHERE h.id < (SELECT s.above FROM start s) AND (h.on_clock IS TRUE OR NOT leasehold.is_off_clock(h.id, h.created_at))
      AND (h.created_at, h.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR h.queue = $1) AND ($2::text IS NULL OR h.kind = $2)
      AND ($3::text IS NULL OR ($3::text = 'succeeded' AND h.state = 'succeeded'))
    ORDER BY h.id DESC LIMIT $5::bigint
), finished_ordinary AS (
    SELECT h.created_at, h.id, h.finished_at FROM leasehold.history h
    WHERE h.id < (SELECT s.above FROM start s)
      AND h.id >= (SELECT CASE WHEN count(*) < $5::bigint THEN (array_agg(n.id ORDER BY n.id))[1]
                               ELSE leasehold.first_id_at(min(n.created_at) - interval '2002 milliseconds') END
                   FROM finished_newest n)
      AND (h.on_clock IS TRUE OR NOT leasehold.is_off_clock(h.id, h.created_at))
      AND (h.created_at, h.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR h.queue = $1) AND ($2::text IS NULL OR h.kind = $2)
      AND ($3::text IS NULL OR ($3::text = 'succeeded' AND h.state = 'succeeded'))
    ORDER BY h.created_at DESC, h.id DESC LIMIT $5::bigint
), finished_off_clock AS (
    SELECT h.created_at, h.id, h.finished_at FROM leasehold.history h
    WHERE h.on_clock IS NOT TRUE AND leasehold.is_off_clock(h.id, h.created_at)
      AND (h.created_at, h.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR h.queue = $1) AND ($2::text IS NULL OR h.kind = $2)
      AND ($3::text IS NULL OR ($3::text = 'succeeded' AND h.state = 'succeeded'))
    ORDER BY h.created_at DESC, h.id DESC LIMIT $5::bigint
), ended_badly AS (
    SELECT h.created_at, h.id, h.finished_at FROM leasehold.history h
    WHERE h.state <> 'succeeded' AND h.state = CASE $3::text WHEN 'dead' THEN 'dead' WHEN 'cancelled' THEN 'cancelled' END::leasehold.job_state
      AND (h.created_at, h.id) < ((SELECT s.at FROM start s), (SELECT s.id FROM start s))
      AND ($1::text IS NULL OR h.queue = $1) AND ($2::text IS NULL OR h.kind = $2)
    ORDER BY h.created_at DESC, h.id DESC LIMIT $5::bigint
), page AS MATERIALIZED (
    SELECT a.created_at, a.id, a.finished_at
    FROM (SELECT * FROM live_ordinary UNION ALL SELECT * FROM live_off_clock
          UNION ALL SELECT * FROM running_off_clock
          UNION ALL SELECT * FROM finished_ordinary UNION ALL SELECT * FROM finished_off_clock
          UNION ALL SELECT * FROM ended_badly) a
    ORDER BY a.created_at DESC, a.id DESC LIMIT $5::bigint
)
SELECT j.id, j.queue, j.kind, j.state, j.priority, j.payload::text AS payload, j.result::text AS result,
       j.last_error, j.attempt, j.max_attempts, j.crashes, j.max_crashes, j.epoch, j.worker, j.run_at, j.created_at,
       j.started_at, j.finished_at, j.lease_expires_at, j.cancel_requested_at, j.timeout_ms, j.unique_key, j.limit_key,
       j.limit_keys, j.trail, j.retry::text AS retry, j.retry_until, j.expires_at, j.unique_rule, j.batch, j.fair_key
FROM page p
CROSS JOIN LATERAL (
    SELECT l.id, l.queue::text AS queue, l.kind::text AS kind, l.state::text AS state, l.priority::smallint AS priority,
           l.payload::json AS payload, NULL::json AS result, l.last_error, l.attempt, l.max_attempts, l.crashes,
           l.max_crashes, l.epoch, l.worker, l.run_at, l.created_at, l.started_at, NULL::timestamptz AS finished_at,
           l.lease_expires_at, l.cancel_requested_at, l.timeout_ms,
           coalesce(l.unique_key, l.begun_key)::text AS unique_key, coalesce(l.limit_keys[1], l.limit_key::text) AS limit_key, l.limit_keys, l.trail, l.retry,
           l.retry_until, l.expires_at, l.unique_rule::text AS unique_rule, l.batch, l.fair_key
    FROM leasehold.job l WHERE p.finished_at IS NULL AND l.id = p.id
    UNION ALL
    SELECT h.id, h.queue, h.kind, h.state::text, h.priority, h.payload, h.result, h.last_error, h.attempt, h.max_attempts,
           h.crashes, h.max_crashes, h.epoch, h.worker, h.run_at, h.created_at, h.started_at, h.finished_at,
           NULL, NULL, h.timeout_ms, h.unique_key, coalesce(h.limit_keys[1], h.limit_key), h.limit_keys, h.trail, h.retry, h.retry_until, h.expires_at,
           h.unique_rule::text, h.batch, h.fair_key
    FROM leasehold.history h WHERE h.id = p.id AND h.finished_at = p.finished_at
) j
ORDER BY p.created_at DESC, p.id DESC
