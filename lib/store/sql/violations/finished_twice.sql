-- finished_twice: a job reaches one final state. Checks jobs that finished in the last day.
-- Index: history_finished.
SELECT h.id, format('finished %s times: %s', count(*), string_agg(format('%s at %s', h.state, h.finished_at), ', ')) AS detail
FROM leasehold.history h
WHERE h.finished_at > now() - interval '1 day'
GROUP BY h.id HAVING count(*) > 1
LIMIT 100
