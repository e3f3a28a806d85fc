//! `leasehold stats`, and `leasehold top`, which repeats it.

use crate::{
    context::Context,
    failure::Failure,
    output::{
        self,
        queues::{self, Head, Heads, Stats},
    },
    signals, times,
};
use leasehold::Store;
use leasehold_handoff::Handoff;
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

/// Show for every queue: waiting and running jobs, age of the oldest waiting job, rates, and the head in Redis
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold stats
  # prints again every second, in place; Ctrl-C stops it
  leasehold stats --watch
  # a line of JSON every ten seconds
  leasehold stats --watch 10s --json")]
pub(crate) struct Args {
    /// Repeat at this interval [default interval: 1s]
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "1s", value_parser = times::interval)]
    watch: Option<Duration>,
}

/// Show the queues live: `stats --watch`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold top       # every second, in place; Ctrl-C stops it
  leasehold top 5s")]
pub(crate) struct TopArgs {
    /// The time between two updates
    #[arg(value_name = "INTERVAL", default_value = "1s", value_parser = times::interval)]
    interval: Duration,
}

impl From<TopArgs> for Args {
    fn from(args: TopArgs) -> Self {
        Self { watch: Some(args.interval) }
    }
}

/// Clears the screen and goes to its top left corner.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    let Some(interval) = args.watch else {
        let stats = gather(&store, &redis(context).await?, context).await?;
        output::either(context.json, &stats, || queues::stats(&stats))?;
        return Ok(ExitCode::SUCCESS);
    };
    let stop = signals::listen()?;
    let in_place = io::stdout().is_terminal();
    let mut handoff = redis(context).await?;
    loop {
        if handoff.is_err() {
            handoff = redis(context).await?;
        }
        let stats = gather(&store, &handoff, context).await?;
        if context.json {
            output::json_lines(&[stats])?;
        } else {
            if in_place {
                output::bytes(CLEAR)?;
            }
            output::text(&format!("{}\n{}", chrono::Local::now().format("%H:%M:%S"), queues::stats(&stats)))?;
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.soon.cancelled() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Redis, or why Redis is unavailable: the numbers of PostgreSQL are printed without Redis too.
///
/// # Errors
/// `redis.url` cannot be a URL of Redis. Redis would never become available.
async fn redis(context: &Context) -> Result<Result<Handoff, Failure>, Failure> {
    match context.handoff().await {
        Err(failure) if failure.is_usage() && context.config.redis.url.is_some() => Err(failure),
        result => Ok(result),
    }
}

async fn gather(store: &Store, handoff: &Result<Handoff, Failure>, context: &Context) -> Result<Stats, Failure> {
    let postgres = store.stats().await.map_err(|error| context.store_failure(error))?;
    let redis = match handoff {
        Err(failure) => Err(failure.to_string()),
        Ok(handoff) => heads(handoff).await.map_err(|error| context.config.explain_handoff(&error)),
    };
    let (redis, redis_error) = match redis {
        Ok(heads) => (Some(heads), None),
        Err(problem) => (None, Some(problem)),
    };
    Ok(Stats { postgres, redis, redis_error })
}

async fn heads(handoff: &Handoff) -> Result<Heads, leasehold_handoff::Error> {
    let names = handoff.noted_queues().await?;
    let heads = handoff.look(&names).await?;
    let in_use = names.into_iter().zip(heads).filter_map(|(queue, stats)| Some((queue, stats?)));
    let mut queues: Vec<Head> = in_use.map(|(queue, stats)| Head { stats, queue: queue.into() }).collect();
    queues.sort_by(|left, right| left.queue.cmp(&right.queue));
    Ok(Heads { workers: handoff.workers().await?.len() as u64, queues })
}
