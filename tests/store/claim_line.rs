//! claim_line: queued → running, from the front of the line.

use crate::fixture::{Fixture, LEASE, concurrently, kind, name, new_job};
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
    // Each job in a separate call, so that each is due a little later than the previous one.
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let mut elsewhere = job("a", 100);
    elsewhere.queue = name("elsewhere");
    fixture.enqueue(&[elsewhere]).await.expect("enqueue");
    // The jobs must come in the order of the line.
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
async fn twenty_concurrent_claimers_of_ten_jobs() {
    let fixture = Fixture::with_connections(20).await;
    for round in 0..50 {
        let jobs: Vec<NewJob> = (0..10).map(|nth| job(["a", "b"][nth % 2], 0)).collect();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let claims = concurrently((0..20).map(|_| claim(&fixture, &Kinds::All, 2))).await;
        let mut claimed: Vec<JobId> = claims.into_iter().flatten().collect();
        // If a claimer has locked jobs without claiming them, the other claimers skip these jobs. The next claim gets
        // them.
        claimed.extend(claim(&fixture, &Kinds::All, 10).await);
        assert_eq!(claimed.len(), 10, "round {round}: each job must be claimed once");
        assert_eq!(claimed.iter().collect::<HashSet<_>>(), jobs.iter().map(|job| &job.id).collect::<HashSet<_>>());
    }
}

#[tokio::test]
async fn jobs_in_danger_are_claimed_one_at_a_time_and_do_not_block_others() {
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
    assert_eq!(claimed, [0, 0, 2], "one job in danger, and all jobs behind those that were skipped");
    assert_eq!(claim(&fixture, &Kinds::All, 5).await.len(), 1, "another worker must get one");
}

#[tokio::test]
async fn jobs_that_have_crashed_are_claimed_a_few_at_a_time_and_do_not_block_others() {
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
    assert_eq!(claim(12).await, [1; 10], "ten of the twelve jobs that have crashed");
    assert_eq!(claim(12).await, [0; 5], "the jobs behind those that were skipped");
    fixture.make_runs_old().await;
    assert_eq!(claim(12).await, [1; 5]);
}
