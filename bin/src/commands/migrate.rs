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
/// Users of the database can continue to work: the migration waits for each lock only for moments, again and again, and
/// builds indexes concurrently. If it is interrupted, the next call continues.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  # applies what is missing; can be repeated, also by several at a time
  leasehold migrate
  leasehold migrate --within 1h
  # what is applied and what is not
  leasehold migrate status
  # the statements, for people who run migrations with another tool
  leasehold migrate sql
  # prints statements that create roles, each with only the rights it needs
  leasehold migrate roles")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// How long to wait in total for locks that other transactions hold
    #[arg(long, global = true, value_name = "DURATION", default_value = "5m", value_parser = times::duration)]
    within: Duration,
}

/// The roles, one for each part of the system.
const ROLES: [&str; 5] = ["leasehold_owner", "leasehold_app", "leasehold_worker", API, "leasehold_reader"];
/// The role that only a superuser, or a role that may create roles, can add.
const API: &str = "leasehold_api";

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Apply missing migrations and functions (the default)
    Up,
    /// Print which migrations and functions the database has; exit 1 if one is missing or older than this program
    Status,
    /// Print the SQL of all migrations and functions
    Sql,
    /// Print the SQL that creates the roles leasehold_owner, leasehold_app, leasehold_worker, leasehold_api and leasehold_reader
    Roles {
        /// Run this SQL instead, as the user of database.url
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
            let with_api = store.make_roles().await.map_err(|error| context.store_failure(error))?;
            let roles: Vec<&str> = ROLES.into_iter().filter(|role| with_api || *role != API).collect();
            output::either(context.json, &roles, || format!("made {}", roles.join(", ")))?;
            if !with_api {
                output::note(&format!(
                    "a superuser must create the role {API} before tokens are used: CREATE ROLE {API}"
                ));
            }
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
