//! `leasehold reaper`.

use crate::{
    addresses::address,
    context::Context,
    failure::Failure,
    output::{self, steps},
    signals,
};
use std::{net::SocketAddr, process::ExitCode};

/// Run a reaper: repair what crashed processes left behind, and keep the head of each line filled
///
/// One running reaper is enough. If more reapers run and one dies, the others continue its work immediately.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold reaper              # until TERM or Ctrl-C
  leasehold reaper --once       # every step once, with what each found")]
pub(crate) struct Args {
    /// Run every step once, print what each step found and changed, and end; exit 1 if a step failed
    #[arg(long)]
    once: bool,
    /// Serve /healthz, /readyz and /metrics here, such as 0.0.0.0:9464 [default: reaper.listen]
    #[arg(long, value_name = "ADDRESS", value_parser = address, conflicts_with = "once")]
    listen: Option<SocketAddr>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    if !args.once {
        let mut config = context.config.clone();
        config.reaper.listen = args.listen.or(config.reaper.listen);
        leasehold::Reaper::builder(&config).run(stop.soon).await.map_err(|error| context.failure(&error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let reports = context.reaper(&context.pair("leasehold reaper").await?)?.round().await;
    output::either(context.json, &reports, || steps::as_text(&reports))?;
    let failed = reports.iter().any(|report| report.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
