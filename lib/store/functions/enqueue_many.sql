-- enqueue_many: many jobs, in the caller's own transaction: leasehold.enqueue_many('[{"kind": "mail", "payload": {…}}, …]').
--
-- Guard:      as enqueue_spec, for each job.
-- Parameters: an array of JSON objects with the fields of a line of `leasehold enqueue --stdin`.
-- Answer:     one row for each job, in order: `nth` (1 is the first), the id of the job or of the existing job in its place,
--             whether this call inserted it or replaced a waiting job, and its state. If one job cannot be accepted, the call
--             fails with invalid_parameter_value and no job is enqueued.
-- Rights:     of the owner: a caller needs USAGE on the schema and EXECUTE on the called overload.
-- Overloads:  three, because a literal or a string of a driver is `text`, and PostgreSQL does not convert between json and jsonb in
--             a call.
CREATE OR REPLACE FUNCTION leasehold.enqueue_many(jobs json)
RETURNS TABLE (nth bigint, id uuid, inserted boolean, replaced boolean, state text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.nth, e.id, e.inserted, e.replaced, e.state FROM leasehold.enqueue_jobs(jobs, false) e ORDER BY e.nth
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue_many(jobs jsonb)
RETURNS TABLE (nth bigint, id uuid, inserted boolean, replaced boolean, state text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.nth, e.id, e.inserted, e.replaced, e.state FROM leasehold.enqueue_jobs(jobs::json, false) e ORDER BY e.nth
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue_many(jobs text)
RETURNS TABLE (nth bigint, id uuid, inserted boolean, replaced boolean, state text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.nth, e.id, e.inserted, e.replaced, e.state FROM leasehold.enqueue_jobs(jobs::json, false) e ORDER BY e.nth
$$;
