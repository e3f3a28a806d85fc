-- schedule_fire: moves due schedules on and enqueues the jobs of their ticks.
--
-- Guard:      the guard of the function: the revision and the `next_at` that the caller has read.
-- Parameters: one array for each column: $1 names, $2 revisions, $3 the `next_at` that was read, $4 ticks (arrays as text),
--             $5 the next ticks, $6 why a row cannot be read, or NULL.
-- Answer:     the answer of the function.
-- Index:      schedule_pkey, schedule_tick_pkey; then the indexes of an enqueue.
SELECT f.nth, f.outcome, f.tick, f.id, f.inserted, f.state, f.queue, f.line_at, f.problem
FROM leasehold.fire_schedules($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::text[]) f
