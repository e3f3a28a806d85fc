//! `leasehold limit`: limits on running jobs and on starts, for each key over the whole fleet.

use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, limits},
};
use clap::Subcommand;
use leasehold::{KeyLimit, LimitRecord};
use serde_json::json;
use std::process::ExitCode;

/// Limit how many jobs of a key run at the same time, and how many start per second, in the whole fleet
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  # at most 10 jobs with --limit-key cluster-a run at the same time
  leasehold limit set cluster-a --running 10
  # 10 starts a second, at most 20 at one moment
  leasehold limit set mail --rate 10/s --burst 20
  # each key that begins with tenant- has its own limit
  leasehold limit set 'tenant-*' --running 2
  leasehold limit list
  leasehold limit show cluster-a
  leasehold limit remove cluster-a

A change of a limit takes effect immediately. Runs continue when a limit is lowered; new runs start when \
fewer run than the limit allows.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set the limit of a key; an earlier limit of the key is replaced
    Set {
        /// The key, or a pattern that ends in *. Each key that matches the pattern has its own limit
        key: String,
        /// The most jobs that run at the same time
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers::within::<i32>(0..=1_000_000))]
        running: Option<i32>,
        /// The most starts in a time: 10/s, 600/m, 5/h or 100/d
        #[arg(long, value_name = "N/s")]
        rate: Option<String>,
        /// The most starts at one moment [default: the starts of one second, at least 1]
        #[arg(long, value_name = "N", requires = "rate", value_parser = numbers::within::<i32>(1..=1_000_000))]
        burst: Option<i32>,
    },
    /// List every limit, with the runs that count and the jobs that wait
    List,
    /// Show the limit of a key
    Show {
        /// The key or the pattern, as it was set
        key: String,
    },
    /// Remove the limit of a key: the jobs that wait for it may start
    Remove {
        /// The key or the pattern, as it was set
        key: String,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Set { key, running, rate, burst } => {
            if running.is_none() && rate.is_none() {
                return Err(Failure::usage("nothing to set: give --running, --rate or both"));
            }
            let client = context.client().await?;
            let limit =
                KeyLimit::default().with(|limit| (limit.running, limit.rate, limit.burst) = (running, rate, burst));
            let detail = json!({ "running": running, "rate": limit.rate, "burst": burst });
            context.audit(client.store(), "limit.set", &key, detail).await?;
            client.set_limit(&key, &limit).await.map_err(|error| context.failure_of_arguments(&error))?;
            shown(&key, context).await
        }
        Action::List => {
            let found = context.client().await?.limits().await.map_err(|error| context.failure(&error))?;
            output::either(context.json, &found, || limits::list(&found))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Show { key } => shown(&key, context).await,
        Action::Remove { key } => {
            let client = context.client().await?;
            context.audit(client.store(), "limit.remove", &key, json!({})).await?;
            if !client.remove_limit(&key).await.map_err(|error| context.failure(&error))? {
                return Err(no_such(&key));
            }
            output::either(context.json, &json!({ "key": key, "removed": true }), || format!("{key} has no limit"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn shown(key: &str, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let limit = client.limit(key).await.map_err(|error| context.failure(&error))?;
    let Some(limit) = limit else {
        let all = client.limits().await.map_err(|error| context.failure(&error))?;
        return Err(pattern_of(key, &all).map_or_else(|| no_such(key), |pattern| only_pattern(key, pattern)));
    };
    output::either(context.json, &limit, || limits::card(&limit))?;
    Ok(ExitCode::SUCCESS)
}

/// The pattern for a key without its own limit: the longest pattern that matches.
fn pattern_of<'a>(key: &str, all: &'a [LimitRecord]) -> Option<&'a str> {
    let patterns = all.iter().map(|limit| limit.key.as_str());
    let fits = |pattern: &&str| pattern.strip_suffix('*').is_some_and(|start| key.starts_with(start));
    patterns.filter(fits).max_by_key(|pattern| pattern.len())
}

fn only_pattern(key: &str, pattern: &str) -> Failure {
    Failure::new(format!(
        "{key} has no limit of its own; the pattern {pattern} holds for it: `leasehold limit show '{pattern}'`"
    ))
}

fn no_such(key: &str) -> Failure {
    Failure::new(format!("no limit is set for {key}; `leasehold limit list` shows all"))
}
