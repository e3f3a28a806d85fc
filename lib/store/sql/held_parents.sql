-- held_parents: which of these jobs an open transaction holds, so that no job can be enqueued that depends on them.
--
-- Guard:      the guard of the function. The caller rolls the transaction back.
-- Parameters: $1 ids.
-- Zero rows:  none is held.
-- Index:      see hold_parents.
SELECT h.id FROM leasehold.held_parents($1::uuid[]) h(id)
