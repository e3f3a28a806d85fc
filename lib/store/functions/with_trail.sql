-- with_trail: the trail of a job with one more entry. The newest 20 entries are kept.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller.
-- Plan:       PostgreSQL inlines the body: one expression, and no SET clause.
CREATE OR REPLACE FUNCTION leasehold.with_trail(trail jsonb, verb text, epoch integer, worker uuid, note text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_array_length(coalesce(trail, '[]')) >= 20 THEN trail - 0 ELSE coalesce(trail, '[]') END
        || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
               'at', now(), 'verb', verb, 'epoch', epoch, 'worker', worker, 'note', left(note, 1000))))
$$;
