-- claim_http: queued → running, for a claim of an HTTP worker, by hints. It also notes which claim has started which run.
--
-- Guard:      the guards of claim_careful and claim_limited.
-- Again:      if the claim has runs that have not ended, these are the answer, with a full lease, and nothing is claimed.
-- Turn:       a claim whose id the worker knows has its turn until the end of the transaction. While another process executes the
--             same claim, this call waits for that process, or answers without an id.
-- Clock:      the transaction may have waited for locks, so the time for the answer begins now.
-- Parameters: worker, id of the claim, whether the worker knows this id, whether to wait for the turn, ids, each once and in the order
--             of the line, kinds, or NULL for every kind, lease in ms, the maximum number of jobs, the queue of the hints, the
--             time for the answer in ms: an answer that is not written within this time means that the server has died
--             (http_undelivered), whether to try jobs with limit keys, how soon a token must come, in ms.
-- Answer:     the runs. limit_keys and begins_in_us only for jobs with limit keys. One row without an id: another process
--             executes this claim.
-- Zero rows:  none of these jobs can be claimed now, or ever again.
-- Locks:      the call waits for no row. It tries at most 64 jobs with limit keys, because it locks each of their keys. If the
--             lock of a limit key is not free, the call claims no jobs with limit keys, but claims the other jobs.
-- Index:      http_claim_by_id, http_claim_pkey; see claim_careful and claim_limited.
-- Plans:      generic plans. A session keeps them, also behind a pooler that allows no named statements. To plan the three
--             statements of a claim takes ten times as long as to run them.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.claim_http(
    _worker uuid, _claim_id text, _is_named boolean, _waits boolean, _ids uuid[], _kinds text[], _lease_ms bigint, _limit bigint,
    _queue text, _answer_ms bigint, _with_limits boolean, _ahead_ms bigint
) RETURNS TABLE (id uuid, epoch integer, queue text, kind text, payload text, attempt integer, max_attempts integer, crashes smallint,
                 timeout_ms integer, line_at timestamptz, due_at timestamptz, started_at timestamptz, rare_words text, limit_keys text[], begins_in_us bigint,
                 lease_expires_at timestamptz)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    turn bigint;
    started integer := 0;
    run record;
BEGIN
    IF _is_named THEN
        turn := hashtextextended('leasehold.http_claim ' || _worker::text || ' ' || _claim_id, 0);
        IF _waits THEN
            PERFORM pg_advisory_xact_lock(turn);
        ELSIF NOT pg_try_advisory_xact_lock(turn) THEN
            RETURN NEXT;
            RETURN;
        END IF;
        RETURN QUERY
            -- include recalled: claim = _claim_id; lease_ms = _lease_ms; queue = _queue
        ;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    IF _with_limits THEN
        BEGIN
            FOR run IN
                SELECT c.id, c.epoch, c.queue, c.kind, c.payload, c.attempt, c.max_attempts, c.crashes, c.timeout_ms, c.line_at,
                       c.limit_keys, c.begins_in_us,
                       -- include rare_words_of_limited
                       AS rare_words
                FROM leasehold.claim_limited(_worker, _ids[1:64], _kinds, _lease_ms, _limit, _queue, _ahead_ms) c
            LOOP
                SELECT j.lease_expires_at INTO lease_expires_at FROM leasehold.job j WHERE j.id = run.id;
                INSERT INTO leasehold.http_claim (job, epoch, worker, claim_id, deliver_by, lease_expires_at)
                VALUES (run.id, run.epoch, _worker, _claim_id, clock_timestamp() + _answer_ms * interval '1 millisecond',
                        lease_expires_at);
                id := run.id;
                epoch := run.epoch;
                queue := run.queue;
                kind := run.kind;
                payload := run.payload;
                attempt := run.attempt;
                max_attempts := run.max_attempts;
                crashes := run.crashes;
                timeout_ms := run.timeout_ms;
                line_at := run.line_at;
                rare_words := run.rare_words;
                limit_keys := run.limit_keys;
                begins_in_us := run.begins_in_us;
                started := started + 1;
                RETURN NEXT;
            END LOOP;
        EXCEPTION WHEN lock_not_available THEN
            started := 0;
        END;
    END IF;
    IF started >= _limit THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH found AS MATERIALIZED (
            SELECT j.at, j.id, j.crashed, j.in_danger
            FROM unnest(_ids) AS hint(id)
            CROSS JOIN LATERAL (
                SELECT j.ctid AS at, j.id, j.crashes > 0 AS crashed, j.crashes > 0 AND j.crashes + 1 >= j.max_crashes AS in_danger
                FROM leasehold.job j
                WHERE j.id = hint.id AND j.queue::text = _queue AND j.limit_keys IS NULL AND
                  -- include claimable: kinds = _kinds; queue = _queue
                FOR UPDATE OF j SKIP LOCKED
            ) j
            LIMIT _limit - started
        ), run AS (
            UPDATE leasehold.job j
            -- The statement may have waited, and a parent may have ended during the wait: a run begins after the ends of its
            -- parents.
            -- include start_run: lease_ms = _lease_ms; at = clock_timestamp()
            WHERE j.ctid = ANY (ARRAY(
                SELECT f.at FROM found f
                WHERE
                    -- include few_crashed
                ))
            RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
                      j.max_attempts, j.crashes, j.timeout_ms, j.line_at,
                      -- include due_at: queue = _queue
                      AS due_at, j.started_at,
                      -- include rare_words
                      AS rare_words,
                      j.lease_expires_at
        ), noted AS (
            INSERT INTO leasehold.http_claim (job, epoch, worker, claim_id, deliver_by, lease_expires_at)
            SELECT r.id, r.epoch, _worker, _claim_id, clock_timestamp() + _answer_ms * interval '1 millisecond', r.lease_expires_at
            FROM run r
        )
        SELECT r.id, r.epoch, r.queue, r.kind, r.payload, r.attempt, r.max_attempts, r.crashes, r.timeout_ms, r.line_at, r.due_at, r.started_at,
               r.rare_words, NULL::text[], NULL::bigint, r.lease_expires_at
        FROM run r;
END
$$;
