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
/// Says from which store each finding is. Exit 1 if there is one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold doctor
  leasehold doctor --repair     # runs the reaper's steps first, which put most things right")]
pub(crate) struct Args {
    /// Run every step of the reaper twice before looking, and say what they put right
    #[arg(long)]
    repair: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    // All that doctor does is reading: it would find nothing wrong with a server that takes no writes.
    store.ping().await.map_err(|error| context.store_failure(error))?;
    let handoff = context.handoff().await?;
    let blind = |error| Failure::new(format!("cannot look: {error}"));
    let repairs = match args.repair {
        true => Some(repair(&store, &handoff, leasehold::reaper_settings(&context.config)).await.map_err(blind)?),
        false => None,
    };
    let examined = examine(&store, &handoff).await.map_err(blind)?;
    let told = examination::Told { examined: &examined, repairs };
    output::either(context.json, &told, || examination::as_text(&told))?;
    Ok(if examined.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
