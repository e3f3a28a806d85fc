//! Children of ended jobs that the end of their parent could not tell.

use crate::world::{World, new_job, report};
use leasehold_core::{JobId, NewJob, State};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_wide_cancel_and_a_wide_success_are_finished_by_the_reaper() {
    let world = World::with_head_max(4096).await;
    let mut reaper = world.reaper().await;
    let parents = world.enqueue_these(&[new_job(), new_job()]).await;
    let children = async |parent: JobId| {
        let jobs: Vec<NewJob> = (0..2500).map(|_| NewJob { depends_on: vec![parent], ..new_job() }).collect();
        world.store.enqueue_graph(&jobs).await.expect("enqueue");
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let (cancelled, unblocked) = (children(parents[0]).await, children(parents[1]).await);
    world.store.cancel(&parents[..1]).await.expect("cancel");
    let mut ticks = 0;
    while world.store.uptime().await.expect("uptime").has_ended_parents {
        reaper.tick().await;
        ticks += 1;
        assert!(ticks < 20, "each tick cancels more of the children");
    }
    assert!(ticks > 1, "one transaction must not cancel all of them");
    for id in [cancelled[0], cancelled[2499]] {
        assert_eq!(world.state(id).await, State::Cancelled);
    }

    world.sql(format!("UPDATE leasehold.edge SET on_parent_failure = 'run' WHERE parent = '{}'", parents[1])).await;
    world.store.cancel(&parents[1..]).await.expect("cancel");
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "children").changed, 500, "the cancel itself unblocked 2,000: {reports:?}");
    assert_eq!(world.state(unblocked[2499]).await, State::Queued);
    reaper.tick().await;
    let ready: BTreeSet<JobId> = world.snapshot().await.ready.into_iter().collect();
    assert!(unblocked.iter().all(|id| ready.contains(id)), "every child in the line has a hint");
    let reports = reaper.tick().await;
    assert!(reports.iter().all(|report| report.step != "children"), "no parent is left: {reports:?}");
}
