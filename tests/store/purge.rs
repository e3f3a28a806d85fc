//! purge: cancels everything that waits in a queue.

use crate::fixture::{Fixture, LEASE, name, new_job};
use leasehold_core::{JobId, NewJob, State, WorkerId};
use leasehold_ports::Kinds;
use std::{collections::HashSet, time::Duration};

#[tokio::test]
async fn cancels_waiting_jobs_of_the_queue_up_to_the_limit() {
    let fixture = Fixture::start().await;
    let running = fixture.running(WorkerId::new()).await;
    let (queued, blocked) = (fixture.queued().await, fixture.queued().await);
    fixture.block(blocked).await;
    let scheduled = NewJob { delay: Some(Duration::from_secs(60)), ..new_job() };
    let elsewhere = NewJob { queue: name("elsewhere"), ..new_job() };
    fixture.enqueue(&[scheduled.clone(), elsewhere.clone()]).await.expect("enqueue");
    let purge = async |limit| fixture.purge(&name("default"), limit).await.expect("purge");
    assert_eq!(purge(1).await, [queued]);
    let rest: HashSet<JobId> = purge(10).await.into_iter().collect();
    assert_eq!(rest, [blocked, scheduled.id].into());
    assert_eq!(purge(10).await, []);
    assert_eq!(fixture.record(queued).await.state, State::Cancelled);
    assert_eq!(fixture.record(running.id).await.state, State::Running);
    assert_eq!(fixture.record(elsewhere.id).await.state, State::Queued);
}

#[tokio::test]
async fn purge_against_claims_and_purges_has_one_winner_for_each_job() {
    let fixture = Fixture::start().await;
    for _ in 0..20 {
        let jobs: Vec<NewJob> = (0..50).map(|_| new_job()).collect();
        fixture.enqueue(&jobs).await.expect("enqueue");
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let claim = async || {
            let claimed = fixture.claim(WorkerId::new(), &ids[..25], &Kinds::All, LEASE).await.expect("claim");
            claimed.into_iter().map(|job| job.fence.id).collect::<Vec<_>>()
        };
        let queue = name("default");
        let purge = async || fixture.purge(&queue, 50).await.expect("purge");
        let (first, second, third) = tokio::join!(purge(), claim(), purge());
        let mut all = [first, second, third].concat();
        all.extend(purge().await);
        assert_eq!(all.len(), 50);
        assert_eq!(all.into_iter().collect::<HashSet<_>>(), ids.into_iter().collect::<HashSet<_>>());
    }
}
