//! Limits of keys: never more runs of a key than its limit, and no more starts than its rate; jobs without room are behind the line
//! and come back when there is room.

use crate::fixture::{Fixture, LEASE, concurrently, kind, name, new_job};
use leasehold_core::{Claimability, ClaimedJob, Fence, FinishedRun, JobId, NewJob, QueueName, Settle, WorkerId};
use leasehold_ports::{Claims, Kinds, Waiting};
use leasehold_store::KeyLimit;
use sqlx::AssertSqlSafe;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub(crate) fn running(most: i32) -> KeyLimit {
    KeyLimit { running: Some(most), ..KeyLimit::default() }
}

pub(crate) fn keyed(keys: &[&str]) -> NewJob {
    NewJob { limit_keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..new_job() }
}

impl Fixture {
    pub(crate) async fn enqueue_keyed(&self, keys: &[&str], count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| keyed(keys)).collect();
        self.enqueue(&jobs).await.expect("enqueue");
        jobs.iter().map(|job| job.id).collect()
    }

    /// Claims as a worker does: after a look, the store knows that there are jobs with limit keys.
    pub(crate) async fn claim_keyed(&self, worker: WorkerId, ids: &[JobId]) -> Vec<ClaimedJob> {
        self.look(ids, &Kinds::All).await.expect("look");
        self.claim(worker, ids, &Kinds::All, LEASE).await.expect("claim")
    }

    pub(crate) async fn complete(&self, runs: &[ClaimedJob]) -> Vec<Waiting> {
        let ends: Vec<FinishedRun> =
            runs.iter().map(|run| FinishedRun { fence: run.fence, settle: Settle::Complete(None) }).collect();
        self.settle(runs[0].fence.worker, &ends).await.expect("settle").unblocked
    }

    pub(crate) async fn in_line(&self) -> Vec<JobId> {
        self.front(&QueueName::default(), &Kinds::All, 1000).await.expect("line").ids()
    }

    pub(crate) async fn runs_of(&self, key: &str) -> i64 {
        let query =
            format!("SELECT count(*) FROM leasehold.job WHERE state = 'running' AND limit_keys @> ARRAY['{key}']");
        self.number(query).await
    }

    async fn claimability_of(&self, id: JobId) -> Claimability {
        self.look(&[id], &Kinds::All).await.expect("look")[0].claimability
    }
}

#[tokio::test]
async fn jobs_without_room_wait_behind_the_line_and_come_back_one_for_each_run_that_ends() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &running(2)).await.expect("set");
    let ids = fixture.enqueue_keyed(&["k"], 5).await;
    assert_eq!(fixture.in_line().await, ids[..2]);
    assert_eq!(fixture.claimability_of(ids[1]).await, Claimability::Limited);
    assert_eq!(fixture.claimability_of(ids[2]).await, Claimability::KeyFull);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.jobs WHERE state = 'queued'").await, 5, "all are queued");
    let record = fixture.record(ids[0]).await;
    assert_eq!((record.limit_key.as_deref(), record.limit_keys), (Some("k"), Some(vec!["k".to_owned()])));
    let worker = WorkerId::new();
    let runs = fixture.claim_keyed(worker, &ids).await;
    assert_eq!(runs.iter().map(|run| run.fence.id).collect::<Vec<_>>(), ids[..2]);
    let unblocked = fixture.complete(&runs[..1]).await;
    assert_eq!(unblocked.iter().map(|job| job.id).collect::<Vec<_>>(), ids[2..3]);
    assert_eq!(fixture.in_line().await, ids[2..3]);
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 1);
    assert_eq!(fixture.runs_of("k").await, 2);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn no_other_statement_can_start_a_job_with_limit_keys() {
    let fixture = Fixture::start().await;
    let id = fixture.enqueue_keyed(&["free"], 1).await[0];
    let start = format!(
        "UPDATE leasehold.job SET state = 'running', epoch = epoch + 1, attempt = 1, worker = gen_random_uuid(),
         started_at = now(), lease_expires_at = now() WHERE id = '{id}'"
    );
    let error = sqlx::query(AssertSqlSafe(start)).execute(fixture.pool()).await.expect_err("the check refuses it");
    let by = error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
    assert_eq!(by.as_deref(), Some("limited_run_has_its_slots"));
    assert_eq!(fixture.claim_keyed(WorkerId::new(), &[id]).await.len(), 1, "a key without a limit is free");
}

/// The runs of a key are counted on another connection all the time, while 64 claimers take and end runs, with crashes.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_claimers_never_hold_more_than_the_limit() {
    const LIMIT: i64 = 10;
    let fixture = Fixture::with_connections(24).await;
    fixture.set_limit("a", &running(LIMIT as i32)).await.expect("set");
    fixture.set_limit("b*", &running(3)).await.expect("set");
    let mut ids = fixture.enqueue_keyed(&["a"], 60).await;
    for nth in 0..60 {
        let other = format!("b{}", nth % 2);
        // In both orders: two claims lock the keys of their jobs in the same order nevertheless.
        let keys = if nth % 3 == 0 { [other.as_str(), "a"] } else { ["a", other.as_str()] };
        ids.extend(fixture.enqueue_keyed(&keys, 1).await);
    }
    fixture.look(&ids[..1], &Kinds::All).await.expect("look");
    let is_over = AtomicBool::new(false);
    let observe = async {
        let (mut most, mut reads) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            let (a, b) = (fixture.runs_of("a").await, fixture.runs_of("b0").await.max(fixture.runs_of("b1").await));
            assert!(a <= LIMIT && b <= 3, "{a} runs of a, {b} of b");
            most = most.max(a);
            reads += 1;
        }
        (most, reads)
    };
    let claimers = (0..64).map(|nth: usize| {
        let (fixture, ids) = (&fixture, &ids);
        async move {
            let worker = WorkerId::new();
            let mut round = nth;
            while fixture.live_jobs().await > 0 {
                round += 1;
                let from = (round * 37) % ids.len();
                let hints: Vec<JobId> = ids[from..].iter().take(40).copied().collect();
                let mut runs = fixture.claim(worker, &hints, &Kinds::All, LEASE).await.expect("claim");
                if round.is_multiple_of(4) {
                    let queue = QueueName::default();
                    let line = Claims::claim_line(&fixture.store, worker, &queue, &Kinds::All, 2, LEASE, true).await;
                    runs.extend(line.expect("claim_line"));
                }
                if runs.is_empty() {
                    fixture.admit_next("", 100, 1000).await.expect("admit");
                    continue;
                }
                let ends: Vec<FinishedRun> = runs
                    .iter()
                    .map(|run| match round % 5 {
                        0 => FinishedRun { fence: run.fence, settle: Settle::Release },
                        _ => FinishedRun { fence: run.fence, settle: Settle::Complete(None) },
                    })
                    .collect();
                fixture.settle(worker, &ends).await.expect("settle");
            }
        }
    });
    let work = async {
        concurrently(claimers).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let ((most, reads), ()) = tokio::join!(observe, work);
    assert!(most >= 2 && reads > 10, "the observer must see runs: {most} at most in {reads} reads");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_lower_limit_counts_as_runs_end_and_a_removed_limit_frees_all() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &running(4)).await.expect("set");
    let ids = fixture.enqueue_keyed(&["k"], 10).await;
    let worker = WorkerId::new();
    let runs = fixture.claim_keyed(worker, &ids).await;
    assert_eq!(runs.len(), 4);
    fixture.set_limit("k", &running(2)).await.expect("set");
    fixture.keeps_the_invariants().await;
    assert!(fixture.complete(&runs[..1]).await.is_empty(), "three still run");
    assert!(fixture.complete(&runs[1..2]).await.is_empty(), "two still run");
    assert!(fixture.claim_keyed(worker, &ids).await.is_empty());
    // The slots with high numbers are still held, and a new run takes a low one.
    let unblocked = fixture.complete(&runs[2..3]).await;
    assert_eq!(unblocked.len(), 1);
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 1);
    assert_eq!(fixture.runs_of("k").await, 2);
    assert!(fixture.remove_limit("k").await.expect("remove"));
    assert_eq!(fixture.in_line().await, ids[5..]);
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 5);
    assert!(!fixture.remove_limit("k").await.expect("remove"), "there is none any more");
    // Runs that began without a limit count as soon as there is one.
    fixture.set_limit("k", &running(7)).await.expect("set");
    let more = fixture.enqueue_keyed(&["k"], 1).await;
    assert!(fixture.claim_keyed(worker, &more).await.is_empty());
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_refused_claim_moves_the_job_behind_the_line() {
    let fixture = Fixture::start().await;
    let ids = fixture.enqueue_keyed(&["k"], 3).await;
    assert_eq!(fixture.in_line().await, ids, "the key is free");
    fixture.set_limit("k", &running(1)).await.expect("set");
    let runs = fixture.claim_keyed(WorkerId::new(), &ids).await;
    assert_eq!(runs.len(), 1);
    assert!(fixture.in_line().await.is_empty());
    assert_eq!(fixture.claimability_of(ids[2]).await, Claimability::KeyFull);
    assert_eq!(fixture.complete(&runs).await.len(), 1);
    assert_eq!(fixture.in_line().await, ids[1..2], "in the order of the line");
}

#[tokio::test]
async fn a_rate_lets_a_burst_start_and_then_one_job_for_each_token() {
    let fixture = Fixture::start().await;
    let rate = KeyLimit { rate: Some("60/m".into()), burst: Some(3), running: None };
    fixture.set_limit("k", &rate).await.expect("set");
    let ids = fixture.enqueue_keyed(&["k"], 8).await;
    let worker = WorkerId::new();
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 3, "the burst");
    assert!(fixture.claim_keyed(worker, &ids).await.is_empty());
    fixture.sql("UPDATE leasehold.limit_bucket SET full_at = full_at - interval '2 seconds'").await;
    let admitted = fixture.admit_next("", 100, 1000).await.expect("admit");
    assert!((2..=3).contains(&admitted.waiting.len()), "{admitted:?}: a token that comes soon counts as room");
    let claimed = fixture.claim_keyed(worker, &ids).await.len();
    let elapsed = fixture
        .number("SELECT extract(epoch FROM now() - min(started_at))::bigint FROM leasehold.job WHERE state = 'running'")
        .await;
    assert!(claimed >= 2 && claimed as i64 <= 2 + elapsed + 1, "{claimed} in 2 s and {elapsed} s");
}

#[tokio::test]
async fn without_hints_the_same_function_decides() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &running(2)).await.expect("set");
    let limited = fixture.enqueue_keyed(&["k"], 5).await;
    let plain = [fixture.queued().await, fixture.queued().await];
    let worker = WorkerId::new();
    let claim = async |limit| {
        let queue = QueueName::default();
        let jobs = Claims::claim_line(&fixture.store, worker, &queue, &Kinds::All, limit, LEASE, true).await;
        jobs.expect("claim_line").into_iter().map(|job| job.fence.id).collect::<Vec<_>>()
    };
    assert_eq!(claim(10).await, [limited[0], limited[1], plain[0], plain[1]]);
    assert!(claim(10).await.is_empty());
}

#[tokio::test]
async fn a_run_that_expires_gives_its_slot_back() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &running(1)).await.expect("set");
    let ids = fixture.enqueue_keyed(&["k"], 2).await;
    let worker = WorkerId::new();
    let run = fixture.claim_keyed(worker, &ids).await.remove(0);
    fixture.end_lease(run.fence.id).await;
    fixture.expire(10, None).await.expect("expire");
    assert_eq!(fixture.in_line().await, ids[..1], "the job keeps its place before the other");
    let again = fixture.claim_keyed(worker, &ids).await;
    assert_eq!(again[0].fence, Fence { epoch: 2, ..run.fence });
    fixture.cancel(&[ids[0]]).await.expect("cancel");
    let gone = [FinishedRun { fence: again[0].fence, settle: Settle::Cancel }];
    assert_eq!(fixture.settle(worker, &gone).await.expect("settle").unblocked[0].id, ids[1]);
}

#[tokio::test]
async fn a_scheduled_job_waits_for_room_when_it_is_due() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &running(1)).await.expect("set");
    let jobs = [keyed(&["k"]), keyed(&["k"])].map(|job| NewJob { delay: Some(Duration::from_secs(3600)), ..job });
    fixture.enqueue(&jobs).await.expect("enqueue");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.job WHERE limited_by IS NOT NULL").await, 0);
    fixture.make_scheduled_due().await;
    let due = fixture.promote(10, None).await.expect("promote").jobs;
    assert_eq!(due.len(), 2);
    assert_eq!(due.iter().filter(|job| job.is_in_line).count(), 1, "{due:?}");
    let limits = fixture.limits(Some("k")).await.expect("limits");
    // The job that was given room has not begun: both wait.
    assert_eq!((limits[0].running, limits[0].running_now, limits[0].waiting), (Some(1), 0, 2));
}

/// A job of two keys waits for one of them at a time, and takes no slot before it has both.
#[tokio::test]
async fn a_job_of_two_keys_needs_room_of_both() {
    let fixture = Fixture::start().await;
    for key in ["a", "b"] {
        fixture.set_limit(key, &running(1)).await.expect("set");
    }
    let worker = WorkerId::new();
    let a = fixture.enqueue_keyed(&["a"], 1).await;
    let b = fixture.enqueue_keyed(&["b"], 1).await;
    let (run_a, run_b) = (fixture.claim_keyed(worker, &a).await, fixture.claim_keyed(worker, &b).await);
    let both = fixture.enqueue_keyed(&["a", "b"], 1).await;
    assert!(fixture.complete(&run_a).await.is_empty(), "b is full");
    assert_eq!(fixture.claimability_of(both[0]).await, Claimability::KeyFull);
    let other = fixture.enqueue_keyed(&["a"], 1).await;
    assert_eq!(fixture.claim_keyed(worker, &other).await.len(), 1, "the job of both holds no slot of a");
    assert!(fixture.complete(&run_b).await.is_empty(), "a is full");
    let admitted = fixture.admit_next("", 100, 100).await.expect("admit");
    assert!(admitted.waiting.is_empty() && admitted.last_key.is_none(), "{admitted:?}");
    fixture.keeps_the_invariants().await;
}

/// A worker of another kind, or a paused queue, must not block the key for the other jobs.
#[tokio::test]
async fn jobs_that_nobody_runs_do_not_use_the_room_of_others() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &running(1)).await.expect("set");
    let foreign = NewJob { kind: kind("nobody"), ..keyed(&["k"]) };
    let paused = NewJob { queue: name("paused"), ..keyed(&["k"]) };
    fixture.enqueue(&[foreign, paused]).await.expect("enqueue");
    fixture.pause(&name("paused")).await.expect("pause");
    let ids = fixture.enqueue_keyed(&["k"], 2).await;
    assert!(fixture.in_line().await.contains(&ids[0]));
    assert_eq!(fixture.claim_keyed(WorkerId::new(), &ids).await.len(), 1);
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_refused() {
    let fixture = Fixture::start().await;
    for (call, told) in [
        ("'', 1", "key is 0 bytes long"),
        ("'k'", "give running, rate, or both"),
        ("'k', -1", "running is -1"),
        ("'k', rate => 'often'", "is no rate"),
        ("'k', rate => '0/s'", "out of bounds"),
        ("'k', burst => 3, running => 1", "burst needs a rate"),
        ("'k', rate => '1/s', burst => 0", "burst is 0"),
        ("'k', rate => 0", "out of bounds"),
        ("'k', rate => 10, burst => 9000000000", "burst is 2000000"),
        ("'k', 2000000::bigint", "running is 2000000"),
        ("'k', running => 2.5", "running is 2.5"),
        // It may mean `running` or `rate`.
        ("'k', 5::numeric", "is not unique"),
    ] {
        let error =
            sqlx::query(AssertSqlSafe(format!("SELECT leasehold.set_limit({call})"))).execute(fixture.pool()).await;
        let error = error.expect_err(call).to_string();
        assert!(error.contains(told), "{call}: {error}");
    }
    fixture.sql("SELECT leasehold.set_limit('k', 3, 10, 20); SELECT leasehold.set_limit('a', rate => 10);
        SELECT leasehold.set_limit('b', rate => '10'); SELECT leasehold.set_limit('c', rate => 0.5, burst => 2);
        SELECT leasehold.set_limit('d', NULL, '10/s'); SELECT leasehold.set_limit('e', 3); SELECT leasehold.set_limit('f', running => 4);
        SELECT leasehold.set_limit('g', NULL, 10); SELECT leasehold.set_limit('h', running => NULL, rate => 10); SELECT leasehold.set_limit('p*', 3, '600/m', NULL)").await;
    let limits = fixture.limits(None).await.expect("limits");
    let shown: Vec<_> = limits.iter().map(|limit| (limit.key.as_str(), limit.rate.as_deref(), limit.burst)).collect();
    let of_a_rate = [("a", Some("10/s"), Some(10)), ("b", Some("10/s"), Some(10)), ("c", Some("0.5/s"), Some(2))];
    assert_eq!(shown[..3], of_a_rate, "a rate alone");
    assert_eq!(shown[3..6], [("d", Some("10/s"), Some(10)), ("e", None, None), ("f", None, None)]);
    assert_eq!(shown[6..8], [("g", Some("10/s"), Some(10)), ("h", Some("10/s"), Some(10))]);
    // A count is a bigint, and no rate.
    fixture.sql("SELECT leasehold.set_limit('e', count(*)) FROM generate_series(1, 5)").await;
    let counted = fixture.limits(Some("e")).await.expect("limits").pop().expect("the limit");
    assert_eq!((counted.running, counted.rate.as_deref()), (Some(5), None));
    assert_eq!(shown[8..], [("k", Some("10/s"), Some(20)), ("p*", Some("600/m"), Some(10))]);
    let nine: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let error = fixture.enqueue(&[NewJob { limit_keys: nine, ..new_job() }]).await.expect_err("nine keys");
    assert!(error.to_string().contains("limit_keys has 9 keys; at most 8 are allowed"), "{error}");
}

#[tokio::test]
async fn slots_and_buckets_of_unused_keys_are_deleted() {
    let fixture = Fixture::start().await;
    fixture.sql("SELECT leasehold.set_limit('k*', 2, '1000/s', 1000)").await;
    let (old, live) = (fixture.enqueue_keyed(&["k1"], 1).await, fixture.enqueue_keyed(&["k2"], 1).await);
    let worker = WorkerId::new();
    let runs = fixture.claim_keyed(worker, &old).await;
    fixture.claim_keyed(worker, &live).await;
    fixture.complete(&runs).await;
    fixture.sql("UPDATE leasehold.limit_bucket SET full_at = now() - interval '1 second'").await;
    fixture.retain(Duration::from_secs(3600)).await.expect("retain");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.limit_slot").await, 1);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.limit_bucket").await, 0);
    fixture.keeps_the_invariants().await;
}
