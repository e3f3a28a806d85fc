-- note_counts: notes by how many jobs a statement has changed the number of live jobs of each queue, kind and state.
--
-- Guard:      triggers of leasehold.job call it after each statement that names this table, in the same transaction. So a change
--             of a job and the change of the counts commit together. A statement that names job_noted instead notes its changes
--             itself.
-- Answer:     none.
-- Locks:      none: rows are only added. Two statements never wait for each other here.
-- Cost:       PostgreSQL keeps the rows of the statement in memory until its end. A batch of jobs with one queue and kind, as most are, is
--             only counted: to group its rows takes half as long again.
-- Rights:     of the caller, who needs INSERT on the columns queue, kind, state and jobs of leasehold.count_change. The statements that
--             note their changes themselves, such as `claim`, also need it on from_state.
CREATE OR REPLACE FUNCTION leasehold.note_counts() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    one_queue text;
    one_kind text;
    one_state leasehold.job_state;
    of_one bigint;
    of_all bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT c.queue, c.kind, c.state INTO one_queue, one_kind, one_state FROM came c LIMIT 1;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        SELECT count(*), count(*) FILTER (
                   WHERE c.state = one_state AND c.kind::text = one_kind COLLATE "C" AND c.queue::text = one_queue COLLATE "C")
        INTO of_all, of_one
        FROM came c;
        IF of_one = of_all THEN
            INSERT INTO leasehold.count_change (queue, kind, state, jobs) VALUES (one_queue, one_kind, one_state, of_all);
            RETURN NULL;
        END IF;
        INSERT INTO leasehold.count_change (queue, kind, state, jobs)
        SELECT c.queue, c.kind, c.state, count(*) FROM came c GROUP BY c.queue, c.kind, c.state;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO leasehold.count_change (queue, kind, state, jobs)
        SELECT c.queue, c.kind, c.state, sum(c.jobs)
        FROM (SELECT g.queue, g.kind, g.state, -1 AS jobs FROM gone g
              UNION ALL
              SELECT n.queue, n.kind, n.state, 1 FROM came n) c
        GROUP BY c.queue, c.kind, c.state HAVING sum(c.jobs) <> 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO leasehold.count_change (queue, kind, state, jobs)
        SELECT g.queue, g.kind, g.state, -count(*) FROM gone g GROUP BY g.queue, g.kind, g.state;
    ELSE
        -- TRUNCATE: no other session uses the table.
        INSERT INTO leasehold.count_change (queue, kind, state, jobs)
        WITH
        -- include counted
        SELECT c.queue, c.kind, s.state::leasehold.job_state, -s.jobs
        FROM counted c
        CROSS JOIN LATERAL (VALUES ('blocked', c.blocked), ('scheduled', c.scheduled), ('queued', c.queued), ('running', c.running))
                   AS s(state, jobs)
        WHERE s.jobs <> 0;
    END IF;
    RETURN NULL;
END
$$;
