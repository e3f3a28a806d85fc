//! Messages to workers. They only make the fleet faster: PostgreSQL contains everything that a notice says.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{Epoch, JobId, Kind, QueueName, WorkerId};
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::sync::mpsc;

/// A message to workers.
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
    /// A worker that has no handler for this kind has set hints aside.
    Aside {
        /// The queue of the hints.
        queue: QueueName,
        /// The kind of the hints.
        kind: Kind,
    },
}

/// Receives notices.
pub trait HearNotices: fmt::Debug + Send + Sync {
    /// Listens until the receiver is dropped. Notices that are sent while the connection is down are lost.
    fn listen(&self) -> mpsc::Receiver<Notice>;
}

/// Sends notices.
#[async_trait]
pub trait SendNotices: fmt::Debug + Send + Sync {
    /// Sends notices to all workers that listen.
    async fn notify(&self, notices: &[Notice]) -> Result<(), Error>;
}
