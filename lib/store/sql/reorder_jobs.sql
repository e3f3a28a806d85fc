-- reorder_jobs: does the same as reorder_line, for a few jobs that reorder_line found locked.
--
-- Guard:      the guard of the part.
-- Parameters: $1 queue, $2 ids.
-- Zero rows:  never. One row, see the part.
-- Index:      job_pkey.
WITH seen AS MATERIALIZED (
    SELECT unnest($2::uuid[]) AS id
),
-- include reorder
