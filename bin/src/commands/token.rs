//! `leasehold token`: tokens of the HTTP interface.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, tokens},
    times,
};
use clap::Subcommand;
use leasehold_client::{TokenRecord, TokenText, create_token, rotate_token};
use leasehold_core::{Scope, Scopes};
use leasehold_store::Store;
use serde_json::json;
use std::{process::ExitCode, time::Duration};

/// A row of the table has this bound.
const SCOPES_MAX: usize = 100;
const NAME_MAX_BYTES: usize = 200;

/// Tokens of `leasehold api`: who may do what over HTTP
///
/// Without tokens, the server listens on loopback addresses only, and every client may do everything. From the first token on, every
/// request needs one. The user of the database must be the owner of the schema to make, rotate and revoke tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold token create --name shop --scope enqueue:mail \\
    --scope enqueue:invoices
  leasehold token create --name bots --scope 'work:bots-*' --expires-in 90d
  leasehold token create --name grafana --scope read
  leasehold token list
  # prints a new token; the old one works for a day
  leasehold token rotate k3vx8q2mzn5a --overlap 24h
  # within 5 seconds, on every server
  leasehold token revoke k3vx8q2mzn5a

Scopes:
  enqueue, enqueue:QUEUE   enqueue jobs, cancel them, change their priority
  work, work:QUEUE         claim jobs, renew leases, end runs; follow-on jobs
                           need enqueue too
  read, read:QUEUE         look at jobs; without a queue, also at queues,
                           workers and statistics
  admin                    everything

QUEUE may end in *: all queues whose names begin with the text before it.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and print it. It cannot be shown again
    Create {
        /// A name for people, such as the name of the program that uses the token
        #[arg(long, value_parser = name)]
        name: String,
        /// What the token may do (repeatable)
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// For how long the token is valid, such as 90d [default: without end]
        #[arg(long, value_name = "TIME", value_parser = validity)]
        expires_in: Option<Duration>,
    },
    /// List all tokens, without their secrets
    List,
    /// End a token: every server refuses it within 5 seconds
    Revoke {
        /// The id of the token
        id: String,
    },
    /// Give a token a new secret and print it. Id, name and scopes stay
    Rotate {
        /// The id of the token
        id: String,
        /// For how long the current secret stays valid. An older secret becomes invalid immediately
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = times::duration)]
        overlap: Duration,
        /// For how long the token is valid, counted from now [default: its end does not change]
        #[arg(long, value_name = "TIME", value_parser = validity)]
        expires_in: Option<Duration>,
    },
}

fn name(text: &str) -> Result<String, String> {
    let is_fine = (1..=NAME_MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_fine { Ok(text.to_owned()) } else { Err(format!("must have 1 to {NAME_MAX_BYTES} bytes on one line")) }
}

fn validity(text: &str) -> Result<Duration, String> {
    let valid_for = times::duration(text)?;
    if valid_for < Duration::from_secs(1) { Err("must be at least 1s".to_owned()) } else { Ok(valid_for) }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Create { name, scopes, expires_in } => {
            if scopes.len() > SCOPES_MAX {
                return Err(Failure::usage(format!("a token has at most {SCOPES_MAX} scopes")));
            }
            let store = context.store().await?;
            let made = create_token(&store, &name, &Scopes(scopes), expires_in).await;
            let (token, text) = made.map_err(|error| context.failure(&error))?;
            shown_once(&token, &text, context)?;
        }
        Action::List => {
            let found = context.store().await?.tokens(None).await.map_err(|error| context.store_failure(error))?;
            output::either(context.json, &found, || tokens::list(&found))?;
        }
        Action::Revoke { id } => {
            let store = context.store().await?;
            let token = match store.revoke_token(&id).await.map_err(|error| context.store_failure(error))? {
                Some(token) => token,
                None => existing(&id, &store, context).await?,
            };
            output::either(context.json, &token, || format!("{id} ({}) is revoked", token.name))?;
        }
        Action::Rotate { id, overlap, expires_in } => {
            let store = context.store().await?;
            let rotated = rotate_token(&store, &id, overlap, expires_in).await;
            let Some((token, text)) = rotated.map_err(|error| context.failure(&error))? else {
                let token = existing(&id, &store, context).await?;
                let state = if token.revoked_at.is_some() { "revoked" } else { "expired" };
                return Err(Failure::new(format!("{id} is {state}; make a new token with `leasehold token create`")));
            };
            shown_once(&token, &text, context)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the secret, which cannot be shown again.
fn shown_once(token: &TokenRecord, text: &TokenText, context: &Context) -> Result<(), Failure> {
    let mut answer = json!(token);
    answer["token"] = json!(text.expose());
    output::either(context.json, &answer, || text.expose().to_owned())?;
    if !context.json {
        output::note(&tokens::remark(token));
    }
    Ok(())
}

async fn existing(id: &str, store: &Store, context: &Context) -> Result<TokenRecord, Failure> {
    let found = store.tokens(Some(id)).await.map_err(|error| context.store_failure(error))?;
    let found = found.into_iter().next();
    found.ok_or_else(|| Failure::new("there is no token of this id; `leasehold token list` shows all".to_owned()))
}
