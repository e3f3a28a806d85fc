//! `leasehold each`: runs a whole batch.

use super::{
    collect::{Collector, Ends},
    declined::DECLINED,
    local::Local,
    plan::{Common, KIND, Plan},
    send::send,
};
use crate::{
    commands::served::PassEnv,
    context::Context,
    failure::Failure,
    lines::Lines,
    numbers,
    output::{self, each, progress},
    signals::{self, Stop},
    times,
};
use leasehold::{Client, JobId, QueueName, Store};
use leasehold_core::MAX_ATTEMPTS_MAX;
use std::{path::PathBuf, process::ExitCode, time::Duration};
use tokio::sync::watch;

/// Run a command for each line of input: a durable xargs
///
/// Every line becomes a job. Any worker that was started with --commands can run it, and no other one; with --jobs, this
/// process runs jobs too. Results are printed in the order of the input. Exit 1 if a job did not succeed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  find . -name '*.log' | leasehold each --queue files --jobs 4 -- gzip -9
  leasehold each --queue files --from list.txt \\
    --batch 2030-01-31 -- sha256sum {}

{} stands for the line, anywhere in the command and more than once; without it, the line is the \
last argument. The command runs without a shell. To use a shell: -- sh -c 'sort \"$1\" | uniq -c' \
sh {}

With the same --batch, each line is the same job again: what succeeded is not repeated and its \
result is printed, what died or was cancelled gets a new budget, what is under way is waited for. \
Ctrl-C leaves the jobs as they are. The input is read whole, and refused whole if a line has a NUL \
byte or is not UTF-8, before anything is enqueued.")]
pub(crate) struct Args {
    /// The queue
    #[arg(long, default_value = "default")]
    queue: QueueName,
    /// The name of the batch [default: a new name, which is printed if you need it to continue]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    batch: Option<String>,
    /// Also run jobs in this process, up to this many at the same time
    #[arg(long, value_name = "N", value_parser = numbers::within::<u32>(1..=10_000))]
    jobs: Option<u32>,
    #[command(flatten)]
    pass_env: PassEnv,
    /// Read lines from this file [default: standard input]
    #[arg(long, value_name = "FILE|-")]
    from: Option<PathBuf>,
    /// How many attempts a job may spend
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = numbers::within::<i32>(1..=i64::from(MAX_ATTEMPTS_MAX)))]
    max_attempts: i32,
    /// How long one run may take, such as 30s [default: no limit]
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration)]
    timeout: Option<Duration>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let common = Common {
        batch: args.batch,
        command: args.command,
        queue: args.queue,
        max_attempts: args.max_attempts,
        timeout: args.timeout,
    };
    let from = args.from;
    let reading = tokio::task::spawn_blocking(move || Plan::read(Lines::open(from.as_deref())?, common));
    let (plan, batch) = tokio::select! {
        plan = reading => plan.map_err(|error| Failure::new(error.to_string()))??,
        () = stop.soon.cancelled() => return Err(Failure::new("stopped while reading the input; nothing was enqueued")),
    };
    let client = context.client().await?;
    let local = match args.jobs {
        Some(slots) => Some(Local::start(plan.queue(), slots, &args.pass_env, context).await?),
        None => None,
    };
    let worked = work(&plan, &client, local.as_ref(), &stop, context).await;
    let stopped = matches!(worked, Ok(None));
    if let Some(local) = local {
        local.stop(worked.is_err() || stopped, context).await?;
    }
    let Some(ends) =
        worked.map_err(|failure| if failure.is_usage() { failure } else { failure.with(&each::go_on(&batch)) })?
    else {
        return Err(Failure::new(each::stopped(&batch)));
    };
    if ends.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&each::failures(&ends.failed, plan.len(), &batch, |nth| plan.line(nth)));
    Ok(ExitCode::FAILURE)
}

/// Enqueues and collects at the same time. `None` when a signal ended it.
async fn work(
    plan: &Plan,
    client: &Client,
    local: Option<&Local>,
    stop: &Stop,
    context: &Context,
) -> Result<Option<Ends>, Failure> {
    let bar = progress::bar(plan.len() as u64);
    bar.set_message("done");
    let (sent, sending) = watch::channel(0);
    let mut collector = Collector::new(plan, client.store(), context, &bar);
    let both = async {
        let mut told = Told::default();
        let when_quiet = async |first| Ok(told.why_nothing_finishes(plan, first, client.store(), context).await);
        tokio::try_join!(send(plan, client, context, &sent), collector.run(sending, when_quiet))
    };
    let ended = tokio::select! {
        ended = both => ended.map(|_| true),
        () = stop.soon.cancelled() => Ok(false),
        () = ended_by_itself(local) => Ok(false),
    };
    bar.finish_and_clear();
    Ok(ended?.then_some(collector.ends))
}

/// Ready when the local worker could not start. Its error is reported when the worker is stopped.
async fn ended_by_itself(local: Option<&Local>) {
    match local {
        None => std::future::pending().await,
        Some(local) => {
            while !local.has_ended() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The shown reasons why no job finishes.
#[derive(Default)]
struct Told {
    paused: bool,
    unserved: bool,
}

impl Told {
    /// Called when no job finishes: prints the reason, if it is known and new. Returns whether all reasons have been
    /// shown.
    async fn why_nothing_finishes(&mut self, plan: &Plan, first: JobId, store: &Store, context: &Context) -> bool {
        if !self.paused
            && let Ok(settings) = store.queue_settings(plan.queue()).await
        {
            let is_kind_paused = settings.paused_kinds.iter().any(|kind| kind == KIND);
            if settings.paused {
                output::note(&each::paused(plan.queue()));
            } else if is_kind_paused {
                output::note(&each::kind_paused(plan.queue(), KIND));
            }
            self.paused = settings.paused || is_kind_paused;
        }
        if !self.unserved && is_declined(first, store).await {
            self.unserved = true;
            output::note(&each::declined(plan.queue()));
        }
        if !self.unserved && is_served(plan, context).await == Some(false) {
            self.unserved = true;
            output::note(&each::unserved(plan.queue()));
        }
        self.paused && self.unserved
    }
}

/// Whether the last worker that had the job has a command for every kind instead.
async fn is_declined(first: JobId, store: &Store) -> bool {
    let Ok(Some(job)) = store.job(first).await else { return false };
    job.trail.last().is_some_and(|last| last.note.as_deref() == Some(DECLINED))
}

/// Whether a worker runs commands of the queue; `None` when this is unknown.
async fn is_served(plan: &Plan, context: &Context) -> Option<bool> {
    let workers = context.handoff().await.ok()?.workers().await.ok()?;
    Some(workers.iter().any(|worker| {
        let kinds = worker.kinds.as_ref();
        worker.queues.iter().any(|(queue, _)| queue == plan.queue())
            && kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind.as_str() == KIND))
    }))
}
