//! `leasehold job wait`.

use super::ids::existing;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, jobs},
    signals, times,
};
use futures_util::{StreamExt, stream::FuturesOrdered};
use leasehold::{Error, JobId, State};
use std::{process::ExitCode, time::Duration};

/// Wait until jobs have finished, and print how each job ended
///
/// Exit 0 if all jobs succeeded; exit 1 if a job is dead, was cancelled, or did not finish in time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job wait 0198c5a4-…
  leasehold job wait --timeout 30s --json $(leasehold enqueue --kind report)")]
pub(crate) struct Args {
    /// The ids of the jobs to wait for
    #[arg(required = true)]
    ids: Vec<JobId>,
    /// How long to wait, such as 30s [default: no limit]
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let client = context.client().await?;
    for id in &args.ids {
        existing(client.store(), *id, context).await?;
    }
    let timeout = args.timeout.unwrap_or(times::FOR_EVER);
    let mut waits: FuturesOrdered<_> = args.ids.iter().map(|id| client.wait_finished(*id, timeout)).collect();
    let mut all_succeeded = true;
    loop {
        let finished = tokio::select! {
            finished = waits.next() => finished,
            () = stop.soon.cancelled() => {
                return Err(Failure::new("stopped waiting; the jobs continue, and `leasehold job wait` can be run again"));
            }
        };
        match finished {
            None => break,
            Some(Ok(finished)) => {
                all_succeeded &= finished.state == State::Succeeded;
                if context.json {
                    output::json_lines(&[jobs::finished_json(&finished)])?;
                } else {
                    output::line(&jobs::finished(&finished))?;
                }
            }
            Some(Err(error @ Error::TimedOut(_))) => {
                all_succeeded = false;
                output::note(&error.to_string());
            }
            Some(Err(error)) => return Err(context.failure(&error)),
        }
    }
    Ok(if all_succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
