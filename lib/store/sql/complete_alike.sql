-- complete_alike: running → succeeded, for runs without results, of one epoch, whose jobs have no children. Most runs are of this
-- sort.
--
-- Guard:      fence (id, epoch, worker). A success is accepted even when a cancel is wanted.
-- Parameters: $1 worker, $2 ids, each once and in order, $3 the epoch of all these runs.
-- Locked:     as complete.
-- Answer:     one row for each queue and kind, with the ids of the runs that were ended.
-- Zero rows:  complete is sent for each run that is not in the answer: its job has children, or its fence is stale.
-- Index:      job_pkey.
-- Counts:     the statement names job_noted, the parent table of leasehold.job, so the triggers that note changes do not run. The
--             statement notes its changes itself.
-- Order:      rows are locked in the order of the index, which is the order of their ids.
-- Why alike:  without the join with the parameters of each run, a run takes 0.9 µs less, an eighth. Without the call for children, each
--             statement takes 0.1 ms less.
WITH gone AS (
    DELETE FROM leasehold.job_noted j
    WHERE j.id = ANY ($2::uuid[]) AND j.epoch = $3::integer AND j.worker = $1 AND j.state = 'running' AND j.is_parent IS NOT TRUE
      AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
    RETURNING
    -- include leaving
), ended AS (
    -- include finish: state = 'succeeded'
    RETURNING h.id, h.queue, h.kind
), grouped AS MATERIALIZED (
    SELECT e.queue, e.kind, count(*) AS jobs, array_agg(e.id) AS ids FROM ended e GROUP BY e.queue, e.kind
), noted AS (
    INSERT INTO leasehold.count_change (queue, kind, state, jobs, from_state)
    SELECT g.queue, g.kind, 'succeeded', g.jobs, 'running' FROM grouped g
)
SELECT g.ids FROM grouped g
