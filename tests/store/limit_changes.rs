//! Changes of limits while jobs run, and in transactions that stay open: no other session waits for such a transaction, and from
//! the commit on no claim starts a run that the new limit does not allow.

use crate::{
    fixture::{Fixture, LEASE, concurrently},
    limited::{keyed, running},
    sessions_of_users::{Session, open},
};
use leasehold_core::{ClaimedJob, JobId, WorkerId};
use leasehold_ports::Kinds;
use leasehold_store::KeyLimit;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// A claim of jobs with limit keys that is under way: what such a claim holds until its transaction ends.
const A_CLAIM: &str = "SELECT pg_advisory_xact_lock_shared(leasehold.key_lock(NULL))";

fn ids_of(runs: &[ClaimedJob]) -> Vec<JobId> {
    runs.iter().map(|run| run.fence.id).collect()
}

impl Fixture {
    /// How many changes wait to be applied.
    async fn waiting_changes(&self) -> i64 {
        self.number("SELECT count(*) FROM leasehold.limit_change").await
    }

    /// The runs of the key that began after its limit, or the limit of this pattern, took effect.
    async fn new_runs(&self, key: &str, limit: &str) -> i64 {
        let query = format!(
            "SELECT count(*) FROM leasehold.job j JOIN leasehold.key_limit l ON l.key = '{limit}'
             WHERE j.state = 'running' AND j.limit_keys @> ARRAY['{key}'] AND j.started_at > l.changed_at"
        );
        self.number(query).await
    }
}

#[tokio::test]
async fn an_open_transaction_that_changes_limits_holds_up_nobody() {
    let everything = "SELECT leasehold.set_limit('k', 5); SELECT leasehold.set_limit('f*', 0); SELECT leasehold.set_limit('other', 0);
                      SELECT leasehold.remove_limit('gone')";
    for end in ["ROLLBACK", "COMMIT"] {
        let fixture = Fixture::start().await;
        for key in ["k", "gone"] {
            fixture.set_limit(key, &running(2)).await.expect("set");
        }
        let worker = WorkerId::new();
        let mut session = open(&fixture, everything).await;
        let mut runs = Vec::new();
        for (key, most) in [("k", 2), ("gone", 2), ("other", 3), ("free", 3), ("stranger", 3)] {
            let ids = fixture.enqueue_keyed(&[key], 3).await;
            let begun = fixture.claim_keyed(worker, &ids).await;
            assert_eq!(begun.len(), most, "{key} goes by the limit that is committed");
            runs.extend(begun);
        }
        assert!(fixture.apply_limits().await.expect("a tick"), "no claim is under way");
        let limits = fixture.limits(None).await.expect("limits");
        assert_eq!(limits.iter().map(|limit| limit.key.as_str()).collect::<Vec<_>>(), ["gone", "k"]);
        // Other sessions change the same limits meanwhile. They do not wait.
        let begun = Instant::now();
        fixture.set_limit("stranger", &running(4)).await.expect("set");
        fixture.set_limit("k", &running(3)).await.expect("set");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        session.says(end).await;
        let limits = fixture.limits(None).await.expect("limits");
        let shown: Vec<_> = limits.iter().map(|limit| (limit.key.as_str(), limit.running.expect("a number"))).collect();
        let wanted = match end {
            "COMMIT" => vec![("f*", 0), ("k", 5), ("other", 0), ("stranger", 4)],
            _ => vec![("gone", 2), ("k", 3), ("stranger", 4)],
        };
        assert_eq!(shown, wanted, "what is committed is shown");
        for (key, most) in [("k", if end == "COMMIT" { 5 } else { 3 }), ("other", if end == "COMMIT" { 3 } else { 6 })]
        {
            fixture.enqueue_keyed(&[key], 3).await;
            for _ in 0..2 {
                fixture.claim_keyed(worker, &fixture.in_line().await).await;
                fixture.admit_next("", 100, 1000).await.expect("admit");
            }
            assert_eq!(fixture.runs_of(key).await, most, "{key} after {end}");
        }
        assert_eq!(fixture.waiting_changes().await, 0);
        fixture.keeps_the_invariants().await;
    }
}

/// Somebody holds the row of a limit, and its change is committed: only the jobs of this key wait, and only until the row is free.
#[tokio::test]
async fn a_locked_limit_whose_change_is_committed_holds_up_its_own_key_alone() {
    for lock in [
        "SELECT 1 FROM leasehold.key_limit WHERE key = 'held' FOR UPDATE",
        "LOCK TABLE leasehold.key_limit IN SHARE MODE",
    ] {
        let fixture = Fixture::start().await;
        for key in ["held", "other"] {
            fixture.set_limit(key, &running(2)).await.expect("set");
        }
        let worker = WorkerId::new();
        let mut session = open(&fixture, lock).await;
        fixture.sql("SELECT leasehold.set_limit('held', 4)").await;
        for (key, most) in [("held", 0), ("other", 2), ("free", 3)] {
            let ids = fixture.enqueue_keyed(&[key], 3).await;
            assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), most, "{key}, {lock}");
        }
        assert_eq!(fixture.waiting_changes().await, 1, "{lock}");
        session.says("ROLLBACK").await;
        assert_eq!(fixture.claim_keyed(worker, &fixture.in_line().await).await.len(), 2, "{lock}");
        assert_eq!(fixture.waiting_changes().await, 0, "{lock}");
        fixture.keeps_the_invariants().await;
    }
}

/// The claims that began before the commit may know no limit. Every claim that begins after the commit does.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_set_while_claims_run_is_exact_from_the_commit_on() {
    const LIMIT: i64 = 2;
    let fixture = Fixture::with_connections(24).await;
    // More than begin before the commit.
    let ids = fixture.enqueue_keyed(&["k"], 1_000).await;
    fixture.look(&ids[..1], &Kinds::All).await.expect("look");
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let committed: Mutex<Option<Instant>> = Mutex::new(None);
    let runs: Mutex<Vec<(Instant, ClaimedJob)>> = Mutex::default();
    let claimers = (0..64).map(|_| async {
        let worker = WorkerId::new();
        while !is_over.load(SeqCst) {
            let from = next.fetch_add(1, SeqCst) % ids.len();
            let begun = Instant::now();
            let claimed = fixture.claim(worker, &ids[from..=from], &Kinds::All, LEASE).await.expect("claim");
            runs.lock().expect("a lock").extend(claimed.into_iter().map(|run| (begun, run)));
        }
    });
    let change = async {
        let mut session = Session::of(&fixture).await;
        while runs.lock().expect("a lock").len() < 30 {
            tokio::task::yield_now().await;
        }
        session.says(&format!("SELECT leasehold.set_limit('k', {LIMIT})")).await;
        *committed.lock().expect("a lock") = Some(Instant::now());
        // A reaper beside the claims.
        while fixture.waiting_changes().await > 0 {
            fixture.apply_limits().await.expect("apply");
        }
        let looked = next.load(SeqCst);
        while next.load(SeqCst) < looked + 2 * ids.len() {
            tokio::task::yield_now().await;
        }
        let committed = committed.lock().expect("a lock").expect("a moment");
        let late = runs.lock().expect("a lock").iter().filter(|(begun, _)| *begun > committed).count();
        assert_eq!(late, 0, "claims that began after the commit started runs while more than {LIMIT} ran");
        assert_eq!(fixture.new_runs("k", "k").await, 0, "runs began after the limit was in force");
        let mut old: Vec<ClaimedJob> = runs.lock().expect("a lock").drain(..).map(|(_, run)| run).collect();
        assert!(old.len() >= 30 && old.len() + 2 < ids.len(), "{}", old.len());
        while let Some(run) = old.pop() {
            fixture.complete(&[run]).await;
            let (all, new) = (fixture.runs_of("k").await, fixture.new_runs("k", "k").await);
            assert!(new <= LIMIT && (new == 0 || all <= LIMIT), "{new} new runs of {all}");
        }
        while runs.lock().expect("a lock").len() < 2 {
            // The claimers want the lock of the key too, all the time: a call may wait too long for it.
            fixture.admit(&["k".to_owned()]).await.unwrap_or_default();
        }
        assert_eq!(fixture.runs_of("k").await, LIMIT);
        is_over.store(true, SeqCst);
    };
    tokio::join!(concurrently(claimers), change);
    fixture.keeps_the_invariants().await;
}

/// The session that set the limit has died after the commit: the runs are not counted yet. The next claim counts them, or a
/// reaper does.
#[tokio::test]
async fn runs_are_counted_whoever_has_set_the_limit() {
    for by_reaper in [false, true] {
        let fixture = Fixture::start().await;
        let worker = WorkerId::new();
        let ids = fixture.enqueue_keyed(&["k"], 8).await;
        let runs = fixture.claim_keyed(worker, &ids[..3]).await;
        assert_eq!(runs.len(), 3, "without a limit");
        let mut session = Session::of(&fixture).await;
        session.says("SELECT leasehold.set_limit('k', 4)").await;
        drop(session);
        assert_eq!(fixture.waiting_changes().await, 1);
        assert!(fixture.uptime().await.expect("uptime").has_limit_changes);
        if by_reaper {
            assert!(fixture.apply_limits().await.expect("a tick"));
            assert_eq!(fixture.waiting_changes().await, 0);
            fixture.keeps_the_invariants().await;
        }
        assert_eq!(ids_of(&fixture.claim_keyed(worker, &ids).await), ids[3..4]);
        assert!(!fixture.uptime().await.expect("uptime").has_limit_changes);
        fixture.complete(&runs).await;
        fixture.admit_next("", 100, 1000).await.expect("admit");
        assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 3);
        fixture.keeps_the_invariants().await;
    }
}

/// While a claim is under way that may know the old limit, jobs of this key wait, and all others start.
#[tokio::test]
async fn a_claim_under_way_holds_up_only_the_keys_whose_limits_change() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut claim = open(&fixture, A_CLAIM).await;
    let (held, both) = (fixture.enqueue_keyed(&["k1"], 2).await, fixture.enqueue_keyed(&["other", "k1"], 1).await);
    let others = [fixture.enqueue_keyed(&["other"], 1).await[0], fixture.enqueue_keyed(&["x"], 1).await[0]];
    let mut session = Session::of(&fixture).await;
    session.says("SELECT leasehold.set_limit('k*', 1)").await;
    let hints = [&held[..], &both, &others].concat();
    assert_eq!(ids_of(&fixture.claim_keyed(worker, &hints).await), others);
    assert!(!fixture.apply_limits().await.expect("a tick"), "the claim is still under way");
    let refused = fixture.set_limit("other", &running(1)).await.expect_err("a limit cannot come into force");
    assert!(refused.is_transient(), "{refused}");
    assert_eq!(fixture.limits(Some("other")).await.expect("limits"), [], "and then it is not set");
    // Doctor names the session.
    fixture.sql("UPDATE leasehold.limit_change SET asked_at = now() - interval '1 minute'").await;
    let found = fixture.violations().await.expect("violations");
    let told = found.iter().map(|found| found.detail.as_str()).collect::<Vec<_>>().join("; ");
    assert!(
        told.contains("limit key 'k*' waits") && told.contains(&format!("with pid {} has the lock", claim.pid().await)),
        "{told}"
    );
    claim.says("ROLLBACK").await;
    assert_eq!(ids_of(&fixture.claim_keyed(worker, &hints).await), held[..1]);
    assert_eq!(fixture.waiting_changes().await, 0);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_key_that_falls_under_a_pattern_is_counted() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let rate = KeyLimit { rate: Some("1000/s".into()), burst: Some(1000), running: None };
    // Below its own limit, which counts no runs, the key has a pattern, which counts them.
    fixture.set_limit("p1", &rate).await.expect("set");
    fixture.set_limit("p*", &running(2)).await.expect("set");
    let ids = fixture.enqueue_keyed(&["p1"], 6).await;
    let runs = fixture.claim_keyed(worker, &ids[..3]).await;
    assert_eq!(runs.len(), 3, "its own limit comes first");
    let mut session = Session::of(&fixture).await;
    session.says("SELECT leasehold.remove_limit('p1')").await;
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 0, "three run, and two may");
    fixture.keeps_the_invariants().await;
    fixture.complete(&runs[..2]).await;
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 1);
    // A longer pattern, raised and lowered again.
    session.says("SELECT leasehold.set_limit('p1*', 4)").await;
    assert!(fixture.apply_limits().await.expect("a tick"));
    fixture.admit_next("", 100, 1000).await.expect("admit");
    assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 2);
    session.says("BEGIN; SELECT leasehold.set_limit('p1*', 1); SELECT leasehold.set_limit('p1', 3); COMMIT").await;
    let more = fixture.enqueue_keyed(&["p1"], 1).await;
    assert!(fixture.claim_keyed(worker, &more).await.is_empty(), "four run, and three may");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn the_last_change_of_a_key_counts() {
    let fixture = Fixture::start().await;
    let mut first = open(&fixture, "SELECT leasehold.set_limit('k', 7)").await;
    let mut second = open(&fixture, "SELECT leasehold.set_limit('k', 8); SELECT leasehold.set_limit('k', 9)").await;
    let mut third = open(&fixture, "SELECT leasehold.set_limit('k', 10)").await;
    third.says("ROLLBACK").await;
    second.says("COMMIT").await;
    first.says("COMMIT").await;
    let shown = async || fixture.limits(Some("k")).await.expect("limits").first().and_then(|limit| limit.running);
    assert_eq!(shown().await, Some(9), "the second transaction began to write last");
    assert!(fixture.apply_limits().await.expect("apply"));
    assert_eq!((shown().await, fixture.waiting_changes().await), (Some(9), 0));
    let removed = "SELECT (leasehold.remove_limit('k'))::integer::bigint";
    assert_eq!(fixture.number(removed).await, 1);
    assert_eq!(fixture.number(removed).await, 0, "it is removed already, though not in force yet");
    assert_eq!(shown().await, None);
    assert!(!fixture.remove_limit("k").await.expect("remove"));
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.key_limit").await, 0);
    // A transaction of any isolation level may ask for a change.
    let mut session = Session::of(&fixture).await;
    session.says("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT leasehold.set_limit('k', 1); COMMIT").await;
    assert_eq!(shown().await, Some(1));
}

/// More changes than one call puts into force: the jobs of the others wait.
#[tokio::test]
async fn many_changes_are_put_into_force_in_several_calls() {
    let fixture = Fixture::start().await;
    let mut session = Session::of(&fixture).await;
    session.says("SELECT leasehold.set_limit('k' || n, 1) FROM generate_series(10000, 12499) n").await;
    let job = keyed(&["k12499"]);
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let worker = WorkerId::new();
    let mut claims = 0;
    while fixture.claim_keyed(worker, &[job.id]).await.is_empty() {
        claims += 1;
        assert!(claims < 10 && fixture.waiting_changes().await > 0);
    }
    assert_eq!((claims, fixture.waiting_changes().await), (2, 0));
}
