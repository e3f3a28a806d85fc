-- bulk_find_finished: the dead or the cancelled jobs that a filter chooses: one page, in the order of their enqueue.
--
-- Guard:      none, it only reads. The statement that changes the jobs has its own guard.
-- Parameters: $1 queue, $2 kind, $3 states: one state, $4 until, $5 error pattern, $6 batch: see parts/chosen.sql; $7 and $8 the job after
--             which the page begins: its created_at and its id; $9 the number of jobs to examine.
-- Answer:     rows of the kind `found`, and one of the kind `last`: the last job of the page.
-- Zero rows:  there is no job after this one.
-- Index:      history_ended_badly, in its order; it has no entries of jobs that succeeded.
WITH seen AS MATERIALIZED (
    SELECT h.id, h.created_at, h.finished_at, h.queue, h.kind, h.state, h.last_error, h.batch
    FROM leasehold.history h
    WHERE h.state <> 'succeeded' AND h.state = ($3::text[])[1]::leasehold.job_state
      AND (h.created_at, h.id) > ($7::timestamptz, $8::uuid)
    ORDER BY h.created_at, h.id
    LIMIT $9::bigint
)
SELECT 'found' AS what, j.id, j.created_at AS at FROM seen j
WHERE
  -- include chosen
UNION ALL
(SELECT 'last', s.id, s.created_at FROM seen s ORDER BY s.created_at DESC, s.id DESC LIMIT 1)
