-- reorder_line: gives the jobs of a queue the line_at that the queue's priority_step asks for. One batch.
--
-- Guard:      the guard of the part.
-- Parameters: $1 queue, $2 the id after which the batch begins, $3 the number of jobs to examine.
-- Zero rows:  never. One row, see the part. If the statement has read no id, the whole line is done.
-- Index:      job_pkey, in the order of ids. All batches together read the table once.
WITH seen AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j WHERE j.id > $2::uuid ORDER BY j.id LIMIT $3::bigint
),
-- include reorder
