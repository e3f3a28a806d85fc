-- blocked_without_cause: each blocked job waits for a parent that can still end as the job needs, and a reaper continues with
-- ended parents. With `hold`, a job also waits for a parent that ended badly, because an operator may revive the parent.
-- A child that somebody has locked is told when the lock is released. Until then the reaper notes its parent again at each tick.
-- Index: job_blocked, edge_pkey, edge_parent, job_pkey, the primary keys of the partitions of history, ended_parent_pkey.
SELECT j.id, format('blocked, and waits for %s, which %s', e.parent,
                    coalesce('is ' || h.state::text, 'is no longer kept')) AS detail
FROM leasehold.job j
JOIN leasehold.edge e ON e.child = j.id AND NOT e.met
LEFT JOIN LATERAL (SELECT h.state FROM leasehold.history h WHERE h.id = e.parent LIMIT 1) h ON true
WHERE j.state = 'blocked'
  AND NOT EXISTS (SELECT FROM leasehold.job p WHERE p.id = e.parent)
  AND NOT EXISTS (SELECT FROM leasehold.ended_parent n WHERE n.parent = e.parent)
  AND (h.state IS NULL OR h.state = 'succeeded' OR e.on_parent_failure <> 'hold')
UNION ALL
SELECT j.id, 'blocked, and waits for nothing'
FROM leasehold.job j
WHERE j.state = 'blocked' AND coalesce(j.unmet, 0) <= 0
UNION ALL
SELECT j.id, format('blocked, and has not been told that %s is %s since %s', n.parent, n.state, h.finished_at)
FROM leasehold.ended_parent n
JOIN leasehold.edge e ON e.parent = n.parent AND NOT e.met AND (n.state = 'succeeded' OR e.on_parent_failure <> 'hold')
JOIN leasehold.job j ON j.id = e.child AND j.state = 'blocked'
JOIN LATERAL (SELECT h.finished_at FROM leasehold.history h WHERE h.id = n.parent LIMIT 1) h
     ON h.finished_at < now() - interval '1 minute'
UNION ALL
SELECT n.parent, format('its children have not been told that it is %s since %s', n.state, n.noted_at)
FROM leasehold.ended_parent n
WHERE n.noted_at < now() - interval '1 minute'
LIMIT 100
