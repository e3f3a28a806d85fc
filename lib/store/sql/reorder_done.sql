-- reorder_done: notes that all jobs of a line are at the position that the priority step of their queue gives them.
--
-- Guard:      the step has not changed again since the caller began.
-- Parameters: $1 queue, $2 the transaction that changed the step, as reorders says.
-- Zero rows:  the step has changed again, or another reaper was faster.
-- Index:      reorder_pkey.
DELETE FROM leasehold.reorder r WHERE r.queue = $1 AND r.since::text::bigint = $2::bigint
