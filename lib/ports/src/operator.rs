//! The calls of an operator's tool: checks of all rows, and the condition of Redis as a whole.

use crate::{error::Error, jobs::RowLocker, schedules::DueSchedules};
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use serde::Serialize;
use std::fmt;

/// A broken invariant, found in the rows.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The name of the check.
    pub check: String,
    /// The job, if the violation is about one job.
    pub id: Option<JobId>,
    /// What was found.
    pub detail: String,
}

/// Checks the rows. Changes nothing.
#[async_trait]
pub trait FindViolations: fmt::Debug + Send + Sync {
    /// The names of the checks of [`FindViolations::violations`].
    fn checks(&self) -> &'static [&'static str];

    /// Every broken invariant that the store finds in its rows.
    async fn violations(&self) -> Result<Vec<Violation>, Error>;

    /// The sessions that have locked the rows of these jobs for a while, each with the job.
    async fn lockers(&self, ids: &[JobId]) -> Result<Vec<(JobId, RowLocker)>, Error>;

    /// The schedules whose next tick is in the future; `None`: there is no such schedule.
    async fn schedules_ahead(&self) -> Result<Option<DueSchedules>, Error>;
}

/// Inspects the head as a whole. Changes nothing.
#[async_trait]
pub trait InspectHead: fmt::Debug + Send + Sync {
    /// Every queue that has keys.
    async fn queues(&self) -> Result<Vec<QueueName>, Error>;

    /// Whether the head has a generation: a name of its contents.
    async fn has_generation(&self) -> Result<bool, Error>;

    /// The number of live reapers.
    async fn reapers(&self) -> Result<usize, Error>;

    /// What Redis does when its memory is full; `None` if this user may not ask.
    async fn eviction_policy(&self) -> Result<Option<String>, Error>;
}
