-- no-transaction
-- Due jobs of one queue, for promote_share.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- step, if invalid job_due_in_queue
DROP INDEX CONCURRENTLY leasehold.job_due_in_queue;

-- The condition says `state = 'scheduled'` in words that only promote_share uses, with a length that is never 0. So the planner
-- takes this index for no other statement, and job_due not for promote_share, whatever the statistics say.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_due_in_queue ON leasehold.job (queue, run_at)
    WHERE state >= 'scheduled' AND state <= 'scheduled' AND octet_length(queue::text) > 0;
