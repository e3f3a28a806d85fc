//! Rows of limits that another session has locked: they delay only the jobs of their own key, and `explain` names the session.

use crate::{
    fixture::Fixture,
    limited::{keyed, running},
    sessions_of_users::{Session, open},
};
use leasehold_core::{ClaimedJob, JobId, WorkerId};
use leasehold_ports::RowLocker;
use leasehold_store::KeyLimit;
use leasehold_tests::eventually;
use std::time::Duration;

fn rate(rate: &str, burst: i32) -> KeyLimit {
    KeyLimit { rate: Some(rate.into()), burst: Some(burst), running: None }
}

fn ids_of(runs: &[ClaimedJob]) -> Vec<JobId> {
    runs.iter().map(|run| run.fence.id).collect()
}

impl Fixture {
    /// Waits until the lock is old enough to be reported.
    async fn until_locked(&self, id: JobId, is_told: impl Fn(&RowLocker) -> bool) {
        eventually("the session is named", Duration::from_secs(10), || async {
            let moment = self.job_moment(id).await.expect("a moment").expect("the job");
            let of_keys = moment.limits.into_iter().filter_map(|limit| limit.locked_by);
            let lockers: Vec<RowLocker> = moment.locked_by.into_iter().chain(of_keys).collect();
            if lockers.iter().any(&is_told) { Ok(()) } else { Err(lockers) }
        })
        .await;
    }
}

/// A bucket and a slot of a run that has ended: one claim takes jobs of this key, of another key, of both, and of a free one.
#[tokio::test]
async fn a_locked_bucket_or_slot_holds_up_its_own_key_alone() {
    for (table, limit) in [("limit_bucket", rate("1000/s", 10)), ("limit_slot", running(2))] {
        let fixture = Fixture::start().await;
        fixture.set_limit("held", &limit).await.expect("set");
        fixture.set_limit("other", &limit).await.expect("set");
        let worker = WorkerId::new();
        for key in ["held", "other"] {
            let ids = fixture.enqueue_keyed(&[key], 1).await;
            let runs = fixture.claim_keyed(worker, &ids).await;
            fixture.complete(&runs).await;
        }
        let mut session = Session::of(&fixture).await;
        let lock = format!("SELECT 1 FROM leasehold.{table} WHERE key = 'held' FOR UPDATE");
        session.says(&format!("SET application_name = 'a user'; BEGIN; {lock}")).await;
        let jobs: Vec<_> = [&["held"][..], &["other"], &["other", "held"], &["free"]].map(keyed).into();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let runs = fixture.claim_keyed(worker, &ids).await;
        assert_eq!(ids_of(&runs), [ids[1], ids[3]], "{table}");
        let pid = session.pid().await;
        let is_told = |locker: &RowLocker| locker.pid == pid && locker.application.as_deref() == Some("a user");
        fixture.until_locked(ids[0], is_told).await;
        session.says("ROLLBACK").await;
        let runs = fixture.claim_keyed(worker, &ids).await;
        assert_eq!(ids_of(&runs), [ids[0], ids[2]], "{table}: the lock is gone");
        let moment = fixture.job_moment(ids[0]).await.expect("a moment").expect("the job");
        assert!(moment.limits.iter().all(|limit| limit.locked_by.is_none()));
        fixture.keeps_the_invariants().await;
    }
}

/// No matter what the session does with the row, and which other sessions wait for it.
#[tokio::test]
async fn the_session_that_has_locked_a_job_is_named() {
    let begins = [
        ("SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR UPDATE", None),
        ("SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR KEY SHARE", Some("a second session changes the row")),
        ("UPDATE leasehold.job SET last_error = 'x' WHERE id = '{id}'", Some("a second session has a lock too")),
        ("SAVEPOINT a; SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR UPDATE; SAVEPOINT b", None),
        ("SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR SHARE", Some("two share it")),
    ];
    for (script, second) in begins {
        let fixture = Fixture::start().await;
        let id = fixture.queued().await;
        let mut first = open(&fixture, &script.replace("{id}", &id.to_string())).await;
        let pid = first.pid().await;
        let mut other = Session::of(&fixture).await;
        if let Some(why) = second {
            let script = match why {
                "a second session changes the row" => "UPDATE leasehold.job SET last_error = 'y' WHERE id = '{id}'",
                "two share it" => "SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR SHARE",
                _ => "SELECT 1 FROM leasehold.job WHERE id = '{id}' FOR KEY SHARE",
            };
            other.says(&format!("BEGIN; {}", script.replace("{id}", &id.to_string()))).await;
        }
        let is_first = |locker: &RowLocker| locker.pid == pid;
        fixture.until_locked(id, is_first).await;
        let lockers = fixture.lockers(&[id]).await.expect("lockers");
        assert!(lockers.iter().any(|(of, locker)| *of == id && locker.pid == pid), "{script}: {lockers:?}");
        first.says("ROLLBACK").await;
        other.says("ROLLBACK").await;
        let moment = fixture.job_moment(id).await.expect("a moment").expect("the job");
        assert_eq!(moment.locked_by, None, "{script}");
    }
}

/// A key that had a slow rate does not wait for the tokens of that rate.
#[tokio::test]
async fn a_higher_rate_counts_at_once() {
    let fixture = Fixture::start().await;
    for limit in ["k", "p*"] {
        fixture.set_limit(limit, &rate("1/d", 1)).await.expect("set");
    }
    let worker = WorkerId::new();
    for (limit, key) in [("k", "k"), ("p*", "p1")] {
        let ids = fixture.enqueue_keyed(&[key], 2).await;
        assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), 1, "{key}");
        fixture.set_limit(limit, &rate("50/s", 1)).await.expect("set");
        eventually("the next token has come", Duration::from_secs(10), || async {
            fixture.admit_next("", 100, 1000).await.expect("admit");
            let runs = fixture.claim_keyed(worker, &ids).await;
            if runs.len() == 1 { Ok(()) } else { Err(key) }
        })
        .await;
    }
    fixture.keeps_the_invariants().await;
}

/// A reaper finds the key without a look at the keys that have no token.
#[tokio::test]
async fn the_keys_whose_tokens_come_are_found_among_all_others() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k*", &rate("1/d", 1)).await.expect("set");
    fixture.set_limit("kb", &rate("1/d", 3)).await.expect("set");
    let worker = WorkerId::new();
    let (mut all, mut second) = (Vec::new(), Vec::new());
    for key in ["ka", "kb", "kc", "kd"] {
        let ids = fixture.enqueue_keyed(&[key], 5).await;
        assert_eq!(fixture.claim_keyed(worker, &ids).await.len(), if key == "kb" { 3 } else { 1 }, "{key}");
        second.push(ids[if key == "kb" { 3 } else { 1 }]);
        all.extend(ids);
    }
    assert!(fixture.admit_tokens(1000).await.expect("admit").is_empty(), "nobody has a token");
    fixture
        .sql("UPDATE leasehold.limit_bucket SET full_at = full_at - interval '1 day' WHERE key IN ('kb', 'kd')")
        .await;
    let admitted = fixture.admit_tokens(1000).await.expect("admit");
    let mut ids: Vec<JobId> = admitted.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [second[1], second[3]], "one for each token");
    assert!(fixture.admit_tokens(1000).await.expect("admit").is_empty(), "they are in the line");
    assert_eq!(fixture.claim_keyed(worker, &all).await.len(), 2);
}

/// A claim may take a token that comes in a moment. Its run begins at the moment of the token, also by the record.
#[tokio::test]
async fn tokens_that_are_taken_ahead_begin_no_run_before_their_moment() {
    let fixture = Fixture::start().await;
    fixture.set_limit("k", &rate("100/s", 1)).await.expect("set");
    let ids = fixture.enqueue_keyed(&["k"], 20).await;
    let worker = WorkerId::new();
    let mut begun = 0;
    while begun < 20 {
        fixture.admit_next("", 100, 1000).await.expect("admit");
        let runs = fixture.claim_keyed(worker, &ids).await;
        begun += runs.len();
        let ahead = runs.iter().filter(|run| run.begins_in > Duration::from_millis(20)).count();
        assert_eq!(ahead, 0, "20 ms are the most that a run waits");
    }
    let closest = fixture
        .number(
            "SELECT (min(gap) * 1000000)::bigint FROM (
                SELECT extract(epoch FROM started_at - lag(started_at) OVER (ORDER BY started_at)) AS gap FROM leasehold.job) g",
        )
        .await;
    assert_eq!(closest.clamp(0, 10_000), 10_000, "{closest} µs between two starts at 100/s");
}
