//! `leasehold reaper`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, steps},
    signals,
};
use leasehold_reaper::Reaper;
use std::process::ExitCode;

/// Run a reaper: put right what others left, keep the head of the line filled
///
/// Any number may run; one is enough, a second one stands in for it at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold reaper              # until TERM or Ctrl-C
  leasehold reaper --once       # every step once, with what it found")]
pub(crate) struct Args {
    /// Do every step once, say what it found and changed, and end; exit 1 if a step failed
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let store = context.store().await?;
    let mut reaper = Reaper::new(store, context.handoff_or_later().await?, context.reaper_settings());
    if !args.once {
        tracing::info!(tick_ms = context.config.reaper.tick_ms, "the reaper has started");
        reaper.run(stop.soon).await;
        tracing::info!("the reaper has stopped");
        return Ok(ExitCode::SUCCESS);
    }
    let reports = reaper.tick().await;
    output::either(context.json, &reports, || steps::as_text(&reports))?;
    let failed = reports.iter().any(|report| report.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
