-- keep_watch: a reaper records that PostgreSQL could be reached until now.
--
-- Guard:      a row that another session has locked is skipped: another reaper records the same.
-- Parameters: none.
-- Zero rows:  the usual answer; the statement returns nothing.
-- Index:      watch_pkey.
WITH kept AS (
    UPDATE leasehold.watch w SET kept_at = now()
    WHERE w.one_row IN (SELECT o.one_row FROM leasehold.watch o WHERE o.one_row FOR UPDATE SKIP LOCKED)
    RETURNING w.one_row
)
INSERT INTO leasehold.watch (kept_at)
SELECT now() WHERE NOT EXISTS (SELECT FROM leasehold.watch)
ON CONFLICT DO NOTHING
