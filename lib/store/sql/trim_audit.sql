-- trim_audit: deletes rows of the audit that are older than 400 days.
--
-- Guard:      see the function trim_audit.
-- Parameters: $1 limit.
-- Zero rows:  never.
-- Index:      audit_at, audit_pkey.
SELECT leasehold.trim_audit($1::bigint) AS deleted
