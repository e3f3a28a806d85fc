//! What only an operator's tool asks: checks of all rows, and how Redis as a whole is doing.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use serde::Serialize;
use std::fmt;

/// One broken invariant found in the rows.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The name of the check.
    pub check: String,
    /// The job, if it is about one.
    pub id: Option<JobId>,
    /// What was found.
    pub detail: String,
}

/// Checks the rows. Changes nothing.
#[async_trait]
pub trait FindViolations: fmt::Debug + Send + Sync {
    /// The names of the checks that [`FindViolations::violations`] makes.
    fn checks(&self) -> &'static [&'static str];

    /// Every broken invariant that the store finds in its own rows.
    async fn violations(&self) -> Result<Vec<Violation>, Error>;
}

/// Looks at the head as a whole. Changes nothing.
#[async_trait]
pub trait InspectHead: fmt::Debug + Send + Sync {
    /// Every queue that has keys.
    async fn queues(&self) -> Result<Vec<QueueName>, Error>;

    /// Whether the contents of the head have a name.
    async fn has_generation(&self) -> Result<bool, Error>;

    /// How many reapers live.
    async fn reapers(&self) -> Result<usize, Error>;

    /// What Redis does when its memory is full; `None` if it does not tell this user.
    async fn eviction_policy(&self) -> Result<Option<String>, Error>;
}
