-- Jobs in every state and in every place, for a fixture. Leases and times are far away, but for a lease that has run out and a
-- job that is due: so that the rows mean the same whenever the fixture is restored.
\set worker '''01890000-0000-7000-8000-0000000000ff'''

-- waiting: plain, urgent, with keys, crashed before, of a paused queue, scheduled, due, blocked
SELECT leasehold.enqueue('plain', '{"n": 1}', id => '01890000-0000-7000-8000-000000000001');
SELECT leasehold.enqueue('urgent', '[1, 2]', priority => 50, id => '01890000-0000-7000-8000-000000000002');
SELECT leasehold.enqueue('keyed', '"x"', unique_key => 'u1', limit_key => 'l1', timeout => interval '90 seconds',
                         id => '01890000-0000-7000-8000-000000000003');
SELECT leasehold.enqueue('crashed', 'null', id => '01890000-0000-7000-8000-000000000004');
UPDATE leasehold.job SET epoch = 2, attempt = 2, crashes = 2,
    trail = leasehold.with_trail(NULL, 'expire', 2, :worker, NULL) WHERE kind = 'crashed';
SELECT leasehold.enqueue('plain', '{}', queue => 'paused', id => '01890000-0000-7000-8000-000000000005');
INSERT INTO leasehold.queue (name, paused_at) VALUES ('paused', now()), ('resumed', NULL);
SELECT leasehold.enqueue('later', '{}', run_at => '2999-01-01 00:00:00Z', id => '01890000-0000-7000-8000-000000000006');
SELECT leasehold.enqueue('due', '{}', run_at => '2998-01-01 00:00:00Z', id => '01890000-0000-7000-8000-000000000007');
UPDATE leasehold.job SET run_at = '2026-01-01 00:00:00Z', created_at = '2026-01-01 00:00:00Z' WHERE kind = 'due';
SELECT leasehold.enqueue('blocked', '{}', id => '01890000-0000-7000-8000-000000000008');
UPDATE leasehold.job SET state = 'blocked' WHERE kind = 'blocked';

-- running: plain, with a cancel wanted, with a lease that has run out, and one whose end was left for a reaper
SELECT leasehold.enqueue('running', '{}', unique_key => 'u2', id => '01890000-0000-7000-8000-000000000011');
SELECT leasehold.enqueue('unwanted', '{}', id => '01890000-0000-7000-8000-000000000012');
SELECT leasehold.enqueue('lapsed', '{}', id => '01890000-0000-7000-8000-000000000013');
SELECT leasehold.enqueue('deferred', '{}', id => '01890000-0000-7000-8000-000000000014');
UPDATE leasehold.job SET state = 'running', epoch = 1, attempt = 1, worker = :worker, started_at = now(),
    lease_expires_at = CASE kind WHEN 'lapsed' THEN timestamptz '2026-01-01 00:00:00Z' ELSE '2999-01-01 00:00:00Z' END,
    cancel_requested_at = CASE kind WHEN 'unwanted' THEN now() END
WHERE kind IN ('running', 'unwanted', 'lapsed', 'deferred');
INSERT INTO leasehold.deferred_settle (id, epoch, worker, queue, verb, text)
VALUES ('01890000-0000-7000-8000-000000000014', 1, :worker, 'default', 'complete', '"late"');

-- finished: succeeded, dead and cancelled, in the partition of a day and in the default one
SELECT leasehold.enqueue('cancelled', '{}', unique_key => 'u2b', id => '01890000-0000-7000-8000-000000000021');
SELECT leasehold.cancel('01890000-0000-7000-8000-000000000021');
INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt, max_attempts, state, priority,
                               crashes, max_crashes, queue, kind, payload, result, unique_key, last_error)
VALUES ('01890000-0000-7000-8000-000000000022', now(), now(), now(), now(), :worker, 1, 1, 5, 'succeeded', 0, 0, 3, 'default',
        'succeeded', '{}', '{"ok": true}', 'u1', NULL),
       ('01890000-0000-7000-8000-000000000023', now(), now(), now(), '2026-01-01 00:00:00Z', :worker, 5, 5, 5, 'dead', 0, 0, 3,
        'default', 'dead', '{}', NULL, NULL, 'it failed');

INSERT INTO leasehold.watch (kept_at) VALUES (now());
