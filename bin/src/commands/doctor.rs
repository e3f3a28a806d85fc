//! `leasehold doctor`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, examination},
};
use leasehold_reaper::{examine, repair};
use std::process::ExitCode;

/// Check every invariant in both stores on a live system
///
/// Names the store of each finding. Exit 1 if there is a finding.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold doctor
  leasehold doctor --repair     # runs the reaper's steps first, which repair most findings")]
pub(crate) struct Args {
    /// Run every step of the reaper twice before the checks, and print what the steps repaired
    #[arg(long)]
    repair: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let pair = context.connected_pair().await?;
    let (store, handoff) = (&pair.store, pair.handoff()?);
    // Doctor only reads. Without this check a read-only server would pass.
    store.ping().await.map_err(|error| context.store_failure(error))?;
    let blind = |error| Failure::new(format!("doctor cannot read the stores: {error}"));
    let repairs = match args.repair {
        true => Some(repair(store, handoff, leasehold::reaper_settings(&context.config)).await.map_err(blind)?),
        false => None,
    };
    let examined = examine(store, handoff).await.map_err(blind)?;
    let told = examination::Told { examined: &examined, repairs };
    output::either(context.json, &told, || examination::as_text(&told))?;
    Ok(if examined.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
