-- locker_of: the session that has locked a row for a while: its pid, application, state, and the begin of its transaction as `since`.
--
-- Takes:      xmaxes; table
-- From:       xmaxes: an array of the xmax of rows; table: their table.
-- Locks:      xmax is the transaction that has locked the row, or a subtransaction of it that a savepoint began. If several
--             sessions share the lock, or if a session has a lock that allows others to change the row, xmax is the number of a
--             list of transactions (a multixact). The transactions that are under way hold a lock on their own numbers. A
--             transaction that is younger than 200 ms is left out: workers lock rows for a moment all the time.
-- Rights:     PostgreSQL shows the transactions of other roles only to superusers and to members of pg_read_all_stats. For any
--             other role, the row looks unlocked.
SELECT a.pid, nullif(a.application_name, '') AS application, coalesce(a.state, '?') AS state, a.xact_start AS since
FROM pg_locks k
JOIN pg_stat_activity a ON a.pid = k.pid
WHERE k.locktype = 'transactionid' AND k.granted AND a.xact_start < clock_timestamp() - interval '200 ms'
  AND k.transactionid::text IN (
      SELECT x.number::text FROM unnest($xmaxes) x(number)
      UNION ALL
      SELECT m.xid::text
      FROM unnest($xmaxes) x(number)
      CROSS JOIN LATERAL pg_get_multixact_members(
          -- A list exists only if its number is neither older than the oldest number in the table nor greater than the newest.
          CASE WHEN mxid_age(x.number) BETWEEN 1 AND (SELECT mxid_age(c.relminmxid) FROM pg_class c WHERE c.oid = '$table'::regclass)
              THEN x.number END) m)
ORDER BY a.xact_start LIMIT 1
