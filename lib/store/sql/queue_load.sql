-- queue_load: what each of some queues could run now, and what runs. The function of the same name counts.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queues; for each queue: $2 the kinds whose jobs count, as a JSON array, or NULL for every kind; $3 for how many
--             milliseconds jobs of other kinds count after they have become due, or NULL if they do not count; $4 the workers that are
--             draining.
-- Zero rows:  no queue is asked for. Otherwise one row for each queue, in order, also for a queue that was never used.
-- Index:      those of the function.
SELECT l.waiting, l.limited::text AS limited, l.rooms::text AS rooms, l.running, l.draining, l.finished,
       -- A time that somebody wrote by hand may be infinite, and PostgreSQL cannot subtract from it.
       CASE WHEN l.oldest IS NOT NULL
           THEN greatest(0, extract(epoch FROM now() - least(greatest(l.oldest, '0001-01-01'), '9999-12-31')))::double precision
       END AS oldest_s
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS a(queue, kinds, others_ms, nth)
CROSS JOIN LATERAL leasehold.queue_load(
    a.queue, CASE WHEN a.kinds IS NOT NULL THEN ARRAY(SELECT k.name FROM json_array_elements_text(a.kinds::json) k(name)) END,
    now() - a.others_ms * interval '1 millisecond', $4::uuid[]) l
ORDER BY a.nth
