//! Drift is counted under its name, and the repair of a job is in the trail of the job. The normal flow of a line into its head
//! does neither.

use crate::world::{HEAD_MAX, World, queue, report};
use leasehold_core::{FinishedRun, JobId, Settle, WorkerId};
use leasehold_handoff::Handoff;
use leasehold_reaper::{Drift, Drifted, HANDOFF_LEASE, Reaper, StepReport, repair};
use std::collections::BTreeMap;

const ONE: Drifted = Drifted { found: 1, repaired: 1 };

/// The drift that all steps of a tick have found and repaired.
fn drift(reports: &[StepReport]) -> BTreeMap<Drift, Drifted> {
    let mut all = BTreeMap::<Drift, Drifted>::new();
    for (kind, drifted) in reports.iter().flat_map(|report| &report.drift) {
        *all.entry(*kind).or_default() += *drifted;
    }
    all
}

fn only(kind: Drift, drifted: Drifted) -> BTreeMap<Drift, Drifted> {
    BTreeMap::from([(kind, drifted)])
}

impl World {
    async fn lose_hint(&self, id: JobId) {
        self.by_hand("LREM", &[self.key("ready"), "0".to_owned(), id.to_string()]).await;
        self.by_hand("ZREM", &[self.key("leases"), id.to_string()]).await;
    }

    /// The notes in the trail of a job.
    async fn notes(&self, id: JobId) -> Vec<String> {
        let job = self.store.job(id).await.expect("job").expect("the job exists");
        let repairs = job.trail.into_iter().filter(|entry| entry.verb == "repair");
        repairs.map(|entry| entry.note.unwrap_or_default()).collect()
    }

    async fn all_notes(&self) -> i64 {
        self.number("SELECT count(*) FROM leasehold.jobs WHERE trail @> '[{\"verb\":\"repair\"}]'").await
    }
}

/// Jobs whose hints wait, and a reaper that knows these hints.
async fn at_rest(jobs: usize) -> (World, Reaper, Vec<JobId>) {
    let world = World::start().await;
    let ids = world.enqueue_and_push(jobs).await;
    let mut reaper = world.reaper().await;
    assert_eq!(drift(&reaper.tick().await), BTreeMap::new());
    (world, reaper, ids)
}

#[tokio::test]
async fn a_lost_hint_is_pushed_again_and_its_job_says_so() {
    let (world, mut reaper, ids) = at_rest(3).await;
    world.lose_hint(ids[1]).await;
    let reports = reaper.tick().await;
    assert_eq!(drift(&reports), only(Drift::HintMissing, ONE));
    assert_eq!(report(&reports, "head").changed, 1, "{reports:?}");
    assert_eq!(world.snapshot().await.ready, ids);
    assert_eq!(world.notes(ids[1]).await, ["hint_missing: pushed again, by a reaper"]);
    assert_eq!(world.all_notes().await, 1);
    assert_eq!(drift(&reaper.tick().await), BTreeMap::new(), "a second tick must find nothing");
    assert_eq!(reaper.watch().totals().drift, only(Drift::HintMissing, ONE));
}

#[tokio::test]
async fn a_hint_that_is_in_the_set_and_in_no_list_is_pushed_again() {
    let (world, mut reaper, ids) = at_rest(3).await;
    world.by_hand("LREM", &[world.key("ready"), "0".to_owned(), ids[2].to_string()]).await;
    let drift = drift(&reaper.tick().await);
    assert_eq!(drift, BTreeMap::from([(Drift::HintMissing, ONE), (Drift::ListsDisagree, ONE)]));
    assert_eq!(world.notes(ids[2]).await, ["hint_missing: pushed again, by a reaper"]);
    assert_eq!(world.snapshot().await.ready, ids);
}

#[tokio::test]
async fn the_flow_of_a_long_line_is_no_drift() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let worker = WorkerId::new();
    world.enqueue(HEAD_MAX as usize * 4).await;
    let mut done = 0;
    while done < HEAD_MAX as usize * 4 {
        assert_eq!(drift(&reaper.tick().await), BTreeMap::new());
        done += world.work(worker, HEAD_MAX / 2).await;
        // Plain SQL and clients enqueue between two ticks.
        if done < HEAD_MAX as usize {
            world.enqueue(5).await;
            world.enqueue_and_push(5).await;
        }
    }
    assert_eq!(world.all_notes().await, 0);
}

#[tokio::test]
async fn a_job_that_ran_since_the_last_fill_has_lost_no_hint() {
    let (world, mut reaper, ids) = at_rest(3).await;
    let worker = WorkerId::new();
    let run = world.take(worker, 1).await.remove(0);
    // The worker releases the job and dies before it tells Redis. Then Redis loses the lease.
    world.store.settle(worker, &[FinishedRun { fence: run.fence, settle: Settle::Release }]).await.expect("settle");
    world.handoff.ack(&[(queue(), vec![run.fence.id])]).await.expect("ack");
    assert_eq!(drift(&reaper.tick().await), BTreeMap::new());
    assert_eq!(world.snapshot().await.ready.len(), 3, "the job must be in the head");
    assert_eq!(world.notes(ids[0]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_redis_that_was_lost_is_one_event_and_writes_nothing_into_rows() {
    let (world, mut reaper, _) = at_rest(HEAD_MAX as usize).await;
    world.take(WorkerId::new(), 5).await;
    reaper.tick().await;
    world.by_hand("FLUSHALL", &[]).await;
    assert_eq!(drift(&reaper.tick().await), only(Drift::RedisLost, ONE));
    // The sweep repairs the leases of runs at its second look. Then there is nothing left to repair.
    let leases = Drifted { found: 5, repaired: 5 };
    assert_eq!(drift(&reaper.tick().await), only(Drift::LeaseMissing, leases));
    assert_eq!(drift(&reaper.tick().await), BTreeMap::new());
    assert_eq!(world.all_notes().await, 0);
    assert_eq!(reaper.watch().totals().redis_losses, 1);
}

#[tokio::test]
async fn more_lost_hints_than_can_be_noted_are_counted() {
    let world = World::with_head_max(4096).await;
    let ids = world.enqueue_and_push(300).await;
    let mut reaper = world.reaper().await;
    world.by_hand("DEL", &[world.key("ready"), world.key("leases")]).await;
    let all = Drifted { found: 300, repaired: 300 };
    assert_eq!(drift(&reaper.tick().await), only(Drift::HintMissing, all));
    assert_eq!((world.all_notes().await, world.snapshot().await.ready.len()), (0, ids.len()));
}

#[tokio::test]
async fn a_hint_whose_worker_died_before_its_claim_is_given_back() {
    let (world, mut reaper, ids) = at_rest(2).await;
    world.handoff.take(&queue(), &[], &[], 1, HANDOFF_LEASE).await.expect("take");
    world.let_hints_lapse().await;
    let reports = reaper.tick().await;
    assert_eq!(report(&reports, "leases").drift, only(Drift::LeaseInLine, ONE));
    assert_eq!(world.notes(ids[0]).await, ["lease_in_line: given back, by a reaper"]);
    assert_eq!(world.snapshot().await.ready, ids);
}

#[tokio::test]
async fn a_run_that_redis_does_not_know_is_leased_again() {
    let (world, mut reaper, ids) = at_rest(1).await;
    world.take(WorkerId::new(), 1).await;
    world.let_hints_lapse().await;
    assert_eq!(report(&reaper.tick().await, "leases").drift, only(Drift::LeaseMissing, ONE));
    assert_eq!(world.notes(ids[0]).await, ["lease_missing: leased again, by a reaper"]);
}

#[tokio::test]
async fn doctor_signs_its_repairs() {
    let (world, _, ids) = at_rest(3).await;
    world.lose_hint(ids[0]).await;
    world.by_hand("HSET", &[world.key("flags"), "paused".to_owned(), "1".to_owned()]).await;
    // The first repair ends the wrong pause. The hints of the queue can be compared only after that.
    let settings = world.settings();
    let repaired = repair(&world.store, &world.handoff, settings.clone()).await.expect("repair");
    assert_eq!(repaired.get(&Drift::PauseFlag), Some(&ONE), "{repaired:?}");
    world.lose_hint(ids[1]).await;
    let repaired = repair(&world.store, &world.handoff, settings).await.expect("repair");
    assert_eq!(repaired, only(Drift::HintMissing, ONE));
    assert_eq!(world.notes(ids[1]).await, ["hint_missing: pushed again, by doctor"]);
    let handoff: &Handoff = &world.handoff;
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready.len(), 3);
}
