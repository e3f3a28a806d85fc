//! Shared by the actions: the webhook of an id, and the failure of an id that no webhook has.

use crate::{context::Context, failure::Failure};
use leasehold_client::{Client, Webhook};
use leasehold_core::Kind;

/// The webhook of this id.
pub(super) async fn existing(client: &Client, id: &Kind, context: &Context) -> Result<Webhook, Failure> {
    client.webhook(id).await.map_err(|error| context.failure(&error))?.ok_or_else(|| no_such(id))
}

pub(super) fn no_such(id: &Kind) -> Failure {
    Failure::new(format!("there is no webhook {id}; `leasehold webhook list` shows all"))
}
