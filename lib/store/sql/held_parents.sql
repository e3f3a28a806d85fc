-- held_parents: the jobs among these that an open transaction holds. While it does, no job that depends on them can
-- be enqueued.
--
-- Guard:      the guard of the function. The caller rolls the transaction back.
-- Parameters: $1 ids.
-- Zero rows:  no job is held.
-- Index:      see hold_parents.
SELECT h.id FROM leasehold.held_parents($1::uuid[]) h(id)
