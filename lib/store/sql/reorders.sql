-- reorders: the lines whose jobs must move, and which transactions may still write the position of an old step.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Answer:     for each line: the transaction that changed the step; whether another session of this database uses a snapshot
--             from before that change, so that it may still write an old position; and the bounds of this statement's snapshot:
--             each transaction before `running_from` has ended, and each transaction from `begins_from` on has not begun.
-- Zero rows:  no step has changed.
-- Rights:     a role that is not a member of pg_read_all_stats sees the snapshots of its own sessions only.
-- Index:      none: the table is small.
SELECT r.queue, r.since::text::bigint AS since,
       EXISTS (
           SELECT FROM pg_stat_activity a
           WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
             AND age(a.backend_xmin) >= age(r.since::xid)
       ) AS is_seen_before,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS running_from,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS begins_from
FROM leasehold.reorder r
ORDER BY r.queue
