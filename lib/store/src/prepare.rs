//! prepare: what the first jobs of a worker would wait for, done before there are any.

use crate::{connect::Store, error::Error};
use leasehold_core::WorkerId;
use leasehold_ports::Kinds;
use std::time::Duration;
use uuid::Uuid;

impl Store {
    /// Has the connections of a busy worker made, and its statements planned on them: two, since it claims and settles at the
    /// same time. Changes nothing.
    ///
    /// # Errors
    /// That a statement failed.
    pub async fn prepare(&self) -> Result<(), Error> {
        let nobody = WorkerId(Uuid::nil());
        tokio::try_join!(self.claim(nobody, &[], &Kinds::All, Duration::ZERO), self.complete_none(nobody))?;
        Ok(())
    }
}
