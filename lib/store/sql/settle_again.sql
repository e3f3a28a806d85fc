-- settle_again: why a settle found no row. Reads only; its snapshot is later than the settle's.
--
-- Already:    the job ended as wanted by this very run, or its trail says that this very run was put back as wanted.
--             An end that the reaper made for this run (its trail says `expire`) is not the worker's.
-- Cancel:     the run stands and goes nowhere but to cancelled.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 verbs, $5 final states or NULL for verbs that put back.
-- Answer:     one row a run: `nth` (1 is the first), `already`, `cancel_wanted`.
-- Index:      job_pkey, and the primary keys of the partitions of history.
SELECT r.nth,
       EXISTS (
           SELECT FROM leasehold.history h
           WHERE h.id = r.id AND h.epoch = r.epoch AND h.worker = $1 AND h.state::text = r.final
             AND NOT coalesce(h.trail, '[]') @> jsonb_build_array(jsonb_build_object('verb', 'expire', 'epoch', r.epoch))
       ) OR EXISTS (
           SELECT FROM leasehold.jobs j
           WHERE j.id = r.id AND r.final IS NULL
             AND j.trail @> jsonb_build_array(jsonb_build_object('verb', r.verb, 'epoch', r.epoch, 'worker', $1::uuid))
       ) AS already,
       EXISTS (
           SELECT FROM leasehold.job j
           WHERE j.id = r.id AND r.final IS NULL AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
             AND coalesce(j.cancel_requested_at, 'infinity') < 'infinity'
       ) AS cancel_wanted
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[]) WITH ORDINALITY AS r(id, epoch, verb, final, nth)
