-- trim_audit: deletes rows of the audit that are older than 400 days.
--
-- Guard:      the age. No caller can choose it, so a caller of this function cannot remove newer rows.
-- Parameters: the maximum number of rows to delete.
-- Answer:     how many rows were deleted.
-- Index:      audit_at, audit_pkey.
-- Rights:     of the owner: no other role may delete rows of the audit.
CREATE OR REPLACE FUNCTION leasehold.trim_audit(_limit bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM leasehold.audit a WHERE a.id = ANY (ARRAY(
        SELECT o.id FROM leasehold.audit o WHERE o.at < now() - interval '400 days'
        ORDER BY o.at LIMIT _limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
