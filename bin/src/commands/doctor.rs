//! `leasehold doctor`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, examination},
};
use leasehold_reaper::{Reaper, examine};
use std::process::ExitCode;

/// Check every invariant in both stores on a live system
///
/// Says from which store each finding is. Exit 1 if there is one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold doctor
  leasehold doctor --repair     # runs the reaper's steps first, which put most things right")]
pub(crate) struct Args {
    /// Run every step of the reaper twice before looking
    #[arg(long)]
    repair: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let store = context.store().await?;
    let handoff = context.handoff().await?;
    if args.repair {
        let mut reaper = Reaper::new(store.clone(), handoff.clone(), context.reaper_settings());
        // Twice: what only seems to be wrong is left alone until it is seen again.
        for _ in 0..2 {
            reaper.tick().await;
        }
    }
    let examined = examine(&store, &handoff).await.map_err(|error| Failure::new(format!("cannot look: {error}")))?;
    output::either(context.json, &examined, || examination::as_text(&examined))?;
    Ok(if examined.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
