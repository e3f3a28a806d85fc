-- enqueue_graph: enqueues jobs that depend on other jobs, all of them or none.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the jobs, as enqueue_nodes takes them; $2 lock timeout, such as 200ms, or NULL for the current setting. After
--             it, the statement fails with lock_not_available (55P03).
-- Answer:     one row for each job: `nth` (1 is the first), the id of the new or existing job, whether this call inserted or
--             replaced it,
--             its state, and its position in the line.
-- Index:      see enqueue_nodes.
SELECT n.nth::bigint AS nth, n.id, n.inserted, n.replaced, n.state, n.line_at
FROM leasehold.enqueue_nodes($1::text::json) n
WHERE $2::text IS NULL OR (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
