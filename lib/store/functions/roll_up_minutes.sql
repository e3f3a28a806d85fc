-- roll_up_minutes: adds up each minute that has ended: how many jobs ended in it, by queue and kind, and how long they waited and
-- ran. Deletes minutes that are a day old.
--
-- Guard:      one caller at a time (a lock for the transaction). leasehold.minutes_until changes in the same transaction, so each minute is
--             added up once.
-- Parameters: none.
-- Answer:     how many rows were added to leasehold.minute; NULL if another session adds them up.
-- When:       a minute is added up 15 seconds after its end. A settle that commits later is in no minute; its job is in history.
-- Gap:        a call adds up ten minutes at most, the oldest first. Minutes of more than an hour ago are left out: after a time without a
--             reaper, and after the upgrade that has brought this function.
-- Times:      a job waits from the time when it was due until its last attempt began. A time that was written by hand may be
--             infinite, and PostgreSQL cannot subtract from it.
-- Index:      the index of history by finished_at, for a range of these minutes; minute_pkey.
-- Cost:       1 to 2 ms for each 1,000 jobs that have ended. A job pays nothing when it ends.
-- Rights:     of the caller: a reaper.
CREATE OR REPLACE FUNCTION leasehold.roll_up_minutes() RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    last timestamptz := date_trunc('minute', now() - interval '15 s');
    first timestamptz;
    added bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.minute', 0)) THEN
        RETURN NULL;
    END IF;
    first := greatest((SELECT u.until FROM leasehold.minutes_until u), last - interval '1 hour');
    IF first >= last THEN
        RETURN 0;
    END IF;
    last := least(last, first + interval '10 minutes');
    WITH counted AS MATERIALIZED (
        SELECT date_trunc('minute', h.finished_at) AS begins, h.queue::text AS queue, h.kind::text AS kind, h.state,
               -- 8 / ln(2), so eight buckets for each doubling. With numbers of the type numeric, this takes ten times as long.
               CASE WHEN h.started_at IS NOT NULL THEN least(248, ceil(11.541560327111707 * ln(greatest(1, 1000 * extract(
                   epoch FROM h.started_at - least(greatest(h.run_at, '0001-01-01'), h.started_at))::double precision))))::integer END AS wait,
               CASE WHEN h.started_at IS NOT NULL THEN least(248, ceil(11.541560327111707 * ln(greatest(1, 1000 * extract(
                   epoch FROM h.finished_at - least(h.started_at, h.finished_at))::double precision))))::integer END AS run,
               count(*) AS jobs
        FROM leasehold.history h
        WHERE h.finished_at >= first AND h.finished_at < last
        GROUP BY 1, 2, 3, 4, 5, 6
    ), waits AS (
        SELECT b.begins, b.queue, b.kind, jsonb_object_agg(b.wait, b.jobs) AS buckets
        FROM (SELECT c.begins, c.queue, c.kind, c.wait, sum(c.jobs) AS jobs FROM counted c WHERE c.wait IS NOT NULL GROUP BY 1, 2, 3, 4) b
        GROUP BY 1, 2, 3
    ), runs AS (
        SELECT b.begins, b.queue, b.kind, jsonb_object_agg(b.run, b.jobs) AS buckets
        FROM (SELECT c.begins, c.queue, c.kind, c.run, sum(c.jobs) AS jobs FROM counted c WHERE c.run IS NOT NULL GROUP BY 1, 2, 3, 4) b
        GROUP BY 1, 2, 3
    )
    INSERT INTO leasehold.minute (begins, queue, kind, succeeded, dead, cancelled, waits, runs)
    SELECT e.begins, e.queue, e.kind, e.succeeded, e.dead, e.cancelled, coalesce(w.buckets, '{}'), coalesce(r.buckets, '{}')
    FROM (
        SELECT c.begins, c.queue, c.kind,
               coalesce(sum(c.jobs) FILTER (WHERE c.state = 'succeeded'), 0) AS succeeded,
               coalesce(sum(c.jobs) FILTER (WHERE c.state = 'dead'), 0) AS dead,
               coalesce(sum(c.jobs) FILTER (WHERE c.state = 'cancelled'), 0) AS cancelled
        FROM counted c
        GROUP BY 1, 2, 3
    ) e
    LEFT JOIN waits w USING (begins, queue, kind)
    LEFT JOIN runs r USING (begins, queue, kind);
    GET DIAGNOSTICS added = ROW_COUNT;
    INSERT INTO leasehold.minutes_until AS u (until) VALUES (last) ON CONFLICT (one_row) DO UPDATE SET until = excluded.until;
    DELETE FROM leasehold.minute m WHERE m.begins < last - interval '1 day';
    RETURN added;
END
$$;
