//! `leasehold job priority`.

use super::{
    bulk::{self, Order},
    filter::{Chosen, FilterArgs},
    places::print,
};
use crate::{context::Context, failure::Failure};
use leasehold::{BulkAction, JobId, Place};
use std::process::ExitCode;

/// Change the priority of waiting jobs
///
/// Each job goes to the position in the line of its queue that belongs to the new priority. Exit 1 if one of the ids is
/// unknown, or if one of the jobs is running or has finished.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job priority 0198c5a4-… 50
  leasehold job priority 0198c5a4-… 0198c5a5-… -10
  leasehold job priority --queue mail --kind newsletter -50 --yes")]
pub(crate) struct Args {
    /// The ids of the jobs, if there is no filter; and then the new priority, from -100 to 100: a higher one starts earlier
    #[arg(required = true, value_name = "ID… N", allow_negative_numbers = true)]
    ids_and_priority: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (ids, priority) = parse(&args.ids_and_priority)?;
    let ids = match args.filter.choose(ids)? {
        Chosen::Ids(ids) => ids,
        Chosen::Filter { filter, dry_run, yes } => {
            let action = BulkAction::Place(Place::Priority(priority));
            return bulk::run(Order { action, filter, dry_run, yes, rate: None }, context).await;
        }
    };
    let client = context.client().await?;
    let answers = client.set_priority(&ids, priority).await.map_err(|error| context.failure(&error))?;
    print(&ids, &answers, &format!("priority {priority}"), context)
}

/// The ids, and the priority behind them.
fn parse(words: &[String]) -> Result<(Vec<JobId>, i16), Failure> {
    let (priority, ids) = words.split_last().ok_or_else(|| Failure::usage("the priority is missing"))?;
    let priority = priority.parse().map_err(|_| match priority.parse::<JobId>() {
        Ok(_) => {
            Failure::usage("the priority is missing: give it behind the ids, such as `leasehold job priority ID 50`")
        }
        Err(_) => Failure::usage(format!(
            "{priority:?} is not a priority: the last argument is a whole number from -100 to 100"
        )),
    })?;
    let id = |text: &String| text.parse().map_err(|error| Failure::usage(format!("{text:?} is not an id: {error}")));
    Ok((ids.iter().map(id).collect::<Result<_, _>>()?, priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_is_the_last_word() {
        let id = JobId::new().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (ids, priority) = parse(&words(&[&id, &id, "-7"])).expect("two ids and a priority");
        assert_eq!((ids.len(), priority), (2, -7));
        for (given, told) in [
            ([id.as_str(), id.as_str()], "the priority is missing"),
            ([id.as_str(), "high"], "is not a priority"),
            (["x", "5"], "is not an id"),
        ] {
            let refused = parse(&words(&given)).expect_err(told);
            assert!(refused.is_usage() && refused.to_string().contains(told), "{refused}");
        }
    }
}
