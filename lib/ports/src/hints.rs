//! Hints: how a worker takes them, and how their leases are renewed or given back.

use crate::{error::Error, hint::Hint};
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, QueueName};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Duration};

/// The result of a take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Hints, now leased in Redis. They grant nothing: PostgreSQL decides.
    pub ids: Vec<JobId>,
    /// Kinds that still have hints aside. A worker that serves every kind takes these hints next.
    pub aside: Vec<Kind>,
    /// The head is below half of its maximum and the line is longer: a fill is needed.
    pub low: bool,
    /// The queue is paused.
    pub paused: bool,
}

/// A connection for a blocking wait, for a hint or for the bell.
#[async_trait]
pub trait BlockingTake: fmt::Debug + Send + Sync {
    /// Waits up to `timeout` for a hint and moves it to `claimed`. The future must be polled to its end.
    async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error>;

    /// Waits up to `timeout` for the bell. Returns whether it rang. The future must be polled to its end.
    async fn bell(&mut self, timeout: Duration) -> Result<bool, Error>;

    /// Waits up to `timeout` for the bell of any of these queues. Returns the queue whose bell rang. The future must be polled to
    /// its end.
    async fn any_bell(&mut self, queues: &[QueueName], timeout: Duration) -> Result<Option<QueueName>, Error>;

    /// A handle that ends the wait.
    fn unblock(&self) -> Arc<dyn WakeTake>;
}

/// Ends a blocking wait.
#[async_trait]
pub trait WakeTake: fmt::Debug + Send + Sync {
    /// Ends the current wait, or the next one.
    async fn wake(&self) -> Result<(), Error>;
}

/// Takes hints.
#[async_trait]
pub trait TakeHints: fmt::Debug + Send + Sync {
    /// A separate connection for blocking waits.
    async fn taker(&self, queue: &QueueName) -> Result<Box<dyn BlockingTake>, Error>;

    /// The queues among these that have waiting hints, or hints set aside.
    async fn with_hints(&self, queues: &[QueueName]) -> Result<Vec<QueueName>, Error>;

    /// Leases `adopt` (hints that a blocking take moved to `claimed`) and up to `limit` more hints. Hints aside for
    /// `kinds` come first. An id of `adopt` that another process has taken over is not in the answer.
    async fn take(
        &self,
        queue: &QueueName,
        adopt: &[JobId],
        kinds: &[Kind],
        limit: u32,
        lease: Duration,
    ) -> Result<Taken, Error>;

    /// Renews the leases of parked hints.
    async fn hold(&self, queue: &QueueName, ids: &[JobId], lease: Duration) -> Result<(), Error>;

    /// Sets leased hints aside for workers that serve their kind.
    async fn set_aside(&self, queue: &QueueName, kind: &Kind, hints: &[Hint]) -> Result<(), Error>;
}

/// Leases of hints.
#[async_trait]
pub trait HintLeases: fmt::Debug + Send + Sync {
    /// Sets the leases of running jobs, even if the head did not know the jobs.
    async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> Result<(), Error>;

    /// Deletes hints whose jobs are no longer in the line.
    async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> Result<(), Error>;

    /// Returns hints to the head, each to its position.
    async fn release(&self, queue: &QueueName, hints: &[Hint]) -> Result<(), Error>;

    /// Deletes members from all keys, byte for byte.
    async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> Result<(), Error>;
}

/// The state of a job's hint in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HintPlace {
    /// No hint: the job is behind the head of its line, or its hint was not pushed yet.
    Absent,
    /// The hint waits for a worker.
    Waiting,
    /// A worker has taken the hint.
    Leased,
}

/// Finds one hint, for people who ask about a job.
#[async_trait]
pub trait FindHints: fmt::Debug + Send + Sync {
    /// The state of this job's hint in the head.
    async fn find_hint(&self, queue: &QueueName, id: JobId) -> Result<HintPlace, Error>;
}
