-- http_report: writes the progress that a run of an HTTP worker reports: the part that is done, or a note, or both. The latest
-- earlier notes stay.
--
-- Guard:      fence (id, epoch, worker). A row that another transaction has locked is skipped.
-- Parameters: $1 id, $2 worker, $3 epoch, $4 the part that is done, or NULL to keep it, $5 a note, or NULL, $6 the most notes.
-- Answer:     whether it was written, and whether a cancel is wanted.
-- Zero rows:  the fence is stale.
-- Index:      job_pkey. No index contains the changed column, so the new version of the row needs no index entry.
WITH held AS MATERIALIZED (
    SELECT j.id, j.cancel_requested_at IS NOT NULL AS cancel_wanted FROM leasehold.job j
    WHERE j.id = $1::uuid AND j.worker = $2::uuid AND j.epoch = $3::integer AND j.state = 'running'
), target AS MATERIALIZED (
    SELECT j.id, CASE WHEN (j.progress ->> 'epoch')::integer = j.epoch THEN j.progress END AS told FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT h.id FROM held h)) AND j.worker = $2::uuid AND j.epoch = $3::integer AND j.state = 'running'
    FOR UPDATE SKIP LOCKED
), written AS (
    UPDATE leasehold.job j
    SET progress = jsonb_build_object('epoch', j.epoch, 'done', coalesce(to_jsonb($4::float8), t.told -> 'done'), 'at', now(), 'notes', (
            SELECT coalesce(jsonb_agg(n.note ORDER BY n.nth), '[]')
            FROM (SELECT o.note, (o.note ->> 'nth')::bigint AS nth
                  FROM jsonb_array_elements(
                      coalesce(t.told -> 'notes', '[]')
                      || CASE WHEN $5::text IS NULL THEN '[]'::jsonb
                              ELSE jsonb_build_array(jsonb_build_object(
                                  'nth', coalesce((t.told #>> '{notes,-1,nth}')::bigint, 0) + 1, 'at', now(), 'note', $5::text)) END) o(note)
                  ORDER BY 2 DESC LIMIT $6::bigint) n))
    FROM target t
    WHERE j.id = t.id AND j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id
)
SELECT EXISTS (SELECT FROM written) AS written, h.cancel_wanted FROM held h
