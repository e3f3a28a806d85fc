//! `leasehold webhook replay`.

use super::named::existing;
use crate::{context::Context, failure::Failure, output, times};
use chrono::{DateTime, Utc};
use leasehold_client::{Replay, Replayed};
use leasehold_core::{JobId, Kind, State};
use serde_json::json;
use std::process::ExitCode;

/// Send deliveries again, each with the same id: by their ids, or those that were tried within a time
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the webhook
    id: Kind,
    /// The deliveries, in any state
    #[arg(value_name = "DELIVERY", required_unless_present = "since")]
    deliveries: Vec<JobId>,
    /// Deliveries that were tried at this time or later: a time, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "deliveries")]
    since: Option<DateTime<Utc>>,
    /// Deliveries that were tried before this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "since")]
    until: Option<DateTime<Utc>>,
    /// Deliveries that have ended in this state [default: dead] (repeatable)
    #[arg(long = "state", value_name = "STATE", value_parser = ["succeeded", "dead", "cancelled"], requires = "since")]
    states: Vec<String>,
}

/// A time, or how long ago.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    match times::duration(text) {
        Ok(ago) => {
            Ok(Utc::now().checked_sub_signed(chrono::TimeDelta::from_std(ago).unwrap_or_default()).unwrap_or_default())
        }
        Err(_) => times::time(text),
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.operator().await?;
    existing(&client, &args.id, context).await?;
    let mut done = Replayed::default();
    for delivery in &args.deliveries {
        let detail = json!({ "delivery": delivery });
        context.audit_operator(&client, "webhook.replay", args.id.as_str(), detail).await?;
        let revived = client.replay_delivery(&args.id, *delivery).await.map_err(|error| context.failure(&error))?;
        let missing = || Failure::new(format!("the webhook {} has no delivery {delivery}", args.id));
        done.replayed += usize::from(revived.ok_or_else(missing)?);
    }
    if let Some(since) = args.since {
        let mut states: Vec<State> = args.states.iter().filter_map(|state| state.parse().ok()).collect();
        if states.is_empty() {
            states.push(State::Dead);
        }
        let until = args.until.unwrap_or_else(Utc::now);
        let replay = Replay { since, until, states, after: None, limit: usize::MAX };
        let detail = json!({ "since": replay.since, "until": replay.until, "states": replay.states });
        context.audit_operator(&client, "webhook.replay", args.id.as_str(), detail).await?;
        done = client.replay_webhook(&args.id, &replay).await.map_err(|error| context.failure(&error))?;
    }
    output::either(context.json, &done, || format!("{} sent again", done.replayed))?;
    Ok(ExitCode::SUCCESS)
}
