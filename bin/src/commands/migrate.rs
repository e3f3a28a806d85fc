//! `leasehold migrate`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, migrations},
    times,
};
use clap::Subcommand;
use leasehold_store::Store;
use std::{process::ExitCode, time::Duration};

/// Bring the schema `leasehold` of the database up to date
///
/// Holds up nobody who uses the database: locks are waited for only for moments, again and again, and indexes are made
/// concurrently. If it is interrupted, the next call goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold migrate            # applies what is missing; safe to run again, and by many at once
  leasehold migrate --within 1h
  leasehold migrate status     # what is applied and what is not
  leasehold migrate sql        # the statements, for those who run migrations by other means
  leasehold migrate roles      # the statements that make roles with as few rights as each needs")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// How long to wait, all in all, for locks that others have
    #[arg(long, global = true, value_name = "DURATION", default_value = "5m", value_parser = times::duration)]
    within: Duration,
}

/// The roles, each for a part of the system.
const ROLES: [&str; 4] = ["leasehold_owner", "leasehold_app", "leasehold_worker", "leasehold_reader"];

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Apply what is missing (the default)
    Up,
    /// Say which migrations and functions the database has; exit 1 if one is missing or older than this program
    Status,
    /// Print the SQL of all migrations and functions
    Sql,
    /// Print the SQL that makes the roles leasehold_owner, leasehold_app, leasehold_worker and leasehold_reader
    Roles {
        /// Run it instead, as the user of database.url
        #[arg(long)]
        apply: bool,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action.unwrap_or(Action::Up) {
        Action::Sql => output::text(&Store::migration_sql())?,
        Action::Roles { apply: false } => output::text(Store::roles_sql())?,
        Action::Roles { apply: true } => {
            let store = context.store().await?;
            store.make_roles().await.map_err(|error| context.store_failure(error))?;
            output::either(context.json, &ROLES, || format!("made {}", ROLES.join(", ")))?;
        }
        Action::Up => {
            let store = context.database().await?;
            let applied = store.migrate_within(args.within).await.map_err(|error| context.store_failure(error))?;
            output::either(context.json, &applied, || migrations::applied(&applied))?;
        }
        Action::Status => {
            let store = context.database().await?;
            let known = store.schema().await.map_err(|error| context.store_failure(error))?;
            output::either(context.json, &known, || migrations::status(&known))?;
            if !known.is_applied() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
