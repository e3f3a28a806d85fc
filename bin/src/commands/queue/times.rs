//! `leasehold queue times`: how long jobs waited and ran.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, queues},
    times,
};
use leasehold::QueueName;
use leasehold_store::MINUTES_KEPT;
use std::time::Duration;

/// Show how many jobs ended in the last minutes, and how long they waited and ran
///
/// A job waits from when it was due until its last attempt began. A minute is shown half a minute after its end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only this queue
    queue: Option<QueueName>,
    /// How far to look back, in whole minutes, from 1m to 24h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = since)]
    since: Minutes,
    /// Show each minute by itself
    #[arg(long)]
    each_minute: bool,
}

/// A whole number of minutes.
#[derive(Clone, Copy, Debug)]
struct Minutes(u32);

/// Reads how many minutes to look back.
fn since(text: &str) -> Result<Minutes, String> {
    let minutes = times::duration(text)?.as_secs().div_ceil(60);
    match u32::try_from(minutes) {
        Ok(minutes @ 1..=MINUTES_KEPT) => Ok(Minutes(minutes)),
        _ => Err(format!("{text:?} must be from 1m to 24h: minutes are kept for a day")),
    }
}

pub(super) async fn show(args: Args, context: &Context) -> Result<(), Failure> {
    let Args { queue, since: Minutes(minutes), each_minute } = args;
    let store = context.store().await?;
    let times = store.queue_times(queue.as_ref(), minutes, each_minute).await;
    let times = times.map_err(|error| context.store_failure(error))?;
    let over = Duration::from_secs(60 * u64::from(minutes));
    output::either(context.json, &times, || queues::times(&times, over))
}
