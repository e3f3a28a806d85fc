//! prepare: warms up the connections of a worker before its first jobs.

use crate::{connect::Store, error::Error};
use leasehold_core::{QueueName, WorkerId};
use leasehold_ports::Kinds;
use std::time::Duration;
use uuid::Uuid;

impl Store {
    /// Opens the two connections of a busy worker (it claims and settles at the same time) and plans its statements on
    /// them. Changes nothing.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn prepare(&self) -> Result<(), Error> {
        let nobody = WorkerId(Uuid::nil());
        let queue = QueueName::default();
        tokio::try_join!(self.claim(nobody, &queue, &[], &Kinds::All, Duration::ZERO), self.complete_none(nobody))?;
        Ok(())
    }
}
