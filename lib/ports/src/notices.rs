//! Messages to workers. They only make things quicker: whatever a notice says is in PostgreSQL too.

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
        /// Its run.
        epoch: Epoch,
        /// Who runs it.
        worker: WorkerId,
    },
    /// Hints of this kind were set aside by a worker that has no handler for it.
    Aside {
        /// Where.
        queue: QueueName,
        /// Which.
        kind: Kind,
    },
}

/// Hears messages.
pub trait HearNotices: fmt::Debug + Send + Sync {
    /// Listens until the receiver is dropped. Messages that are sent while the connection is down are lost.
    fn listen(&self) -> mpsc::Receiver<Notice>;
}

/// Sends messages.
#[async_trait]
pub trait SendNotices: fmt::Debug + Send + Sync {
    /// Tells all workers that listen.
    async fn notify(&self, notices: &[Notice]) -> Result<(), Error>;
}
