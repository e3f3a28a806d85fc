-- enqueue_unless_held: jobs of which some are held by transactions of others: those are passed over.
--
-- Guard:      that of the function.
-- Parameters: as in enqueue.sql.
-- Answer:     one row a job: `nth` (1 is the first), the id that stands for it, whether this call made it, its state; or that
--             it is held.
-- Index:      as enqueue_checked.
SELECT h.nth, h.id, h.inserted, h.state, h.held
FROM leasehold.enqueue_unless_held($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::bigint[],
                                   $8::integer[], $9::smallint[], $10::integer[], $11::text[], $12::text[]) h
