-- queue_load: how many jobs each of some queues could run now, and how many run. The function of the same name has the rules.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queues; for each queue: $2 the kinds whose jobs count, as a JSON array, or NULL for every kind; $3 for how many
--             milliseconds jobs of other kinds count after they have become due, or NULL if they do not count; $4 the workers that are
--             draining.
-- Zero rows:  no queue is asked for. Otherwise the answer has one row for each queue, in order, also for a queue that was never
--             used.
-- Cost:       the counts are read once for all queues.
-- Index:      the indexes of the counts and of the function.
WITH
-- include counted: queues = c.queue = ANY ($1::text[])
, counts AS MATERIALIZED (
    SELECT c.queue, json_build_object('queued', coalesce(json_object_agg(c.kind, c.queued) FILTER (WHERE c.queued > 0), '{}'), 'running', sum(c.running),
                                      'ended', sum(c.succeeded + c.dead + c.cancelled)) AS counts
    FROM counted c
    GROUP BY c.queue
)
SELECT l.waiting, l.limited::text AS limited, l.rooms::text AS rooms, l.running, l.draining, l.finished,
       -- A time that somebody wrote by hand may be infinite, and PostgreSQL cannot subtract from it.
       CASE WHEN l.oldest IS NOT NULL
           THEN greatest(0, extract(epoch FROM now() - least(greatest(l.oldest, '0001-01-01'), '9999-12-31')))::double precision
       END AS oldest_s
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS a(queue, kinds, others_ms, nth)
LEFT JOIN counts k ON k.queue = a.queue
CROSS JOIN LATERAL leasehold.queue_load(
    a.queue, CASE WHEN a.kinds IS NOT NULL THEN ARRAY(SELECT k.name FROM json_array_elements_text(a.kinds::json) k(name)) END,
    now() - a.others_ms * interval '1 millisecond', $4::uuid[], k.counts) l
ORDER BY a.nth
