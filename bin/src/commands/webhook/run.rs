//! The dispatch of `leasehold webhook`, and its short commands.

use super::{
    named::{existing, no_such},
    replay, set,
};
use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, webhooks},
    times,
};
use clap::Subcommand;
use leasehold_core::Kind;
use leasehold_webhooks::Secret;
use serde_json::json;
use std::{process::ExitCode, time::Duration};

/// Tell other systems of ends of jobs: signed messages over HTTP
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold webhook set crm --url https://example.com/hooks --queue orders \\
    --state succeeded
  # each end of each job
  leasehold webhook set all --url https://example.com/hooks
  leasehold webhook test crm
  leasehold webhook deliveries crm
  # the dead deliveries of the last two hours
  leasehold webhook replay crm --since 2h
  # a new secret; for a day, both secrets sign
  leasehold webhook rotate crm
  leasehold webhook remove crm

`leasehold api` sends the messages. They are jobs of the queue leasehold.webhooks, and their kind \
is the id of the webhook.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Set(Box<set::Args>),
    /// List every webhook, with its health
    List,
    /// Show a webhook
    Show {
        /// The id
        id: Kind,
    },
    /// Remove a webhook, and cancel its deliveries that have not ended
    Remove {
        /// The id
        id: Kind,
    },
    /// List the attempts to send deliveries, the newest first
    Deliveries {
        /// The id of the webhook
        id: Kind,
        /// At most this many deliveries
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = numbers::within::<i64>(1..=500))]
        limit: i64,
    },
    Replay(replay::Args),
    /// Give a webhook a new secret, and print the secret; for a while, the earlier secret signs too
    Rotate {
        /// The id
        id: Kind,
        /// For how long the earlier secret signs too
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = overlap)]
        overlap: Duration,
    },
    /// Send a message that says only that it is a test
    Test {
        /// The id
        id: Kind,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Set(args) => set::run(*args, context).await,
        Action::List => {
            let found = context.operator().await?.webhooks().await.map_err(|error| context.failure(&error))?;
            output::either(context.json, &found, || webhooks::list(&found))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Show { id } => {
            let webhook = existing(&context.operator().await?, &id, context).await?;
            output::either(context.json, &webhook, || webhooks::card(&webhook))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Remove { id } => {
            let client = context.operator().await?;
            context.audit_operator(&client, "webhook.remove", id.as_str(), json!({})).await?;
            if !client.remove_webhook(&id).await.map_err(|error| context.failure(&error))? {
                return Err(no_such(&id));
            }
            output::either(context.json, &json!({ "id": id, "removed": true }), || format!("{id} is removed"))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Deliveries { id, limit } => {
            let client = context.operator().await?;
            existing(&client, &id, context).await?;
            let found = client.webhook_attempts(&id, None, limit).await.map_err(|error| context.failure(&error))?;
            output::either(context.json, &found, || webhooks::deliveries(&found))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Replay(args) => replay::run(args, context).await,
        Action::Rotate { id, overlap } => {
            let secret = Secret::generate().reveal();
            let client = context.operator().await?;
            let detail = json!({ "overlap_s": overlap.as_secs() });
            context.audit_operator(&client, "webhook.rotate", id.as_str(), detail).await?;
            let until = client.rotate_webhook(&id, &secret, overlap).await.map_err(|error| context.failure(&error))?;
            let until = until.ok_or_else(|| no_such(&id))?;
            let rotated = json!({ "id": id, "secret": secret, "previous_secret_until": until });
            output::either(context.json, &rotated, || secret.clone())?;
            if !context.json {
                output::note(&format!(
                    "the secret is shown only now; the earlier one signs too until {}",
                    output::human::time(until)
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Test { id } => {
            let client = context.operator().await?;
            existing(&client, &id, context).await?;
            let delivery = client.test_webhook(&id).await.map_err(|error| context.failure(&error))?;
            output::either(context.json, &json!({ "id": id, "delivery": delivery }), || delivery.to_string())?;
            if !context.json {
                output::note(&format!("`leasehold webhook deliveries {id}` shows the answer"));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The longest overlap of two secrets.
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

fn overlap(text: &str) -> Result<Duration, String> {
    let overlap = times::duration(text)?;
    if overlap > OVERLAP_MAX { Err(format!("{text:?} is too long; at most 30 days are allowed")) } else { Ok(overlap) }
}
