-- chosen_page: one page of the live table in the order of ids, and the jobs of this page that a filter chooses. The page limits
-- the number of jobs that a statement reads. So a statement is short even if the filter chooses very few jobs.
--
-- Takes:      after = $7; limit = $8
-- From:       the parameters of `chosen`; after: the id after which the page begins; limit: the number of jobs to examine.
-- Guard:      rows that other sessions have locked are skipped. The conditions are checked again when a row is locked.
seen AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j WHERE j.id > $after::uuid ORDER BY j.id LIMIT $limit::bigint
), wanted AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT s.id FROM seen s)) AND
      -- include chosen
), target AS MATERIALIZED (
    SELECT j.id, j.state, j.queue, j.fair_key, j.fair_tag FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT w.id FROM wanted w)) AND
      -- include chosen
    ORDER BY j.id
    FOR UPDATE SKIP LOCKED
)
