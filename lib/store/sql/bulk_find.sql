-- bulk_find: the live jobs that a filter chooses: one page of the live table.
--
-- Guard:      none, it only reads. The statement that changes the jobs has its own guard.
-- Parameters: $1 queue, $2 kind, $3 states, $4 until, $5 error pattern, $6 batch: see parts/chosen.sql; $7 the id after which the page
--             begins, $8 the number of jobs to examine.
-- Answer:     rows of the kind `found`, and one of the kind `last`: the last job of the page.
-- Zero rows:  there is no job after $7.
-- Index:      job_pkey, in the order of ids.
WITH seen AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j WHERE j.id > $7::uuid ORDER BY j.id LIMIT $8::bigint
)
SELECT 'found' AS what, j.id, NULL::timestamptz AS at FROM leasehold.job j
WHERE j.id = ANY (ARRAY(SELECT s.id FROM seen s)) AND
  -- include chosen
UNION ALL
(SELECT 'last', s.id, NULL FROM seen s ORDER BY s.id DESC LIMIT 1)
