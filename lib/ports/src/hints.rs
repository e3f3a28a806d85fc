//! Hints: how a worker takes them, and who keeps or gives back their leases.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, QueueName};
use std::{fmt, sync::Arc, time::Duration};

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Hints, now leased in Redis. Nothing more than hints: PostgreSQL decides.
    pub ids: Vec<JobId>,
    /// Kinds that still have hints aside. A worker that serves every kind takes these next.
    pub aside: Vec<Kind>,
    /// The head is below half of its bound and the line is longer: time for a fill.
    pub low: bool,
    /// The queue is paused.
    pub paused: bool,
}

/// A connection that blocks, for a hint or for the bell.
#[async_trait]
pub trait BlockingTake: fmt::Debug + Send + Sync {
    /// Waits up to `timeout` for a hint and moves it to `claimed`. To be driven to its end.
    async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error>;

    /// Waits up to `timeout` for the bell: whether it rang. To be driven to its end.
    async fn bell(&mut self, timeout: Duration) -> Result<bool, Error>;

    /// The means to wake it.
    fn unblock(&self) -> Arc<dyn WakeTake>;
}

/// Wakes a blocking take.
#[async_trait]
pub trait WakeTake: fmt::Debug + Send + Sync {
    /// Ends the wait that is under way, or the next one.
    async fn wake(&self) -> Result<(), Error>;
}

/// Takes hints.
#[async_trait]
pub trait TakeHints: fmt::Debug + Send + Sync {
    /// Waits for hints on a connection of its own.
    async fn taker(&self, queue: &QueueName) -> Result<Box<dyn BlockingTake>, Error>;

    /// Leases `adopt` (which a blocking take moved to `claimed`) and up to `limit` more hints, those aside for `kinds` first.
    /// An id of `adopt` that somebody else has taken over meanwhile is not in the answer.
    async fn take(
        &self,
        queue: &QueueName,
        adopt: &[JobId],
        kinds: &[Kind],
        limit: u32,
        lease: Duration,
    ) -> Result<Taken, Error>;

    /// Keeps the leases of parked hints.
    async fn hold(&self, queue: &QueueName, ids: &[JobId], lease: Duration) -> Result<(), Error>;

    /// Keeps leased hints for workers of another kind.
    async fn set_aside(&self, queue: &QueueName, kind: &Kind, ids: &[JobId]) -> Result<(), Error>;
}

/// Leases of hints.
#[async_trait]
pub trait HintLeases: fmt::Debug + Send + Sync {
    /// Sets the leases of running jobs, whether the head knew of them or not.
    async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> Result<(), Error>;

    /// Forgets hints whose jobs are no longer in the line.
    async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> Result<(), Error>;

    /// Gives hints back to the front.
    async fn release(&self, queue: &QueueName, ids: &[JobId]) -> Result<(), Error>;

    /// Forgets members, wherever they are, byte for byte.
    async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> Result<(), Error>;
}
