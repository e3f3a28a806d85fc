//! `leasehold worker`.

use super::served::{PassEnv, Served, each_once, kind_and_command, kind_and_retry, queue_and_slots};
use crate::{addresses::address, context::Context, failure::Failure, job_line, output, signals};
use leasehold::{QueueName, Retry, Worker};
use leasehold_worker::Exec;
use std::{net::SocketAddr, process::ExitCode, sync::Arc, thread::available_parallelism, time::Duration};

/// Run a worker process: take jobs, run commands, renew leases
///
/// TERM, HUP or Ctrl-C stops the worker gracefully: the worker takes no more jobs, lets commands finish for
/// worker.grace_ms, and releases the other jobs without spending an attempt. A second signal skips the grace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold worker --queue mail --exec 'mail=./send-mail'
  leasehold worker --queue images=8 --queue mail=2 --exec 'resize=./resize.sh' \\
    --exec '*=./other'
  # for the jobs of `leasehold each`
  leasehold worker --queue files --commands

A command gets the payload on standard input; its standard output is the result. Exit 0:
succeeded; 75: run again later without spending an attempt; 65: can never succeed, dead at once; \
any other: failed, retried with backoff.

File descriptor 3 takes lines of JSON: {\"progress\": 0.4, \"note\": \"…\"} at any time, and \
{\"enqueue\": {…}}, with the fields of a line of `leasehold enqueue --stdin`: the job is made \
together with the success of the command, or not at all.")]
pub(crate) struct Args {
    /// A queue to serve, and how many of its jobs run at the same time [default slots: one per CPU] (repeatable)
    #[arg(long = "queue", value_name = "NAME[=SLOTS]", required = true, value_parser = queue_and_slots)]
    queues: Vec<(QueueName, Option<u32>)>,
    /// The command for jobs of a kind, or of every other kind with `*=…` (repeatable)
    #[arg(long = "exec", value_name = "KIND=COMMAND", value_parser = kind_and_command)]
    commands_by_kind: Vec<(Served, String)>,
    /// How failed jobs of a kind with a command are tried again, such as mail=linear:10s:1h: exponential (with jitter), linear or
    /// fixed, then the delay after the first attempt, then the longest delay. A job's own words come first (repeatable)
    #[arg(long = "retry", value_name = "KIND=STRATEGY[:BASE[:CAP]]", value_parser = kind_and_retry)]
    retries: Vec<(Served, Retry)>,
    /// Run the commands that jobs of `leasehold each` carry. Everybody who may enqueue can then run programs on this
    /// machine
    #[arg(long)]
    commands: bool,
    #[command(flatten)]
    pass_env: PassEnv,
    /// Serve /healthz, /readyz and /metrics here, such as 0.0.0.0:9464 [default: worker.listen]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
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
    each_once("--queue", args.queues.iter().map(|(queue, _)| queue))?;
    each_once("--exec", args.commands_by_kind.iter().map(|(served, _)| served))?;
    each_once("--retry", args.retries.iter().map(|(served, _)| served))?;
    let command_of = |wanted: &Served| args.commands_by_kind.iter().find(|(of, _)| of == wanted);
    let mut commands_by_kind = args.commands_by_kind.clone();
    for (served, _) in &args.retries {
        let Served::Kind(kind) = served else { continue };
        match (command_of(served), command_of(&Served::Any)) {
            (Some(_), _) => {}
            // The command of every other kind also runs this kind, but with its own delays.
            (None, Some((_, command))) => commands_by_kind.push((served.clone(), command.clone())),
            (None, None) => {
                return Err(Failure::usage(format!(
                    "--retry {kind}=…: there is neither --exec {kind}=… nor --exec '*=…'"
                )));
            }
        }
    }
    let passed = args.pass_env.passed();
    for (served, command) in &commands_by_kind {
        let exec =
            Exec::shell(command, kill_after).map_err(|error| Failure::usage(format!("--exec {command:?}: {error}")))?;
        let mut exec = exec.passing(&passed).enqueueing(job_line::from_command);
        let of = |wanted: &Served| args.retries.iter().find(|(of, _)| of == wanted).map(|(_, retry)| retry);
        if let Some(retry) = of(served).or_else(|| of(&Served::Any)) {
            exec = exec.retrying(retry.backoff(config.backoff()));
        }
        worker = match served {
            Served::Kind(kind) => worker.handler(kind.as_str(), Arc::new(exec)),
            Served::Any => worker.handler_of_any_kind(Arc::new(super::each::ButNotOfEach(exec))),
        };
    }
    if args.commands {
        worker = worker.handler(
            super::each::KIND,
            Arc::new(Exec::from_payload(kill_after).passing(&passed).enqueueing(job_line::from_command)),
        );
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
        // The log has the reason. The exit code says that the ends of some runs are not written yet.
        _ => Ok(ExitCode::FAILURE),
    }
}
