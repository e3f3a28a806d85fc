-- enqueue_unless_held: inserts jobs. Skips a job whose id or unique key another session's open transaction holds.
--
-- Guard:      the guard of the function.
-- Parameters: the same as enqueue.
-- Answer:     one row for each job: `nth` (1 is the first), the id of the new or existing job, whether this call inserted
--             it, its state; or that the job is held. And the position in the line of a job that is inserted now.
-- Index:      the same as enqueue_checked.
SELECT h.nth, h.id, h.inserted, h.state, h.held,
       leasehold.line_at(coalesce(s.run_at, now() + s.delay_ms * interval '1 millisecond', now()), s.priority, s.queue) AS line_at
FROM leasehold.enqueue_unless_held($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::bigint[],
                                   $8::integer[], $9::smallint[], $10::integer[], $11::text[], $12::text[]) h
JOIN unnest($2::text[], $5::smallint[], $6::timestamptz[], $7::bigint[]) WITH ORDINALITY
         AS s(queue, priority, run_at, delay_ms, nth) ON s.nth = h.nth
