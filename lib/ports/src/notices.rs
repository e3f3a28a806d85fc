//! Messages to workers and reapers. They only make the fleet faster: PostgreSQL contains everything that a notice says.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{Epoch, JobId, Kind, QueueName, WorkerId};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use tokio::sync::mpsc;

/// A message to workers, or to reapers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A cancel of this run is wanted.
    Cancel {
        /// The job.
        id: JobId,
        /// The epoch of the run.
        epoch: Epoch,
        /// The worker that runs the job.
        worker: WorkerId,
    },
    /// A job was scheduled that is due soon. Reapers receive it, so that a job that becomes due before their next tick is not
    /// late.
    Due {
        /// The time until the job is due, in ms.
        in_ms: u64,
    },
    /// A client waits for jobs. For [`AWAITED_FOR`] the workers publish the ids of ended jobs; see
    /// [`TellEnds`](crate::TellEnds).
    Awaited,
    /// A worker that has no handler for this kind has set hints aside.
    Aside {
        /// The queue of the hints.
        queue: QueueName,
        /// The kind of the hints.
        kind: Kind,
    },
}

/// How long workers publish ends after the last notice that a client waits. Clients say again that they wait in a third of this
/// time.
pub const AWAITED_FOR: Duration = Duration::from_secs(30);

/// Only a job that is due within this time needs a [`Notice::Due`]: reapers find later jobs in time.
pub const DUE_SOON: Duration = Duration::from_secs(1);

impl Notice {
    /// The notice of a job that is due after this time, if one is needed.
    #[must_use]
    pub fn due(after: Duration) -> Option<Self> {
        let in_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        (after <= DUE_SOON).then_some(Self::Due { in_ms })
    }
}

/// Receives notices.
pub trait HearNotices: fmt::Debug + Send + Sync {
    /// Listens until the receiver is dropped. Notices that are sent while the connection is down are lost.
    fn listen(&self) -> mpsc::Receiver<Notice>;
}

/// Sends notices.
#[async_trait]
pub trait SendNotices: fmt::Debug + Send + Sync {
    /// Sends notices to all workers and reapers that listen.
    async fn notify(&self, notices: &[Notice]) -> Result<(), Error>;
}
