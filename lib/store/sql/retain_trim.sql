-- retain_trim: deletes the finished jobs of a queue from one day of history: one page, in the order of ids.
--
-- Guard:      the queue. A row that another session has locked is skipped: it is being revived.
-- Parameters: $1 queue; the empty name means all queues without a retention setting; $2 day, $3 the id after which the page
--             begins, $4 the number of rows to examine.
-- Answer:     one row: the last id of the page, or NULL if the page was empty and the day is done; and the number of deleted
--             rows.
-- Index:      the primary key of the partition.
WITH seen AS MATERIALIZED (
    SELECT h.id, h.queue FROM leasehold.history h
    WHERE h.finished_at >= $2::date::timestamp AT TIME ZONE 'UTC' AND h.finished_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
      AND h.id > $3::uuid
    ORDER BY h.id LIMIT $4::bigint
), old AS MATERIALIZED (
    SELECT h.id FROM leasehold.history h
    WHERE h.finished_at >= $2::date::timestamp AT TIME ZONE 'UTC' AND h.finished_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
      AND h.id = ANY (ARRAY(
          SELECT s.id FROM seen s
          WHERE s.queue = $1 OR $1 = '' AND s.queue <> ALL (ARRAY(
              SELECT q.name::text FROM leasehold.queue q WHERE q.keep_days IS NOT NULL))))
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM leasehold.history h
    WHERE h.finished_at >= $2::date::timestamp AT TIME ZONE 'UTC' AND h.finished_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
      AND h.id = ANY (ARRAY(SELECT o.id FROM old o))
    RETURNING h.id
)
SELECT (SELECT s.id FROM seen s ORDER BY s.id DESC LIMIT 1) AS last, (SELECT count(*) FROM gone) AS deleted
