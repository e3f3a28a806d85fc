//! Shortcuts for the start of most tests, and the cases that every settle must pass. The same code runs on PostgreSQL
//! and in memory; `subject` contains the differences.

pub(crate) use crate::subject::Fixture;
use leasehold_core::{
    ClaimedJob, Fence, FinishedRun, JobId, JobRecord, Kind, NewJob, QueueName, Settle, Settled, WorkerId,
};
use leasehold_ports::{Claims, Error, Kinds, Line};
use serde_json::value::RawValue;
use std::{future::Future, time::Duration};

/// Long enough that no lease ends during a test.
pub(crate) const LEASE: Duration = Duration::from_secs(600);

pub(crate) fn name(text: &str) -> QueueName {
    text.parse().expect("a name")
}

pub(crate) fn kind(text: &str) -> Kind {
    text.parse().expect("a name")
}

pub(crate) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

/// A job of the kind `k` in the default queue.
pub(crate) fn new_job() -> NewJob {
    NewJob::new(kind("k"), json(r#"{"n":1}"#))
}

/// The settle of a failed handler, without a delay.
pub(crate) fn retry() -> Settle {
    Settle::Retry { delay: Duration::ZERO, error: "it failed".into() }
}

/// Runs calls concurrently: all start before the first one ends. The results are in order.
pub(crate) async fn concurrently<T, Call: Future<Output = T>>(calls: impl IntoIterator<Item = Call>) -> Vec<T> {
    futures_util::future::join_all(calls).await
}

/// A settle with a stale fence (an older epoch, another worker, an unknown job) is refused and changes nothing.
pub(crate) async fn refuses_stale_fences(settle: Settle) {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let first = fixture.running(worker).await;
    assert_eq!(fixture.settle_one(first, Settle::Release).await, Settled::Done);
    let current = fixture.claim_one(worker, first.id).await.fence;
    let before = fixture.record(first.id).await;
    for stale in [
        first,
        Fence { worker: WorkerId::new(), ..current },
        Fence { epoch: current.epoch + 1, ..current },
        Fence { id: JobId::new(), ..current },
    ] {
        let answer = fixture.settle_one(stale, settle.clone()).await;
        // The very first run was released, so a repeated release gets the same answer again.
        let again = matches!(settle, Settle::Release) && stale == first;
        assert_eq!(answer, if again { Settled::Already } else { Settled::LeaseLost }, "{stale:?}");
        let other = [FinishedRun { fence: stale, settle: settle.clone() }];
        assert_eq!(fixture.settle(WorkerId::new(), &other).await.expect("settle"), [Settled::LeaseLost]);
    }
    assert_eq!(format!("{before:?}"), format!("{:?}", fixture.record(first.id).await));
}

/// A settle is refused and changes nothing after another process has put the job back into the line or has ended it.
pub(crate) async fn refuses_jobs_not_running(settle: Settle) {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    fixture.end_lease(fence.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 1);
    for look in ["queued", "cancelled"] {
        let before = fixture.record(fence.id).await;
        assert_eq!(before.state.as_str(), look);
        assert_eq!(fixture.settle_one(fence, settle.clone()).await, Settled::LeaseLost);
        assert_eq!(format!("{before:?}"), format!("{:?}", fixture.record(fence.id).await));
        fixture.cancel(&[fence.id]).await.expect("cancel");
    }
}

/// The same run sends its settle several times, in sequence and concurrently: one answer is `Done`, the others are
/// `Already`, and there is one change.
pub(crate) async fn is_written_once(settle: Settle, wanted: impl AsyncFn(&Fixture, Fence)) {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    wanted(&fixture, fence).await;
    // Under load, one settle may find the row locked by another one. A worker then sends that settle again.
    let until_decided = async || loop {
        match fixture.settle_one(fence, settle.clone()).await {
            Settled::Locked => {}
            answer => return answer,
        }
    };
    let mut answers = concurrently((0..8).map(|_| until_decided())).await;
    answers.push(fixture.settle_one(fence, settle.clone()).await);
    assert_eq!(answers.iter().filter(|&&answer| answer == Settled::Done).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|&&answer| answer == Settled::Already).count(), 8, "{answers:?}");
    let (live, finished) = fixture.rows_of(fence.id).await;
    assert_eq!(live + finished, 1);
}

/// The error as a caller has it that knows no driver.
pub(crate) fn neutral(error: impl Into<Error>) -> Error {
    error.into()
}

/// For [`is_written_once`]: a run without a request for a cancel.
pub(crate) async fn as_it_is(_: &Fixture, _: Fence) {}

impl Fixture {
    /// The front of a line, from its scan start.
    pub(crate) async fn front(&self, queue: &QueueName, kinds: &Kinds, limit: i64) -> Result<Line, Error> {
        leasehold_tests::front(&**self, queue, kinds, limit).await
    }

    /// Enqueues a job into the line.
    pub(crate) async fn queued(&self) -> JobId {
        let job = new_job();
        let answer = self.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        assert!(answer[0].inserted);
        job.id
    }

    /// Enqueues a job that `worker` then claims.
    pub(crate) async fn running(&self, worker: WorkerId) -> Fence {
        let id = self.queued().await;
        self.claim_one(worker, id).await.fence
    }

    /// Claims jobs of the default queue.
    pub(crate) async fn claim(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        Claims::claim(&**self, worker, &QueueName::default(), ids, kinds, lease).await
    }

    /// Claims jobs of the default queue that were refused before.
    pub(crate) async fn claim_careful(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        Claims::claim_careful(&**self, worker, &QueueName::default(), ids, kinds, limit, lease).await
    }

    /// Claims a job that is known to be queued.
    pub(crate) async fn claim_one(&self, worker: WorkerId, id: JobId) -> ClaimedJob {
        let queue = name(&self.record(id).await.queue);
        let mut claimed = Claims::claim(&**self, worker, &queue, &[id], &Kinds::All, LEASE).await.expect("claim");
        assert_eq!(claimed.len(), 1, "job {id} must be claimable");
        claimed.remove(0)
    }

    /// Settles one run.
    pub(crate) async fn settle_one(&self, fence: Fence, settle: Settle) -> Settled {
        let runs = [FinishedRun { fence, settle }];
        self.settle(fence.worker, &runs).await.expect("settle")[0]
    }

    /// The record of a job that exists.
    pub(crate) async fn record(&self, id: JobId) -> JobRecord {
        self.job(id).await.expect("job").expect("the job exists")
    }
}
