-- fold_counts: makes a new fold, which has the counts of the newest fold plus all changes that are in no fold yet. On request it
-- counts all jobs again instead.
--
-- Guard:      one caller at a time (a lock for the transaction). A change is folded if the snapshot of the statement shows its
--             transaction, and the fold keeps this snapshot. So each change is in exactly one of two places: in the fold, or
--             among the changes that readers add to the fold.
-- Parameters: whether to count the jobs themselves. This reads an index entry of each job, and blocks no other session.
-- Answer:     how many changes were folded; 0 if it is too early for a fold; NULL if another session folds.
-- When:       a fold writes a row for each queue and kind. So a fold is made when there are at least as many changes as rows, and
--             at least 1,000 changes. It is also made when the oldest change has waited for 0.5 ms for each row, but for at most
--             5 s.
-- Alone:      this must be the first statement of its transaction that writes: a snapshot does not say whether it shows the changes
--             of its own transaction.
-- Restored:   after a restore into another server, the numbers of transactions may begin again. They are then lower than the
--             numbers in the newest fold, and all jobs are counted.
-- Keeps:      the folds of the last minute, and one fold before them: the difference is the number of jobs that ended in this
--             minute.
-- Index:      count_fold_pkey; folded_count_pkey; count_change_xact.
-- Rights:     of the caller: a reaper, or an operator.
CREATE OR REPLACE FUNCTION leasehold.fold_counts(_recount boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    last leasehold.count_fold;
    begins xid8;
    open_then xid8[];
    changes bigint;
    oldest timestamptz;
    enough bigint;
    before bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.count', 0)) THEN
        RETURN NULL;
    END IF;
    -- Each statement from here on has a snapshot that is newer than the fold of the last holder of the lock.
    SELECT f.* INTO last FROM leasehold.count_fold f ORDER BY f.fold DESC LIMIT 1;
    IF NOT FOUND THEN
        -- A migration makes the first fold before the changes have all their columns. So this statement names no column.
        WITH taken AS (
            DELETE FROM leasehold.count_change
        ), folded AS (
            INSERT INTO leasehold.folded_count (fold, queue, kind, since, blocked, scheduled, queued, running, succeeded, dead, cancelled)
            SELECT 1, e.queue, e.kind, 1,
                   coalesce(sum(e.jobs) FILTER (WHERE e.state = 'blocked'), 0),
                   coalesce(sum(e.jobs) FILTER (WHERE e.state = 'scheduled'), 0),
                   coalesce(sum(e.jobs) FILTER (WHERE e.state = 'queued'), 0),
                   coalesce(sum(e.jobs) FILTER (WHERE e.state = 'running'), 0),
                   0, 0, 0
            FROM (
                -- include exact_counts
            ) e
            GROUP BY e.queue, e.kind
            RETURNING 1
        )
        INSERT INTO leasehold.count_fold (fold, snapshot, pairs, kept_from)
        SELECT 1, pg_current_snapshot(), count(*), 1 FROM folded;
        RETURN 1;
    END IF;
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'fold_counts must be the first statement of its transaction that writes';
    END IF;
    IF pg_snapshot_xmax(last.snapshot) > pg_snapshot_xmax(pg_current_snapshot()) THEN
        -- The numbers of transactions have begun again (see Restored), so it is unknown which changes the last fold contains.
        _recount := true;
        begins := '0';
    ELSE
        begins := pg_snapshot_xmax(last.snapshot);
        open_then := ARRAY(SELECT pg_snapshot_xip(last.snapshot));
    END IF;
    IF NOT _recount THEN
        enough := greatest(1000, last.pairs);
        SELECT count(*), min(c.at) INTO changes, oldest
        FROM (SELECT c.at FROM leasehold.count_change c WHERE c.xact >= begins OR c.xact = ANY (open_then) LIMIT enough) c;
        IF changes = 0 OR (changes < enough AND oldest > now() - least(interval '5 s', last.pairs * interval '500 microseconds')) THEN
            RETURN 0;
        END IF;
    END IF;
    before := (SELECT f.fold FROM leasehold.count_fold f WHERE f.at <= now() - interval '1 minute' ORDER BY f.fold DESC LIMIT 1);

    -- One statement, so one snapshot.
    WITH taken AS (
        DELETE FROM leasehold.count_change c WHERE c.xact >= begins OR c.xact = ANY (open_then)
        RETURNING c.queue, c.kind, c.state, c.jobs, c.from_state, c.at
    ), change AS (
        SELECT t.queue, t.kind, t.state, sum(t.jobs) AS jobs, max(t.at) AS at
        FROM (
            SELECT t.queue, t.kind, t.state, t.jobs, t.at FROM taken t
            UNION ALL
            SELECT t.queue, t.kind, t.from_state, -t.jobs, t.at FROM taken t WHERE t.from_state IS NOT NULL
        ) t
        -- No reader asks for an end that was not folded within a minute.
        WHERE CASE WHEN t.state <= 'running' THEN NOT _recount ELSE t.at > now() - interval '1 minute' END
        GROUP BY t.queue, t.kind, t.state
        UNION ALL
        SELECT e.queue, e.kind, e.state, e.jobs, NULL
        FROM (
            -- include exact_counts
        ) e
        WHERE _recount
    ), counted AS (
        SELECT p.queue, p.kind, coalesce(min(p.since), last.fold + 1) AS since,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'blocked'), 0) AS blocked,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'scheduled'), 0) AS scheduled,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'queued'), 0) AS queued,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'running'), 0) AS running,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'succeeded'), 0) AS succeeded,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'dead'), 0) AS dead,
               coalesce(sum(p.jobs) FILTER (WHERE p.state = 'cancelled'), 0) AS cancelled,
               max(p.ended_at) AS ended_at
        FROM (
            SELECT b.queue, b.kind, b.since, s.state::leasehold.job_state AS state, s.jobs, b.ended_at
            FROM leasehold.folded_count b
            CROSS JOIN LATERAL (
                VALUES ('blocked', b.blocked), ('scheduled', b.scheduled), ('queued', b.queued), ('running', b.running),
                       ('succeeded', b.succeeded), ('dead', b.dead), ('cancelled', b.cancelled)) s(state, jobs)
            WHERE b.fold = last.fold AND NOT (_recount AND s.state IN ('blocked', 'scheduled', 'queued', 'running'))
            UNION ALL
            SELECT c.queue, c.kind, NULL, c.state, c.jobs, CASE WHEN c.state > 'running' THEN c.at END FROM change c
        ) p
        GROUP BY p.queue, p.kind
    ), folded AS (
        INSERT INTO leasehold.folded_count (fold, queue, kind, since, blocked, scheduled, queued, running, succeeded, dead, cancelled,
                                            ended_at)
        SELECT last.fold + 1, c.queue, c.kind, c.since, c.blocked, c.scheduled, c.queued, c.running, c.succeeded, c.dead, c.cancelled,
               c.ended_at
        FROM counted c
        -- A queue and a kind without jobs are left out two minutes after their last job ended: no reader asks for these ends any
        -- more.
        WHERE c.blocked <> 0 OR c.scheduled <> 0 OR c.queued <> 0 OR c.running <> 0 OR c.ended_at > now() - interval '2 minutes'
        RETURNING 1
    )
    INSERT INTO leasehold.count_fold (fold, snapshot, pairs, kept_from)
    SELECT last.fold + 1, pg_current_snapshot(), (SELECT count(*) FROM folded), greatest(last.kept_from, before);

    DELETE FROM leasehold.folded_count b WHERE b.fold >= last.kept_from AND b.fold < before;
    DELETE FROM leasehold.count_fold f WHERE f.fold >= last.kept_from AND f.fold < before;
    RETURN coalesce(changes, 1);
END
$$;
