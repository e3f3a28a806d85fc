-- few_crashed: the jobs to claim among the jobs that were found and locked: all jobs that have never crashed, and as many
-- other jobs as there is room for.
--
-- From:       rows of `found`, as `f`: id, crashed (the job has crashed before), in_danger (one more crash would end the job).
-- Index:      job_in_danger, but only if there is a job that has crashed.
CASE
    WHEN f.in_danger THEN
        f.id = (SELECT d.id FROM found d WHERE d.in_danger ORDER BY d.id LIMIT 1) AND
        -- include danger_room
    WHEN f.crashed THEN
        f.id = ANY (ARRAY(
            SELECT c.id FROM found c WHERE c.crashed AND NOT c.in_danger
            ORDER BY c.id
            LIMIT greatest(0,
                -- include crashed_room
            )))
    ELSE true
END
