-- finish: moves jobs that have ended from the live table to history. Every statement that ends a job has this part, so one
-- place says what a finished job keeps. A test compares the list with the columns of both tables.
--
-- Here is where to hook in what follows from an end: follow-on jobs, batches, dependencies, webhooks.
--
-- Takes:      from = gone g; state; result = NULL::json; error = g.last_error; crashes = g.crashes; trail = g.trail
-- From:       rows of leasehold.job, as `g`, that the same statement has deleted: no other statement can see a job in both
--             tables or in none.
-- Guard:      that of the statement.
-- Answer:     what the statement says after this part, of the rows of history, as `h`.
INSERT INTO leasehold.history AS h (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                                    max_attempts, timeout_ms, state, priority, crashes, max_crashes, queue, kind,
                                    payload, result, unique_key, limit_key, last_error, trail)
SELECT g.id, g.run_at, g.created_at, g.started_at, now(), g.worker, g.epoch, g.attempt,
       g.max_attempts, g.timeout_ms, $state, g.priority, $crashes, g.max_crashes, g.queue, g.kind,
       g.payload, $result, g.unique_key, g.limit_key, $error, $trail
FROM $from
