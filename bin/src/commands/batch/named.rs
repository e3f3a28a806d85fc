//! Shared by the actions: the batch of a name, and the failures of a name that no batch has.

use crate::{context::Context, failure::Failure};
use leasehold::{Batch, Client};
use leasehold_client::check_batch_name;

/// The batch of this name.
pub(super) async fn existing(client: &Client, name: &str, context: &Context) -> Result<Batch, Failure> {
    checked(name)?;
    let batch = client.batch(name).await.map_err(|error| context.failure(&error))?;
    batch.ok_or_else(|| unknown(name))
}

/// Refuses a name that no batch can have.
pub(super) fn checked(name: &str) -> Result<(), Failure> {
    check_batch_name(name).map_err(|error| Failure::usage(error.to_string()))
}

/// There is no batch of this name.
pub(super) fn unknown(name: &str) -> Failure {
    Failure::new(format!("there is no batch {name:?}: the first job that is enqueued with this batch makes it"))
}
