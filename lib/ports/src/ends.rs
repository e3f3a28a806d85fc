//! Messages to clients that wait for jobs: these jobs have ended. They only make waits end sooner: a client that gets no
//! message finds the end in PostgreSQL.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::JobId;
use std::fmt;
use tokio::sync::mpsc;

/// Hears which jobs have ended.
pub trait HearEnds: fmt::Debug + Send + Sync {
    /// Listens until the receiver is dropped. Messages that are sent while the connection is down are lost.
    fn listen_to_ends(&self) -> mpsc::Receiver<Vec<JobId>>;
}

/// Tells which jobs have ended.
#[async_trait]
pub trait TellEnds: fmt::Debug + Send + Sync {
    /// Tells all clients that listen.
    async fn tell_ends(&self, ids: &[JobId]) -> Result<(), Error>;
}
