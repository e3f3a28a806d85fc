//! `leasehold worker`.

use crate::{context::Context, failure::Failure, output, signals};
use leasehold::{Kind, QueueName, Worker};
use leasehold_worker::{Exec, PassedEnv};
use std::{net::SocketAddr, process::ExitCode, sync::Arc, thread::available_parallelism, time::Duration};

/// Run a worker process: take jobs, run commands, keep the leases alive
///
/// TERM, HUP or Ctrl-C stops it gracefully: it takes nothing more, lets commands finish for worker.grace_ms, and gives the
/// others back with their attempt. A second signal skips the grace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold worker --queue mail --exec 'mail=./send-mail'
  leasehold worker --queue images=8 --queue mail=2 --exec 'resize=./resize.sh' --exec '*=./other'
  leasehold worker --queue files --commands      # for the jobs of `leasehold each`

A command gets the payload on standard input; what it prints is the result. Exit 0: succeeded; 75: again later, no
attempt spent; 65: never will, dead at once; any other: failed, tried again with backoff.")]
pub(crate) struct Args {
    /// A queue to serve, and how many jobs of it run at once [default slots: one per CPU] (repeatable)
    #[arg(long = "queue", value_name = "NAME[=SLOTS]", required = true, value_parser = queue_and_slots)]
    queues: Vec<(QueueName, Option<u32>)>,
    /// The command for jobs of a kind, or of every other kind with `*=…` (repeatable)
    #[arg(long = "exec", value_name = "KIND=COMMAND", value_parser = kind_and_command)]
    commands_by_kind: Vec<(Served, String)>,
    /// Run the commands that jobs of `leasehold each` carry. Whoever may enqueue can then run programs here
    #[arg(long)]
    commands: bool,
    #[command(flatten)]
    pass_env: PassEnv,
    /// Serve /healthz, /readyz and /metrics here, such as 0.0.0.0:9464 [default: worker.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Which variables commands get.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PassEnv {
    /// Also give commands these of this process's own LEASEHOLD_… variables, or all of them if none is named. Without it they
    /// get none, since there are passwords among them (repeatable)
    #[arg(long = "pass-env", value_name = "NAME", num_args = 0..=1, value_delimiter = ',', default_missing_value = ALL)]
    names: Vec<String>,
}

/// What stands for all names.
const ALL: &str = "*";

impl PassEnv {
    /// The same for the library.
    pub(crate) fn passed(&self) -> PassedEnv {
        match &self.names {
            names if names.is_empty() => PassedEnv::None,
            names if names.iter().any(|name| name == ALL) => PassedEnv::All,
            names => PassedEnv::Only(names.clone()),
        }
    }

    /// The same as an argument of another process.
    pub(crate) fn as_argument(&self) -> Option<String> {
        (!self.names.is_empty()).then(|| format!("--pass-env={}", self.names.join(",")))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Served {
    Kind(Kind),
    Any,
}

pub(crate) fn queue_and_slots(text: &str) -> Result<(QueueName, Option<u32>), String> {
    let (name, slots) = text.split_once('=').map_or((text, None), |(name, slots)| (name, Some(slots)));
    let name = name.parse().map_err(|error| format!("the name {error}"))?;
    let slots = match slots.map(str::parse) {
        None => None,
        Some(Ok(slots @ 1..=10_000)) => Some(slots),
        Some(_) => return Err("the slots must be a number from 1 to 10000".to_owned()),
    };
    Ok((name, slots))
}

pub(crate) fn kind_and_command(text: &str) -> Result<(Served, String), String> {
    let (kind, command) = text.split_once('=').ok_or("must be KIND=COMMAND, such as 'mail=./send-mail'")?;
    let kind = match kind {
        "*" => Served::Any,
        kind => Served::Kind(kind.parse().map_err(|error| format!("the kind {error}"))?),
    };
    Ok((kind, command.to_owned()))
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let kill_after = Duration::from_millis(context.config.worker.kill_after_ms);
    let mut config = context.config.clone();
    config.worker.listen = args.listen.or(config.worker.listen);
    let mut worker = Worker::builder(&config);
    if args.commands_by_kind.is_empty() && !args.commands {
        return Err(Failure::usage(
            "this worker would never take a job: give it --exec KIND=COMMAND, or --commands for jobs of `leasehold each`",
        ));
    }
    let passed = args.pass_env.passed();
    for (served, command) in &args.commands_by_kind {
        let exec =
            Exec::shell(command, kill_after).map_err(|error| Failure::usage(format!("--exec {command:?}: {error}")))?;
        let exec = exec.passing(&passed);
        worker = match served {
            Served::Kind(kind) => worker.handler(kind.as_str(), Arc::new(exec)),
            Served::Any => worker.handler_of_any_kind(Arc::new(exec)),
        };
    }
    if args.commands {
        worker = worker.handler(super::each::KIND, Arc::new(Exec::from_payload(kill_after).passing(&passed)));
    }
    let one_per_cpu = available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    for (queue, slots) in &args.queues {
        worker = worker.queue(queue.as_str(), slots.unwrap_or(one_per_cpu));
    }
    let tally = worker.run(stop.soon, stop.now).await.map_err(|error| context.failure(&error))?;
    tracing::info!(
        claimed = tally.claimed,
        succeeded = tally.succeeded,
        retried = tally.retried,
        snoozed = tally.snoozed,
        released = tally.released,
        buried = tally.buried,
        cancelled = tally.cancelled,
        leases_lost = tally.leases_lost,
        stale_writes_refused = tally.stale_writes_refused,
        hints_refused = tally.hints_refused,
        deferred = tally.deferred,
        unwritten = tally.unwritten,
        "the worker has stopped"
    );
    if context.json {
        output::json_lines(&[tally])?;
    }
    match tally.deferred + tally.unwritten {
        0 => Ok(ExitCode::SUCCESS),
        // The worker has said why. Whoever runs it should know that this stop was not a clean one.
        _ => Ok(ExitCode::FAILURE),
    }
}
