//! Damage done by hand, one test per row: doctor finds the damage, and two ticks of a reaper repair what a reaper can
//! repair.

use crate::world::{HEAD_MAX, LEASE, World, new_job};
use leasehold_core::{JobId, NewJob, WorkerId};
use leasehold_reaper::{Drift, Drifted, Examination, Reaper, examine_for, repair};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(300);

/// A system at rest with one job in each state.
struct Scene {
    world: World,
    reaper: Reaper,
    queued: JobId,
    running: JobId,
    finished: JobId,
    scheduled: JobId,
}

/// Damage that no part of the program causes. `{queued}` and similar words stand for ids and keys of the scene.
enum Hurt {
    Sql(&'static str),
    Redis(&'static str),
    /// Jobs in the line, and a tick.
    Jobs(u32),
}

use Hurt::{Jobs, Redis, Sql};

impl Scene {
    async fn set() -> Self {
        let world = World::start().await;
        let mut reaper = world.reaper().await;
        let worker = WorkerId::new();
        let ids = world.enqueue_and_push(5).await;
        let runs = world.take(worker, 1).await;
        assert_eq!(runs[0].fence.id, ids[0]);
        world.settle(worker, &runs).await;
        world.handoff.ack(&[(crate::world::queue(), vec![ids[0]])]).await.expect("ack");
        assert_eq!(world.take(worker, 1).await[0].fence.id, ids[1]);
        let later = world.enqueue_these(&[NewJob { delay: Some(LEASE), ..new_job() }]).await;
        reaper.tick().await;
        Self { world, reaper, queued: ids[3], running: ids[1], finished: ids[0], scheduled: later[0] }
    }

    fn filled_in(&self, text: &str) -> String {
        [("queued", self.queued), ("running", self.running), ("finished", self.finished), ("scheduled", self.scheduled)]
            .into_iter()
            .fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &id.to_string()))
            .replace("{key}:", &self.world.key(""))
    }

    async fn hurt(&mut self, hurt: &Hurt) {
        match hurt {
            Sql(script) => self.world.sql(self.filled_in(script)).await,
            Redis(command) => {
                let words: Vec<String> = self.filled_in(command).split(' ').map(str::to_owned).collect();
                self.world.by_hand(&words[0], &words[1..]).await;
            }
            Jobs(count) => {
                self.world.enqueue(*count as usize).await;
                self.reaper.tick().await;
            }
        }
    }

    /// No reaper runs meanwhile, so there is no reason to be patient.
    async fn examine(&self) -> Examination {
        examine_for(&self.world.store, &self.world.handoff, PATIENCE).await.expect("examine")
    }
}

async fn found(expected: &str, hurts: &[Hurt]) -> Scene {
    let mut scene = Scene::set().await;
    for hurt in hurts {
        scene.hurt(hurt).await;
    }
    let findings = scene.examine().await.findings;
    let about = |finding: &leasehold_reaper::Finding| finding.check == expected || finding.detail.contains(expected);
    let finding = findings.iter().find(|finding| about(finding));
    let finding = finding.unwrap_or_else(|| panic!("{expected:?} is not among {findings:#?}"));
    assert!(["postgres", "redis", "both"].contains(&finding.store) && !finding.advice.is_empty(), "{finding:?}");
    scene
}

/// Repaired by the running reaper, in two ticks.
async fn mended(mut scene: Scene) {
    let reports = [scene.reaper.tick().await, scene.reaper.tick().await];
    let findings = scene.examine().await.findings;
    assert!(findings.is_empty(), "after two ticks, {reports:#?}, there are still {findings:#?}");
}

/// Repaired at the next regular sweep, which is the first sweep of a reaper that has just started; or when the lease
/// may expire.
async fn mended_in_time(mut scene: Scene) {
    scene.reaper = scene.world.reaper().await;
    mended(scene).await;
}

async fn left(scene: Scene) {
    drop(scene);
}

macro_rules! damages {
    ($($name:ident: $expected:literal $then:ident [$($hurt:expr),+ $(,)?];)+) => {
        $(#[tokio::test]
        async fn $name() {
            $then(found($expected, &[$($hurt),+]).await).await;
        })+
    };
}

damages! {
    a_hint_of_a_finished_job_waits: "waiting hints belong to queued jobs" mended
        [Redis("RPUSH {key}:ready {finished}"), Redis("ZADD {key}:leases +inf {finished}")];
    a_hint_of_a_scheduled_job_waits: "waiting hints belong to queued jobs" mended
        [Redis("RPUSH {key}:ready {scheduled}"), Redis("ZADD {key}:leases +inf {scheduled}")];
    a_hint_of_a_running_job_waits: "is in a list and leased" mended
        [Redis("RPUSH {key}:ready {running}")];
    a_job_at_the_front_of_the_line_is_unknown: "the head holds the front of the line" mended
        [Redis("LREM {key}:ready 0 {queued}"), Redis("ZREM {key}:leases {queued}")];
    a_waiting_id_is_in_no_list: "is in no list" mended
        [Redis("LREM {key}:ready 0 {queued}")];
    a_listed_id_is_not_known: "not in the set of known ids" mended
        [Redis("ZREM {key}:leases {queued}")];
    an_id_waits_twice: "in the lists of waiting hints twice" mended
        [Redis("RPUSH {key}:ready {queued}")];
    a_taken_hint_is_leased_by_nobody: "hints that a blocking take moved are leased" mended
        [Redis("LMOVE {key}:ready {key}:claimed LEFT RIGHT")];
    a_finished_job_is_leased: "leases in Redis belong to runs" mended_in_time
        [Redis("ZADD {key}:leases 4000000000000 {finished}")];
    a_queued_job_is_leased_for_years: "leases in Redis belong to runs" mended_in_time
        [Redis("LREM {key}:ready 0 {queued}"), Redis("ZADD {key}:leases 4000000000000 {queued}")];
    a_run_has_no_lease_in_redis: "runs have a lease in Redis" mended_in_time
        [Redis("ZREM {key}:leases {running}")];
    a_pause_is_in_redis_only: "the pause flag is the same in Redis and PostgreSQL" mended
        [Redis("HSET {key}:flags paused 1")];
    a_pause_is_in_postgres_only: "the pause flag is the same in Redis and PostgreSQL" mended
        [Sql("INSERT INTO leasehold.queue (name, paused_at) VALUES ('default', now())")];
    overflow_is_said_of_a_short_line: "the overflow flag in Redis is set" mended
        [Redis("HSET {key}:flags overflow 1")];
    overflow_is_not_said_of_a_long_line: "the overflow flag in Redis is not set" mended
        [Jobs(HEAD_MAX * 2), Redis("HDEL {key}:flags overflow")];
    the_generation_is_gone: "Redis knows its generation" mended
        [Redis("DEL leasehold:generation")];
    all_of_redis_is_gone: "the head holds the front of the line" mended
        [Redis("FLUSHALL")];
    no_reaper_is_there: "a reaper is alive" mended
        [Redis("DEL leasehold:reapers")];
    redis_evicts: "Redis evicts nothing" left
        [Redis("CONFIG SET maxmemory-policy allkeys-lru")];
    something_else_is_in_the_keys: "Redis holds job ids and nothing else" left
        [Redis("RPUSH {key}:ready hello")];
    a_lease_ran_out_and_nobody_ends_it: "expired leases are ended" mended_in_time
        [Sql("UPDATE leasehold.job SET lease_expires_at = now() - interval '1 minute' WHERE id = '{running}'")];
    a_due_job_is_promoted_by_nobody: "scheduled_long_due" mended
        [Sql("UPDATE leasehold.job SET run_at = now() - interval '1 hour' WHERE id = '{scheduled}'")];

    a_due_schedule_is_fired_by_nobody: "schedule_long_due" mended_in_time
        [Sql("INSERT INTO leasehold.schedule (name, every_ms, kind, next_at)
              VALUES ('s', 3600000, 'k', now() - interval '1 hour')")];
    a_schedule_waits_for_too_late_a_tick: "schedules wait for their next tick" left
        [Sql("INSERT INTO leasehold.schedule (name, cron, timezone, kind, next_at)
              VALUES ('s', '0 * * * *', 'UTC', 'k', date_trunc('hour', now()) + interval '2 hours')")];
    a_schedule_has_no_calendar: "schedule_makes_no_job" left
        [Sql("INSERT INTO leasehold.schedule (name, cron, timezone, kind, next_at, last_error)
              VALUES ('s', '* * * * *', 'Mars/Olympus', 'k', now() + interval '1 hour', 'no such zone')")];

    children_of_an_ended_job_are_told_by_nobody: "blocked_without_cause" mended
        [Sql("INSERT INTO leasehold.job (id, run_at, max_attempts, state, priority, max_crashes, queue, kind, payload, unmet)
              VALUES ('00000000-0000-7000-8000-000000000001', now(), 5, 'blocked', 0, 3, 'default', 'k', '{}', 1);
              INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure)
              VALUES ('00000000-0000-7000-8000-000000000001', '{finished}', 1, 'cancel');
              INSERT INTO leasehold.ended_parent (parent, state, noted_at)
              VALUES ('{finished}', 'succeeded', now() - interval '2 minutes')")];
    a_blocked_job_waits_for_a_finished_one: "blocked_without_cause" left
        [Sql("INSERT INTO leasehold.job (id, run_at, max_attempts, state, priority, max_crashes, queue, kind, payload, unmet)
              VALUES ('00000000-0000-7000-8000-000000000001', now(), 5, 'blocked', 0, 3, 'default', 'k', '{}', 1);
              INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure)
              VALUES ('00000000-0000-7000-8000-000000000001', '{finished}', 1, 'cancel')")];
    a_blocked_job_counts_wrongly: "edges_miscounted" left
        [Sql("INSERT INTO leasehold.job (id, run_at, max_attempts, state, priority, max_crashes, queue, kind, payload, unmet)
              VALUES ('00000000-0000-7000-8000-000000000001', now(), 5, 'blocked', 0, 3, 'default', 'k', '{}', 2);
              INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure)
              VALUES ('00000000-0000-7000-8000-000000000001', '{running}', 1, 'cancel')")];
    a_job_stands_where_no_step_puts_it: "position_off_the_step" left
        [Sql("UPDATE leasehold.job SET priority = 5 WHERE id = '{queued}'")];

    more_jobs_run_than_a_limit_allows: "limit_exceeded" left
        [Sql("INSERT INTO leasehold.key_limit (key, running, changed_at) VALUES ('k', 0, now() - interval '1 hour');
              UPDATE leasehold.job SET limit_keys = '{k}', limit_epoch = epoch WHERE id = '{running}'")];
    a_run_holds_no_slot: "run_without_slot" left
        [Sql("INSERT INTO leasehold.key_limit (key, running) VALUES ('k', 5);
              UPDATE leasehold.job SET limit_keys = '{k}', limit_epoch = epoch WHERE id = '{running}'")];
    a_change_of_a_limit_comes_into_force_by_nobody: "limit_change_waits" mended
        [Sql("INSERT INTO leasehold.limit_change (key, running, asked_at) VALUES ('k', 1, now() - interval '1 minute')")];
    a_sealed_batch_is_ended_by_nobody: "batch_long_ended" mended
        [Sql("INSERT INTO leasehold.batch (name, sealed_at, on_complete) VALUES ('b', now() - interval '1 minute', 'k')")];

    a_running_row_has_no_lease: "state_and_lease_disagree" left
        [Sql("ALTER TABLE leasehold.job DROP CONSTRAINT lease_exactly_while_running;
              UPDATE leasehold.job SET lease_expires_at = NULL WHERE id = '{running}'")];
    attempts_pass_their_limit: "attempts_beyond_limit" left
        [Sql("ALTER TABLE leasehold.job DROP CONSTRAINT attempts_within_limit, DROP CONSTRAINT attempts_never_pass_claims;
              UPDATE leasehold.job SET attempt = max_attempts + 1 WHERE id = '{running}'")];
    a_finished_job_is_live_again: "live_and_finished" left
        [Sql("INSERT INTO leasehold.job (id, run_at, max_attempts, state, priority, max_crashes, queue, kind, payload)
              VALUES ('{finished}', now(), 5, 'queued', 0, 3, 'default', 'k', '{}')")];
    a_job_finished_twice: "finished_twice" left
        [Sql("INSERT INTO leasehold.history
              SELECT id, run_at, created_at, started_at, finished_at - interval '1 second', worker, epoch, attempt, max_attempts,
                     timeout_ms, state, priority, crashes, max_crashes, queue, kind, payload, result, unique_key,
                     limit_key, last_error, trail
              FROM leasehold.history WHERE id = '{finished}'")];
    a_unique_key_is_taken_twice: "unique_key_twice" left
        [Sql("DROP INDEX leasehold.job_unique_key;
              UPDATE leasehold.job SET unique_key = 'one' WHERE state = 'queued'")];
    a_constraint_is_gone: "constraint_missing" left
        [Sql("ALTER TABLE leasehold.job DROP CONSTRAINT timeout_is_positive")];
    a_trigger_of_encryption_is_gone: "encryption_unguarded" left
        [Sql("SELECT leasehold.set_queue_encrypted('cards', true);
              DROP TRIGGER plain_payload ON leasehold.job")];
    a_queue_is_encrypted_by_hand: "encryption_unguarded" left
        [Sql("SELECT leasehold.set_queue_encrypted('cards', true);
              INSERT INTO leasehold.queue (name, encrypted) VALUES ('card', true)")];
    a_count_is_wrong: "the counts of jobs are those of the rows" left
        [Sql("INSERT INTO leasehold.count_change (queue, kind, state, jobs) VALUES ('default', 'k', 'queued', 7)")];
    nobody_counts: "the trigger count_updated of leasehold.job is missing or switched off" left
        [Sql("ALTER TABLE leasehold.job DISABLE TRIGGER count_updated")];
    an_index_is_gone: "index_missing" left
        [Sql("DROP INDEX leasehold.job_due")];
    a_success_was_run_by_nobody: "finished_without_a_run" left
        [Sql("ALTER TABLE leasehold.history DROP CONSTRAINT success_was_claimed_by_a_worker;
              UPDATE leasehold.history SET worker = NULL WHERE id = '{finished}'")];
}

/// A reaper only adds changes to the counts. Doctor counts all jobs again.
#[tokio::test]
async fn doctor_repairs_a_wrong_count() {
    const COUNTS: &str = "the counts of jobs are those of the rows";
    let script = "ALTER TABLE leasehold.job DISABLE TRIGGER count_inserted;
                  INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
                  VALUES (gen_random_uuid(), now(), 5, 3, 0, 'elsewhere', 'k', '1', 'queued');
                  ALTER TABLE leasehold.job ENABLE TRIGGER count_inserted";
    let scene = found(COUNTS, &[Sql(script)]).await;
    let World { store, handoff, .. } = &scene.world;
    let repaired = repair(store, handoff, scene.world.settings()).await.expect("repair");
    let of_counts = repaired.get(&Drift::CountWrong).copied().expect("what was found");
    assert_eq!(of_counts, Drifted { found: 1, repaired: 1 });
    let findings = scene.examine().await.findings;
    assert!(findings.iter().all(|finding| finding.check != COUNTS), "{findings:#?}");
    let queues = store.stats().await.expect("stats");
    let queued = queues.iter().find(|of| of.queue == "elsewhere").map(|of| of.queued);
    assert_eq!(queued, Some(1));
}
