-- tell_children: applies the end of jobs to the jobs that depend on them. The call of parents_ended is the second statement of
-- the transaction: it has a new snapshot, so it sees the children that somebody has enqueued since this statement began. A job
-- without children costs one comparison.
--
-- Takes:      ended
-- From:       rows of `$ended`: id, state, is_parent.
-- Guard:      the rows have just been moved to history by this statement, which holds their locks.
-- Answer:     id, queue and line_at of the jobs that are now in the line.
-- Index:      see parents_ended.
SELECT u.id, u.queue, u.line_at
FROM (SELECT array_agg(p.id) AS ids, array_agg(p.state::text) AS states FROM $ended p WHERE p.is_parent) parents
CROSS JOIN LATERAL leasehold.parents_ended(parents.ids, parents.states) u
WHERE parents.ids IS NOT NULL
