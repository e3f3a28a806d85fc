//! `leasehold reaper`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, steps},
    signals,
};
use leasehold_api::{Listener, Stores, Vitals};
use leasehold_reaper::Reaper;
use std::{net::SocketAddr, process::ExitCode};

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
    /// Serve /healthz, /readyz and /metrics here, such as 0.0.0.0:9464 [default: reaper.listen]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "once")]
    listen: Option<SocketAddr>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let listener = match args.listen.or(context.config.reaper.listen).filter(|_| !args.once) {
        Some(address) => Some(Listener::bind(address).await.map_err(|error| Failure::new(error.to_string()))?),
        None => None,
    };
    let store = context.store().await?;
    let handoff = context.handoff_or_later().await?;
    let mut reaper = Reaper::new(store.clone(), handoff.clone(), context.reaper_settings());
    if !args.once {
        let vitals = Vitals::of_reaper(reaper.watch(), Stores::new(store, handoff));
        let served = listener.map(|listener| listener.serve(vitals));
        tracing::info!(tick_ms = context.config.reaper.tick_ms, "the reaper has started");
        reaper.run(stop.soon).await;
        if let Some(served) = served {
            served.stop().await;
        }
        tracing::info!("the reaper has stopped");
        return Ok(ExitCode::SUCCESS);
    }
    let reports = reaper.round().await;
    output::either(context.json, &reports, || steps::as_text(&reports))?;
    let failed = reports.iter().any(|report| report.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
