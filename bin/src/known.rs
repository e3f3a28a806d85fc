//! Refuses unknown names of queues and batches: a typing mistake must not look like an empty queue.

use crate::{context::Context, failure::Failure};
use leasehold::{Client, QueueName};

/// Checks that the queue exists: it has live or finished jobs, a setting, a pause or a schedule.
pub(crate) async fn queue(queue: &QueueName, client: &Client, context: &Context) -> Result<(), Failure> {
    let is_known = client.store().queue_is_known(queue).await.map_err(|error| context.store_failure(error))?;
    if is_known { Ok(()) } else { Err(Failure::new(format!("there is no queue named {queue}; nothing was changed"))) }
}

/// Checks that the queue and the batch of a filter exist, if the filter names them.
pub(crate) async fn queue_and_batch(
    named: Option<&QueueName>,
    batch: Option<&str>,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    if let Some(named) = named {
        queue(named, client, context).await?;
    }
    if let Some(batch) = batch
        && client.batch(batch).await.map_err(|error| context.failure(&error))?.is_none()
    {
        return Err(Failure::new(format!("there is no batch named {batch:?}; nothing was changed")));
    }
    Ok(())
}
