//! `leasehold queue weight`: how much of a queue a fair key gets.

use crate::{context::Context, failure::Failure, output};
use leasehold::QueueName;
use serde_json::json;

/// Set how much of a queue a fair key gets, compared with the other keys. Jobs that already wait follow immediately
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the queue
    queue: QueueName,
    /// The fair key
    key: String,
    /// The weight, from 0.001 to 1000. Keys without a weight have 1: a key with 3 gets three turns where they get one
    #[arg(value_name = "W", value_parser = weight)]
    weight: f64,
}

fn weight(text: &str) -> Result<f64, String> {
    let weight = text.parse().ok().filter(|weight| (0.001..=1000.0).contains(weight));
    weight.ok_or_else(|| "must be a number from 0.001 to 1000".to_owned())
}

pub(super) async fn set(args: Args, context: &Context) -> Result<(), Failure> {
    let Args { queue, key, weight } = args;
    let client = context.client().await?;
    let detail = json!({ "fair_key": key, "weight": weight });
    context.audit(client.store(), "queue.weight", queue.as_str(), detail).await?;
    client.set_fair_weight(&queue, &key, weight).await.map_err(|error| context.failure_of_arguments(&error))?;
    output::either(context.json, &json!({ "queue": queue, "fair_key": key, "weight": weight }), || {
        format!("in {queue} the fair key {key:?} has the weight {weight}")
    })
}
