-- dead_letter: for each job that has just died in a queue with a dead-letter queue, makes a new job in the dead-letter queue,
-- with the same kind, payload, priority, limits and retry policy. The new job has the error of the dead one, and a row of
-- leasehold.dead_letter connects both.
--
-- Takes:      ended
-- From:       rows of leasehold.history, as `$ended`: jobs that the same statement has ended. So one transaction contains the
--             death and the dead letter: either both happen or neither.
-- Guard:      the job is no dead letter itself. So a chain or a cycle of queues cannot make an endless number of dead letters.
-- Hint:       none; the next tick of a reaper finds the new job in the line.
-- Index:      queue_pkey, dead_letter_pkey.
letter AS MATERIALIZED (
    SELECT leasehold.new_id() AS id, e.id AS died, e.queue AS died_in, q.dead_letter AS queue, e.kind, e.payload, e.priority,
           e.max_attempts, e.max_crashes, e.timeout_ms, e.last_error, e.retry
    FROM $ended e
    JOIN leasehold.queue q ON q.name = e.queue
    WHERE e.state = 'dead' AND q.dead_letter IS NOT NULL
      AND NOT EXISTS (SELECT FROM leasehold.dead_letter d WHERE d.job = e.id)
), made AS (
    INSERT INTO leasehold.job (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, timeout_ms, state,
                               line_at, last_error, retry, trail)
    SELECT l.id, l.queue, l.kind, l.payload, l.priority, now(), l.max_attempts, l.max_crashes, l.timeout_ms, 'queued',
           leasehold.line_at(now(), l.priority, l.queue), l.last_error, l.retry,
           leasehold.with_trail(NULL, 'dead_letter', 0, NULL, format('job %s died in %s', l.died, l.died_in))
    FROM letter l
), linked AS (
    INSERT INTO leasehold.dead_letter (job, died, died_in, error)
    SELECT l.id, l.died, l.died_in, l.last_error FROM letter l
)
