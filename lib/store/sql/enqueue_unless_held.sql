-- enqueue_unless_held: inserts jobs, some of which are held by other sessions' transactions: these are skipped.
--
-- Guard:      the guard of the function.
-- Parameters: the same as enqueue.
-- Answer:     one row for each job: `nth` (1 is the first), the id of the new or existing job, whether this call inserted
--             it, its state; or that the job is held.
-- Index:      the same as enqueue_checked.
SELECT h.nth, h.id, h.inserted, h.state, h.held
FROM leasehold.enqueue_unless_held($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::bigint[],
                                   $8::integer[], $9::smallint[], $10::integer[], $11::text[], $12::text[]) h
