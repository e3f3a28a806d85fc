//! `leasehold doctor`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, examination, progress},
};
use leasehold::Store;
use leasehold_reaper::{examine, repair};
use std::process::ExitCode;

/// Check every invariant in both stores on a live system
///
/// Names the store of each finding. Exit 1 if there is a finding.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold doctor
  # runs the reaper's steps first, which repair most findings
  leasehold doctor --repair")]
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
    let repaired = match args.repair {
        true => repair(store, handoff, leasehold::reaper_settings(&context.config)).await.map(Some),
        false => Ok(None),
    };
    let repairs = match repaired {
        Ok(repairs) => repairs,
        Err(error) => return Err(blind(store, &error, context).await),
    };
    // A million waiting jobs take a minute.
    let clock = progress::clock("reading both stores");
    let examined = examine(store, handoff).await;
    drop(clock);
    let examined = match examined {
        Ok(examined) => examined,
        Err(error) => return Err(blind(store, &error, context).await),
    };
    let told = examination::Told { examined: &examined, repairs };
    output::either(context.json, &told, || examination::as_text(&told))?;
    Ok(if examined.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Doctor cannot read the stores. A frequent reason is a lock on a whole table. Then the message names the session that holds
/// the lock.
async fn blind(store: &Store, error: &leasehold_reaper::Error, context: &Context) -> Failure {
    let locks: Vec<String> = store.table_locks().await.iter().map(ToString::to_string).collect();
    match locks.is_empty() {
        true => Failure::new(format!("doctor cannot read the stores: {}", in_plain_words(error, context))),
        false => Failure::new(format!("doctor cannot read the stores: {}", locks.join("; "))),
    }
}

/// The meaning of an error of a store, in the same text as in the other commands.
fn in_plain_words(error: &leasehold_reaper::Error, context: &Context) -> String {
    let leasehold_reaper::Error::Store(failed) = error else { return error.to_string() };
    if let Some(of_postgres) = failed.source.downcast_ref() {
        return context.config.explain_store(of_postgres);
    }
    match failed.source.downcast_ref() {
        Some(of_redis) => context.config.explain_handoff(of_redis),
        None => error.to_string(),
    }
}
