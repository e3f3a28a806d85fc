-- start_run: the changes of begin_run, for jobs of any kind: the unique key of a job with a rule moves to its second place.
--
-- Takes:      lease_ms; at = now()
-- Guard:      the guard of the statement. Its worker is $1.
-- Types:      both branches of each CASE are keys. Otherwise PostgreSQL takes the result for text, and checks the key again in each row.
SET
    -- include begin_run: at = $at; lease_end = $at + $lease_ms::bigint * interval '1 millisecond'
    , unique_key = CASE WHEN j.unique_rule IS NULL THEN j.unique_key ELSE NULL::leasehold.key END,
    begun_key = CASE WHEN j.unique_rule IS NULL THEN j.begun_key ELSE coalesce(j.begun_key, j.unique_key) END
