-- settle_again: why a settle found no row. It only reads, and its snapshot is later than the snapshot of the settle.
--
-- Already:    this very run ended the job as wanted, or the trail says that this very run put the job back as wanted. If
--             the reaper ended this run (the trail says `expire`), the worker did not.
-- Cancel:     the run still holds the job, but only a cancel is accepted.
-- Locked:     the run still holds the job and the settle is legal, but another transaction had locked the row.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 verbs, $5 final states, or NULL for verbs that put the job back.
-- Answer:     one row for each run: `nth` (1 is the first), `already`, `cancel_wanted`, `locked`.
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
       coalesce(stands.cancel_wanted AND r.final IS NULL, false) AS cancel_wanted,
       -- The guards of the verbs, for a run that still holds its job: a settle that they refuse does not count as locked.
       coalesce(CASE
           WHEN r.verb = 'cancel' THEN stands.cancel_wanted
           WHEN r.verb = 'retry' THEN NOT stands.cancel_wanted AND stands.attempt_left
           WHEN r.final IS NULL THEN NOT stands.cancel_wanted
           ELSE true
       END AND stands.id IS NOT NULL, false) AS locked
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[]) WITH ORDINALITY AS r(id, epoch, verb, final, nth)
LEFT JOIN LATERAL (
    SELECT j.id, coalesce(j.cancel_requested_at, 'infinity') < 'infinity' AS cancel_wanted,
           j.attempt < j.max_attempts AS attempt_left
    FROM leasehold.job j
    WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
    OFFSET 0
) stands ON true
