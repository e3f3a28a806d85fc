//! `leasehold encryption …`: which keys are still needed.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, human},
};
use serde_json::json;
use std::process::ExitCode;

/// Encryption of payloads and results
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how many payloads and results each key has encrypted, and how many are not encrypted in the queues that take encrypted
    /// payloads. A key that is not listed can leave the setting encryption.keys. Reads all jobs
    Keys,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let Command::Keys = args.command;
    let store = context.store().await?;
    let uses = store.encryption_keys().await.map_err(|error| context.store_failure(error))?;
    let keys = store.keys();
    let is_known = |name: &str| keys.names().any(|key| key == name);
    let rows = uses.iter().map(|used| {
        let here = used.key.as_deref().map(is_known);
        json!({ "key": used.key, "place": used.place, "count": used.count, "known": here })
    });
    let answer = json!({
        "current": keys.current(), "known": keys.names().collect::<Vec<_>>(), "used": rows.collect::<Vec<_>>(),
    });
    output::either(context.json, &answer, || {
        if uses.is_empty() {
            return "nothing is encrypted".to_owned();
        }
        let line = |used: &leasehold_store::KeyUse| {
            let note = match &used.key {
                None => "not encrypted",
                Some(name) if keys.current() == Some(name) => "encrypts new data",
                Some(name) if is_known(name) => "decrypts only",
                Some(_) => "this process does not have it",
            };
            let key = used.key.clone().unwrap_or_else(|| "none".to_owned());
            [key, used.place.clone(), used.count.to_string(), note.to_owned()]
        };
        human::table(["key", "where", "values", ""], uses.iter().map(line))
    })?;
    Ok(ExitCode::SUCCESS)
}
