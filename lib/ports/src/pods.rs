//! The pods of workers, as the API server of Kubernetes shows them, and the election of the one reaper that writes about them.

use crate::error::Error;
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The name, which is the host name in its containers.
    pub name: String,
    /// Its deletion cost. `None`: it has none, which counts as 0. `Some(None)`: it has one that is no number.
    pub cost: Option<Option<i32>>,
    /// The pod is being deleted.
    pub is_ending: bool,
}

/// The result of writing a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostWritten {
    /// The pod has it.
    Written,
    /// The pod no longer exists.
    Gone,
    /// Somebody else changed the pod at the same time.
    Conflict,
}

/// A request to the API server of Kubernetes failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PodsError {
    /// Why.
    pub reason: String,
    /// For how long the API server wants no request.
    pub retry_after: Option<Duration>,
    /// The API server refuses because it has too many requests: it would refuse the requests of every process.
    pub is_throttled: bool,
}

/// The pods of workers.
#[async_trait]
pub trait Pods: fmt::Debug + Send + Sync {
    /// The pods.
    async fn pods(&self) -> Result<Vec<Pod>, PodsError>;

    /// Writes the deletion cost of a pod.
    async fn write_cost(&self, pod: &str, cost: i32) -> Result<CostWritten, PodsError>;
}

/// The election of one process among all of a fleet.
#[async_trait]
pub trait Election: fmt::Debug + Send + Sync {
    /// Stands for election, or stays elected: whether this process is elected now. A process that was elected and does not ask
    /// for [`ELECTED_FOR`] may have been replaced.
    async fn stand(&self) -> Result<bool, Error>;

    /// Steps back, so that another process is elected.
    async fn resign(&self);
}

/// For how long an elected process stays elected without a message.
pub const ELECTED_FOR: Duration = Duration::from_secs(30);
