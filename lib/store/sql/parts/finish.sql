-- finish: moves jobs that have ended from the live table to history. Every statement that ends a job contains this part, so
-- one place lists what a finished job keeps. A test compares the list with the columns of both tables.
--
-- The consequences of the end of a job start from the rows of this part: see `tell_children`. Webhooks begin with the new rows of
-- history: see the function `webhook_ended`, a trigger.
--
-- Takes:      from = gone g; state; result = NULL::json; error = g.last_error; crashes = g.crashes; trail = g.trail
-- From:       rows of leasehold.job, as `g`, that the same statement has deleted, so no other statement can see a job in both
--             tables or in neither.
-- Guard:      the guard of the statement.
-- Answer:     the columns that the statement returns from the rows of history. The alias is `h`.
INSERT INTO leasehold.history AS h (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                                    max_attempts, timeout_ms, state, priority, crashes, max_crashes, queue, kind,
                                    payload, result, unique_key, limit_key, last_error, trail, retry,
                                    retry_until, expires_at, unique_rule, is_parent, unmet, progress, limit_keys, batch, fair_key,
                                    on_clock)
SELECT g.id, g.run_at, g.created_at, g.started_at, now(), g.worker, g.epoch, g.attempt,
       g.max_attempts, g.timeout_ms, $state, g.priority, $crashes, g.max_crashes, g.queue, g.kind,
       g.payload, $result, coalesce(g.unique_key, g.begun_key), g.limit_key, $error, $trail, g.retry,
       g.retry_until, g.expires_at, g.unique_rule, g.is_parent, g.unmet, g.progress, g.limit_keys, g.batch, g.fair_key,
       g.on_clock
FROM $from
