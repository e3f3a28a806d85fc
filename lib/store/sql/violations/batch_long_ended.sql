-- batch_long_ended: a sealed batch without live jobs becomes complete within ticks of a reaper, and a batch with live jobs has a row.
-- Index: batch_awaited, job_batch, batch_pkey.
(SELECT NULL::uuid AS id, format('batch %s is sealed, and its last job has ended; no reaper has enqueued its callbacks', b.name) AS detail
 FROM leasehold.batch b
 WHERE b.sealed_at < now() - interval '10 seconds' AND b.completed_at IS NULL
   AND NOT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = b.name::text)
   AND NOT EXISTS (SELECT FROM leasehold.history h
                   WHERE h.batch = b.name::text AND h.finished_at > now() - interval '10 seconds')
 ORDER BY b.name LIMIT 100)
UNION ALL
(SELECT j.id, format('the job belongs to the batch %s, and there is no such batch', j.batch)
 FROM leasehold.job j
 WHERE j.batch IS NOT NULL AND NOT EXISTS (SELECT FROM leasehold.batch b WHERE b.name = j.batch)
 ORDER BY j.batch, j.id LIMIT 100)
