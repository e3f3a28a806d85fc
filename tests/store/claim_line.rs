//! claim_line: queued → running, from the front of the line.

use crate::fixture::{Fixture, LEASE, at_once, kind, name, new_job};
use leasehold_core::{JobId, NewJob, WorkerId};
use leasehold_store::Kinds;
use std::collections::HashSet;

fn job(of: &str, priority: i16) -> NewJob {
    NewJob { kind: kind(of), priority, ..new_job() }
}

async fn claim(fixture: &Fixture, kinds: &Kinds, limit: i64) -> Vec<JobId> {
    let claimed =
        fixture.claim_line(WorkerId::new(), &name("default"), kinds, limit, LEASE, true).await.expect("claim_line");
    claimed.iter().map(|job| job.fence.id).collect()
}

#[tokio::test]
async fn takes_the_front_of_the_line_across_kinds() {
    let fixture = Fixture::start().await;
    let jobs = [job("a", 0), job("b", 5), job("c", 0), job("a", 5), job("b", -1), job("a", 0)];
    // One by one, so that each is due a little later than the one before.
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let mut elsewhere = job("a", 100);
    elsewhere.queue = name("elsewhere");
    fixture.enqueue(&[elsewhere]).await.expect("enqueue");
    // In the order of the line.
    let ids = |which: &[usize]| which.iter().map(|&nth| jobs[nth].id).collect::<Vec<_>>();
    assert_eq!(claim(&fixture, &Kinds::All, 3).await, ids(&[1, 3, 0]));
    assert_eq!(claim(&fixture, &Kinds::Only(vec![kind("a"), kind("b"), kind("a")]), 1).await, ids(&[5]));
    assert_eq!(claim(&fixture, &Kinds::Only(vec![kind("x")]), 10).await, ids(&[]));
    assert_eq!(claim(&fixture, &Kinds::Only(vec![]), 10).await, ids(&[]));
    fixture.pause(&name("default")).await.expect("pause");
    assert_eq!(claim(&fixture, &Kinds::All, 10).await, ids(&[]));
    fixture.resume(&name("default")).await.expect("resume");
    assert_eq!(claim(&fixture, &Kinds::All, 10).await, ids(&[2, 4]));
}

#[tokio::test]
async fn twenty_at_once_on_ten_jobs() {
    let fixture = Fixture::with_connections(20).await;
    for round in 0..50 {
        let jobs: Vec<NewJob> = (0..10).map(|nth| job(["a", "b"][nth % 2], 0)).collect();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let claims = at_once((0..20).map(|_| claim(&fixture, &Kinds::All, 2))).await;
        let mut claimed: Vec<JobId> = claims.into_iter().flatten().collect();
        // What one has locked and not taken, others pass over; it is there for the next.
        claimed.extend(claim(&fixture, &Kinds::All, 10).await);
        assert_eq!(claimed.len(), 10, "round {round}: each job once");
        assert_eq!(claimed.iter().collect::<HashSet<_>>(), jobs.iter().map(|job| &job.id).collect::<HashSet<_>>());
    }
}

#[tokio::test]
async fn jobs_in_danger_are_claimed_one_at_a_time_and_hold_up_no_other() {
    let fixture = Fixture::start().await;
    fixture.enqueue(&[job("k", 0), job("k", 0), job("k", 0)]).await.expect("enqueue");
    fixture.endanger_all().await;
    fixture.enqueue(&[job("k", 0), job("k", 0)]).await.expect("enqueue");
    let worker = WorkerId::new();
    let mut claimed = Vec::new();
    for _ in 0..3 {
        let jobs = fixture.claim_line(worker, &name("default"), &Kinds::All, 2, LEASE, true).await.expect("claim_line");
        claimed.extend(jobs.iter().map(|job| job.crashes));
    }
    claimed.sort_unstable();
    assert_eq!(claimed, [0, 0, 2], "one in danger, and all that is behind the others");
    assert_eq!(claim(&fixture, &Kinds::All, 5).await.len(), 1, "another worker takes one");
}

#[tokio::test]
async fn jobs_that_have_crashed_are_claimed_a_few_at_a_time_and_hold_up_no_other() {
    let fixture = Fixture::start().await;
    let jobs = |count| (0..count).map(|_| job("k", 0)).collect::<Vec<_>>();
    for id in fixture.enqueue(&jobs(15)).await.expect("enqueue").iter().map(|answer| answer.id) {
        fixture.set_crashes(id, 1).await;
    }
    fixture.enqueue(&jobs(5)).await.expect("enqueue");
    let worker = WorkerId::new();
    let claim = async |limit| {
        let jobs =
            fixture.claim_line(worker, &name("default"), &Kinds::All, limit, LEASE, true).await.expect("claim_line");
        jobs.iter().map(|job| i32::from(job.crashes)).collect::<Vec<_>>()
    };
    assert_eq!(claim(12).await, [1; 10], "ten of twelve");
    assert_eq!(claim(12).await, [0; 5], "those behind the others");
    fixture.let_runs_be_old().await;
    assert_eq!(claim(12).await, [1; 5]);
}
