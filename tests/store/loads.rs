//! What queues could run: which jobs are demand, and which are not.

use crate::fixture::{Fixture, LEASE, kind, name, new_job, retry};
use leasehold_core::{FinishedRun, NewJob, QueueName, Settle, WorkerId};
use leasehold_ports::{Claims, Kinds, LoadQuestion, QueueLoad};
use std::time::Duration;

/// Every job of the queue.
pub(crate) fn all_of(queue: &QueueName) -> LoadQuestion {
    LoadQuestion { queue: queue.clone(), kinds: Kinds::All, others_within: None }
}

impl Fixture {
    /// The load of one queue.
    pub(crate) async fn load(&self, question: LoadQuestion, draining: &[WorkerId]) -> QueueLoad {
        let mut loads = self.queue_loads(&[question], draining).await.expect("loads");
        assert_eq!(loads.len(), 1);
        loads.remove(0)
    }

    async fn waiting(&self) -> u64 {
        self.load(all_of(&QueueName::default()), &[]).await.waiting
    }
}

fn jobs(count: usize, of: &str) -> Vec<NewJob> {
    (0..count).map(|_| new_job().with(|job| job.kind = kind(of))).collect()
}

#[tokio::test]
async fn a_queue_without_jobs_has_the_load_zero() {
    let fixture = Fixture::start().await;
    let questions = [all_of(&name("a")), all_of(&name("b"))];
    let loads = fixture.queue_loads(&questions, &[WorkerId::new()]).await.expect("loads");
    assert_eq!(loads, [QueueLoad::default(), QueueLoad::default()]);
    assert_eq!(fixture.queue_loads(&[], &[]).await.expect("loads"), []);
}

#[tokio::test]
async fn jobs_that_cannot_start_are_no_demand() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    fixture.enqueue(&jobs(3, "k")).await.expect("enqueue");
    fixture.enqueue(&jobs(2, "other")).await.expect("enqueue");
    fixture.enqueue(&[new_job().with(|job| job.queue = name("elsewhere"))]).await.expect("enqueue");
    let blocked = fixture.queued().await;
    fixture.block(blocked).await;
    fixture.enqueue(&[new_job().with(|job| job.delay = Some(Duration::from_secs(600)))]).await.expect("enqueue");
    assert_eq!(fixture.waiting().await, 5, "neither blocked nor scheduled jobs count");

    let of_k = LoadQuestion { kinds: Kinds::Only(vec![kind("k")]), ..all_of(&queue) };
    assert_eq!(fixture.load(of_k.clone(), &[]).await.waiting, 3);
    let of_nobody = LoadQuestion { kinds: Kinds::Only(Vec::new()), ..all_of(&queue) };
    assert_eq!(fixture.load(of_nobody, &[]).await.waiting, 0);
    let recent = LoadQuestion { others_within: Some(Duration::from_secs(600)), ..of_k.clone() };
    assert_eq!(fixture.load(recent, &[]).await.waiting, 5, "jobs of other kinds that came lately");
    let none_recent = LoadQuestion { others_within: Some(Duration::ZERO), ..of_k };
    assert_eq!(fixture.load(none_recent, &[]).await.waiting, 3);

    fixture.pause_kind(&queue, &kind("other")).await.expect("pause");
    assert_eq!(fixture.waiting().await, 3);
    fixture.pause(&queue).await.expect("pause");
    assert_eq!(fixture.waiting().await, 0);
    fixture.resume(&queue).await.expect("resume");
    fixture.resume_kind(&queue, &kind("other")).await.expect("resume");
    assert_eq!(fixture.waiting().await, 5);
}

#[tokio::test]
async fn runs_count_apart_from_those_of_draining_workers() {
    let fixture = Fixture::start().await;
    let (works, drains) = (WorkerId::new(), WorkerId::new());
    let (first, _) = (fixture.running(works).await, fixture.running(works).await);
    fixture.running(drains).await;
    let all = || all_of(&QueueName::default());
    let load = fixture.load(all(), &[drains]).await;
    assert_eq!((load.running, load.draining, load.waiting, load.finished), (2, 1, 0, 0));
    assert_eq!(load.oldest_s, None);
    let load = fixture.load(all(), &[]).await;
    assert_eq!((load.running, load.draining), (3, 0));
    let load = fixture.load(all_of(&name("elsewhere")), &[]).await;
    assert_eq!((load.running, load.draining), (0, 0));

    fixture.pause(&QueueName::default()).await.expect("pause");
    assert_eq!(fixture.load(all(), &[]).await.running, 3, "the runs of a paused queue go on");
    fixture.settle_one(first, Settle::Complete(None)).await;
    let load = fixture.load(all(), &[]).await;
    assert_eq!((load.running, load.finished), (2, 1));
}

#[tokio::test]
async fn a_job_that_comes_back_waits_again() {
    let fixture = Fixture::start().await;
    let run = fixture.running(WorkerId::new()).await;
    fixture.settle_one(run, retry()).await;
    fixture.make_scheduled_due().await;
    fixture.promote(10, None).await.expect("promote");
    let load = fixture.load(all_of(&QueueName::default()), &[]).await;
    assert_eq!((load.running, load.waiting), (0, 1));
    assert!(load.oldest_s.is_some_and(|oldest| oldest >= 0.0), "{load:?}");
}

#[tokio::test]
async fn jobs_of_a_limit_key_count_as_far_as_the_key_has_room() {
    let fixture = Fixture::start().await;
    fixture.set_running_limit("a", 3).await;
    let keyed = |key: &str| new_job().with(|job| job.limit_keys = vec![key.to_owned()]);
    let of_a: Vec<NewJob> = (0..8).map(|_| keyed("a")).collect();
    fixture.enqueue(&of_a).await.expect("enqueue");
    fixture.enqueue(&jobs(2, "k")).await.expect("enqueue");
    let free: Vec<NewJob> = (0..4).map(|_| keyed("free")).collect();
    fixture.enqueue(&free).await.expect("enqueue");
    let worker = WorkerId::new();
    let count = |load: &QueueLoad, key: &str| {
        let of_key = load.limited.iter().filter(|of| of.keys == [key]).map(|of| of.waiting).sum::<u64>();
        of_key.min(load.rooms.get(key).copied().unwrap_or(u64::MAX))
    };
    let load = fixture.load(all_of(&QueueName::default()), &[]).await;
    assert_eq!((load.waiting, count(&load, "a"), count(&load, "free")), (2, 3, 4), "{load:?}");
    assert_eq!(load.rooms.get("free"), None, "a key without a limit");

    let runs = Claims::claim_line(&*fixture, worker, &QueueName::default(), &Kinds::All, 20, LEASE, true).await;
    let runs = runs.expect("claim");
    assert_eq!(runs.len(), 9, "three of a, and all others");
    let load = fixture.load(all_of(&QueueName::default()), &[]).await;
    assert_eq!((load.waiting, count(&load, "a"), load.running), (0, 0, 9), "{load:?}");

    let ends: Vec<FinishedRun> =
        runs.iter().map(|run| FinishedRun { fence: run.fence, settle: Settle::Complete(None) }).collect();
    fixture.settle(worker, &ends).await.expect("settle");
    let load = fixture.load(all_of(&QueueName::default()), &[]).await;
    assert_eq!((load.waiting, count(&load, "a"), load.running), (0, 3, 0), "{load:?}");
    fixture.set_running_limit("a", 0).await;
    let load = fixture.load(all_of(&QueueName::default()), &[]).await;
    assert_eq!(count(&load, "a"), 0, "{load:?}");
}
