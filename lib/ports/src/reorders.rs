//! The move of the jobs of a line after the priority step of its queue has changed.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use std::fmt;

/// A line whose jobs must move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reorder {
    /// The queue.
    pub queue: QueueName,
    /// The transaction that changed the step. It tells one change from the next one.
    pub since: i64,
    /// Whether a session still sees the old step, and may write a position by it.
    pub is_seen_before: bool,
    /// Every transaction before this one has ended.
    pub running_from: i64,
    /// No transaction from this one on has begun.
    pub begins_from: i64,
}

/// The result of one batch of a move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reordered {
    /// The last job that was read; `None`: no job is left.
    pub last: Option<JobId>,
    /// How many waiting jobs moved.
    pub moved: u64,
    /// Jobs that must move and that other sessions have locked.
    pub locked: Vec<JobId>,
}

/// Gives the jobs of a line the positions that the step of their queue asks for.
#[async_trait]
pub trait Reorders: fmt::Debug + Send + Sync {
    /// The lines whose jobs must move.
    async fn reorders(&self) -> Result<Vec<Reorder>, Error>;

    /// Moves the jobs of a line among the next `limit` jobs of all queues after the job `after`, in the order of ids. `None`:
    /// from the first job on.
    async fn reorder_line(&self, queue: &QueueName, after: Option<JobId>, limit: i64) -> Result<Reordered, Error>;

    /// Moves the jobs among these that must move.
    async fn reorder_jobs(&self, queue: &QueueName, ids: &[JobId]) -> Result<Reordered, Error>;

    /// Notes that every job of a line has its position, unless the step has changed since.
    async fn reorder_done(&self, queue: &QueueName, since: i64) -> Result<(), Error>;
}
