//! violations: none on a healthy database, and the right one for each damage.

use crate::fixture::{Fixture, LEASE, new_job};
use leasehold_core::{NewJob, Settle, WorkerId};
use leasehold_store::{CHECKS, Kinds};
use std::{collections::BTreeSet, time::Duration};

/// A database with jobs in every state.
async fn used_database() -> Fixture {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let unique = |key: &str| NewJob { unique_key: Some(key.into()), ..new_job() };
    fixture
        .enqueue(&[unique("one"), unique("two"), NewJob { delay: Some(Duration::from_secs(60)), ..new_job() }])
        .await
        .expect("enqueue");
    for settle in [Settle::Complete(None), Settle::Bury { error: String::new() }, Settle::Release] {
        let fence = fixture.running(worker).await;
        fixture.settle_one(fence, settle).await;
    }
    fixture.running(worker).await;
    let cancelled = fixture.queued().await;
    fixture.cancel(&[cancelled]).await.expect("cancel");
    fixture
}

#[tokio::test]
async fn each_damage_is_reported_by_the_right_check() {
    let one = |state: &str| format!("id = (SELECT id FROM leasehold.job WHERE state = '{state}' LIMIT 1)");
    let drop_checks = "ALTER TABLE leasehold.job DROP CONSTRAINT ";
    let damages: Vec<(&str, String, &[&str])> = vec![
        ("a finished job that is live again", "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
            SELECT id, now(), 5, 3, 0, queue, kind, payload, 'queued' FROM leasehold.history LIMIT 1".into(), &["live_and_finished"]),
        ("a job that finished twice", "INSERT INTO leasehold.history SELECT (jsonb_populate_record(h, jsonb_build_object('finished_at', now() - interval '1 second'))).*
            FROM leasehold.history h LIMIT 1".into(), &["finished_twice"]),
        ("a unique key twice", "DROP INDEX leasehold.job_unique_key; UPDATE leasehold.job SET unique_key = 'one' WHERE unique_key = 'two'".into(), &["unique_key_twice", "index_missing"]),
        ("a lease that nobody expires", "UPDATE leasehold.job SET lease_expires_at = now() - interval '2 minutes' WHERE state = 'running'".into(), &["lease_long_expired"]),
        ("a due job that nobody promotes", "UPDATE leasehold.job SET run_at = now() - interval '2 minutes' WHERE state = 'scheduled'".into(), &["scheduled_long_due"]),
        ("an expired job that nobody ends", format!("UPDATE leasehold.job SET expires_at = now() - interval '2 minutes' WHERE {}", one("queued")), &["overdue_and_waiting"]),
        ("two jobs of a key that have begun", "DROP INDEX leasehold.job_begun_key; UPDATE leasehold.job SET unique_key = NULL, begun_key = 'one', unique_rule = 'keep_last' WHERE unique_key IS NOT NULL".into(), &["unique_key_twice", "index_missing"]),
        ("a schedule that nobody fires", "INSERT INTO leasehold.schedule (name, every_ms, kind, next_at) VALUES ('s', 1000, 'k', now() - interval '2 minutes')".into(), &["schedule_long_due"]),
        ("a schedule whose job is refused", "INSERT INTO leasehold.schedule (name, every_ms, kind, next_at, last_error) VALUES ('s', 1000, 'k', now(), 'no')".into(), &["schedule_makes_no_job"]),
        ("a job in the line before its time", format!("UPDATE leasehold.job SET run_at = now() + interval '1 hour' WHERE {}", one("queued")), &["queued_before_its_time"]),
        ("a run without a worker", format!("{drop_checks} worker_exactly_while_running; UPDATE leasehold.job SET worker = NULL WHERE state = 'running'"), &["state_and_lease_disagree", "constraint_missing"]),
        ("more attempts than allowed", format!("{drop_checks} attempts_within_limit; UPDATE leasehold.job SET attempt = 6, epoch = 6 WHERE state = 'running'"), &["attempts_beyond_limit", "constraint_missing"]),
        ("more crashes than allowed", format!("{drop_checks} crashes_within_limit; UPDATE leasehold.job SET crashes = 3 WHERE {}", one("queued")), &["attempts_beyond_limit", "constraint_missing"]),
        ("a success that nobody ran", "UPDATE leasehold.history SET started_at = NULL WHERE state = 'succeeded'".into(), &["finished_without_a_run"]),
        ("a blocked job whose parent has ended", "WITH made AS (INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state, unmet)
            VALUES (gen_random_uuid(), now(), 5, 3, 0, 'q', 'k', '1', 'blocked', 1) RETURNING id)
            INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure) SELECT m.id, h.id, 1, 'cancel' FROM made m, leasehold.history h LIMIT 1".into(), &["blocked_without_cause"]),
        ("children that nobody tells", "INSERT INTO leasehold.ended_parent (parent, state, noted_at) VALUES (gen_random_uuid(), 'dead', now() - interval '2 minutes')".into(), &["blocked_without_cause"]),
        ("a counter that is wrong", "WITH made AS (INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state, unmet)
            VALUES (gen_random_uuid(), now(), 5, 3, 0, 'q', 'k', '1', 'blocked', 2) RETURNING id)
            INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure) SELECT m.id, j.id, 1, 'cancel' FROM made m, leasehold.job j WHERE j.state = 'queued' LIMIT 1".into(), &["edges_miscounted"]),
        ("counters that are wrong", "WITH made AS (INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state, unmet)
            VALUES (gen_random_uuid(), now(), 5, 3, 0, 'q', 'k', '1', 'blocked', 1) RETURNING id), counted AS (
            INSERT INTO leasehold.edge_count (child, shard, unmet) SELECT m.id, 0, 2 FROM made m)
            INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure) SELECT m.id, j.id, 1, 'cancel' FROM made m, leasehold.job j WHERE j.state = 'queued' LIMIT 1".into(), &["edges_miscounted"]),
        ("a position that no step gives", "UPDATE leasehold.job SET priority = 5 WHERE state = 'queued'".into(), &["position_off_the_step"]),
        ("a parked job that nobody admits", "UPDATE leasehold.job SET fair_key = 'a', fair_at = line_at, line_at = 'infinity', created_at = now() - interval '1 minute' WHERE state = 'queued'".into(), &["parked_and_not_moved"]),
        ("more runs than a limit allows", "INSERT INTO leasehold.key_limit (key, running, changed_at) VALUES ('k', 0, now() - interval '1 hour');
            UPDATE leasehold.job SET limit_keys = '{k}', limit_epoch = epoch WHERE state = 'running';
            INSERT INTO leasehold.limit_slot (key, slot, job, epoch) SELECT 'k', 0, id, epoch FROM leasehold.job WHERE state = 'running'".into(), &["limit_exceeded"]),
        ("a run that holds no slot", "INSERT INTO leasehold.key_limit (key, running) VALUES ('k*', 5);
            UPDATE leasehold.job SET limit_keys = '{k1}', limit_epoch = epoch WHERE state = 'running'".into(), &["run_without_slot"]),
        ("a limit that does not come into force", "INSERT INTO leasehold.limit_change (key, running, asked_at) VALUES ('k', 5, now() - interval '1 minute')".into(), &["limit_change_waits"]),
        ("a batch that no reaper ends", "INSERT INTO leasehold.batch (name, sealed_at) VALUES ('b', now() - interval '1 minute')".into(), &["batch_long_ended"]),
        ("a row in the default partition", "DO $$ BEGIN EXECUTE (SELECT 'ALTER TABLE leasehold.history DETACH PARTITION leasehold.history_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM_DD')); END $$;
            INSERT INTO leasehold.history (id, run_at, created_at, finished_at, epoch, attempt, max_attempts, state, priority, crashes, max_crashes, queue, kind, payload)
            SELECT gen_random_uuid(), now(), now(), now(), 0, 0, 1, 'cancelled', 0, 0, 1, 'q', 'k', '1'".into(), &["default_partition_used", "partition_missing"]),
        ("a constraint that is not valid", format!("{drop_checks} live_jobs_only; ALTER TABLE leasehold.job ADD CONSTRAINT live_jobs_only CHECK (true) NOT VALID"), &["constraint_missing"]),
        ("a domain without its bound", "ALTER DOMAIN leasehold.payload DROP CONSTRAINT payload_is_at_most_1_mib".into(), &["constraint_missing"]),
        ("a trigger of encryption that is gone", "SELECT leasehold.set_queue_encrypted('cards', true); DROP TRIGGER plain_results ON leasehold.history".into(), &["encryption_unguarded"]),
        ("a queue that no trigger names", "SELECT leasehold.set_queue_encrypted('cards', true);
            INSERT INTO leasehold.queue (name, encrypted) VALUES ('card', true)".into(), &["encryption_unguarded"]),
        ("a count that is wrong", "INSERT INTO leasehold.count_change (queue, kind, state, jobs) VALUES ('default', 'k', 'queued', 1)".into(), &["counts_differ"]),
        ("jobs that nobody counts", "ALTER TABLE leasehold.job DISABLE TRIGGER count_deleted".into(), &["counts_differ"]),
        ("an index that is gone", "DROP INDEX leasehold.job_line_at".into(), &["index_missing"]),
        ("an index that is not valid", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'leasehold.job_lease'::regclass".into(), &["index_missing"]),
    ];
    let mut proven = BTreeSet::new();
    for (damage, script, expected) in damages {
        let fixture = used_database().await;
        let before = fixture.violations().await.expect("violations");
        assert!(before.is_empty(), "{damage}: {before:?}");
        fixture.sql(script).await;
        let after = fixture.violations().await.expect("violations");
        let found: BTreeSet<&str> = after.iter().map(|violation| violation.check.as_str()).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{damage}: {after:?}");
        proven.extend(expected);
    }
    assert_eq!(proven, CHECKS.iter().copied().collect(), "each check must be proven by a damage");
}

#[tokio::test]
async fn a_busy_database_is_healthy() {
    let fixture = Fixture::start().await;
    let busy = async {
        for _ in 0..30 {
            let jobs: Vec<NewJob> = (0..20).map(|_| new_job()).collect();
            fixture.enqueue(&jobs).await.expect("enqueue");
            let worker = WorkerId::new();
            let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
            for job in fixture.claim(worker, &ids, &Kinds::All, LEASE).await.expect("claim") {
                fixture.settle_one(job.fence, Settle::Complete(None)).await;
            }
        }
    };
    let watching = async {
        for _ in 0..10 {
            let found = fixture.violations().await.expect("violations");
            assert!(found.is_empty(), "{found:?}");
        }
    };
    tokio::join!(busy, watching);
}

/// An index that the check does not know could be lost without a word.
#[tokio::test]
async fn every_index_of_the_schema_is_checked() {
    let fixture = Fixture::start().await;
    let indexes: Vec<String> = sqlx::query_scalar(
        "SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
         WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
    )
    .fetch_all(fixture.pool())
    .await
    .expect("the indexes");
    let checked = include_str!("../../lib/store/sql/violations/index_missing.sql");
    let unknown: Vec<&String> = indexes.iter().filter(|index| !checked.contains(&format!("'{index}'"))).collect();
    assert!(indexes.len() > 50 && unknown.is_empty(), "{unknown:?}");
}
