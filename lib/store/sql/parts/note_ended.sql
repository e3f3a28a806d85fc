-- note_ended: notes how many jobs of each queue and kind have ended in each state. Every statement that ends a job contains this part. The
-- trigger of leasehold.job notes that these jobs are no longer live.
--
-- Takes:      ended = ended
-- From:       rows of `$ended`: queue, kind, state.
-- Why:        a trigger of history would do the same for a percent of the cost of a plain job.
noted AS (
    INSERT INTO leasehold.count_change (queue, kind, state, jobs)
    SELECT e.queue, e.kind, e.state, count(*) FROM $ended e GROUP BY e.queue, e.kind, e.state
)
