//! `leasehold schedule set`.

use super::named::shown;
use crate::{
    context::Context,
    failure::Failure,
    job_flags::{self, JobFlags},
    numbers, times,
    word_flags::WordFlags,
};
use leasehold::{Kind, Missed, NewSchedule, ParentFailure, QueueName, ScheduleName, Timing};
use leasehold_core::{MAX_ATTEMPTS_MAX, PRIORITY_MAX, PRIORITY_MIN};
use serde_json::json;
use std::{process::ExitCode, time::Duration};

/// Make a schedule, or change the schedule that has this name. A change takes effect immediately
///
/// Each tick enqueues a new job. A paused schedule stays paused. If the cron expression, the zone or the interval stays the
/// same, the next tick stays too.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("timing").args(["cron", "every"]).required(true), after_help = "Examples:
  leasehold schedule set nightly --cron '30 2 * * *' --timezone Europe/Berlin \\
    --kind report
  # no second job while one is live
  leasehold schedule set sync --every 90s --kind sync --unique-key sync
  # six fields: seconds first
  leasehold schedule set beat --cron '*/10 * * * * *' --missed skip --kind beat
  leasehold schedule set bill --cron @monthly --missed all:12 --kind bill \\
    --payload @bill.json")]
pub(crate) struct Args {
    /// The name of the schedule
    name: ScheduleName,
    /// Minute, hour, day, month and weekday; or six fields, with the seconds first; or @hourly, @daily, @weekly, @monthly,
    /// @yearly
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The time from one tick to the next, such as 90s; at least 1s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    every: Option<Duration>,
    /// The time zone of the cron expression, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    timezone: Option<String>,
    /// What happens to ticks that no reaper could fire in time: skip makes no job, one makes one job for all of them, all:N
    /// makes a job for each of the last N
    #[arg(long, value_name = "skip|one|all:N", default_value_t)]
    missed: Missed,
    /// The kind: which handler runs the job
    #[arg(long)]
    kind: Kind,
    /// The queue
    #[arg(long, default_value = "default")]
    queue: QueueName,
    /// The payload for the handler: JSON, @FILE to read JSON from a file, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    payload: String,
    /// The priority, from -100 to 100. Each point is a head start of one hour in the line, or of what `queue set` says
    #[arg(long, default_value_t = 0, allow_negative_numbers = true,
          value_parser = numbers::within::<i16>(i64::from(PRIORITY_MIN)..=i64::from(PRIORITY_MAX)))]
    priority: i16,
    /// While a live job has this key, a tick makes no new job
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Start a job only while this key has room: see `leasehold limit set`. Repeatable, up to eight keys
    #[arg(long, value_name = "KEY")]
    limit_key: Vec<String>,
    /// The batch: a group of jobs by name, see `leasehold batch`
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    /// The key that shares the queue fairly with other keys, such as a tenant: see `leasehold queue weight`
    #[arg(long, value_name = "KEY")]
    fair_key: Option<String>,
    /// Also notify this webhook when the job ends, even if its filter does not match: see `leasehold webhook`
    #[arg(long, value_name = "ID")]
    webhook: Option<String>,
    /// How many attempts a job may spend
    #[arg(long, value_name = "N", default_value_t = leasehold_core::MAX_ATTEMPTS_DEFAULT,
          value_parser = numbers::within::<i32>(1..=i64::from(MAX_ATTEMPTS_MAX)))]
    max_attempts: i32,
    /// How long one run may take, such as 30s [default: no limit]
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    words: WordFlags,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let timing = match (args.cron, args.every) {
        (Some(cron), _) => Timing::Cron { cron, timezone: args.timezone.unwrap_or_else(|| "UTC".to_owned()) },
        (None, every) => Timing::Every(every.unwrap_or_default()),
    };
    // The job of a schedule has no fixed id and no fixed time.
    let job = job_flags::from_flags(&JobFlags {
        kind: Some(args.kind),
        queue: args.queue,
        payload: args.payload,
        priority: args.priority,
        delay: None,
        at: None,
        unique_key: args.unique_key,
        limit_key: args.limit_key,
        batch: args.batch,
        fair_key: args.fair_key,
        webhook: args.webhook,
        traceparent: None,
        max_attempts: args.max_attempts,
        timeout: args.timeout,
        words: args.words,
        expires_at: None,
        id: None,
        depends_on: Vec::new(),
        on_parent_failure: ParentFailure::default(),
    })?;
    let schedule = NewSchedule::new(args.name, timing, job).missed(args.missed);
    let client = context.client().await?;
    let detail = json!({ "kind": schedule.job.kind, "queue": schedule.job.queue });
    context.audit(client.store(), "schedule.set", schedule.name.as_str(), detail).await?;
    client.set_schedule(&schedule).await.map_err(|error| context.failure(&error))?;
    shown(&client, &schedule.name, context).await
}
