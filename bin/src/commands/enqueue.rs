//! `leasehold enqueue`.

use crate::{
    context::Context,
    failure::Failure,
    job_spec::{self, JobFlags},
    output::{self, progress},
    stdin_jobs,
};
use leasehold::Client;
use std::{io::IsTerminal, process::ExitCode};

/// Put jobs into a queue
///
/// Prints the id of each job once it is committed. From then on it reaches exactly one final state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold enqueue --kind mail --payload '{\"to\":\"ann@example.org\"}'
  leasehold enqueue --kind report --queue slow --delay 10m --max-attempts 3
  leasehold enqueue --kind sync --unique-key account-7 --payload @account.json
  jq -c '{kind: \"mail\", payload: .}' people.json | leasehold enqueue --stdin

With --stdin, each line is a JSON object with the fields kind, queue, payload, priority, delay (\"10s\"),
run_at (a time; not beside delay), unique_key, limit_key, max_attempts, timeout (\"30s\") and id. Flags give what a
line leaves out. Blank lines are passed over.
Lines are sent in batches of 500. A batch with a bad line is not sent at all: the command stops there, names
the line, and says how many lines before it were accepted. Lines with an id can be sent again safely.")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: JobFlags,
    /// Read jobs from standard input, one JSON object a line
    #[arg(long, conflicts_with_all = ["payload", "id", "unique_key"])]
    stdin: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.stdin {
        return many(&args.flags, context).await;
    }
    let job = job_spec::from_flags(&args.flags)?;
    let client = context.client().await?;
    let accepted = client.enqueue_many(&[job]).await.map_err(|error| context.failure(&error))?;
    for answer in &accepted {
        if context.json { output::json_lines(&[answer])? } else { output::line(&answer.id.to_string())? }
    }
    Ok(ExitCode::SUCCESS)
}

async fn many(flags: &JobFlags, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let bar = if std::io::stdin().is_terminal() { progress::hidden() } else { progress::counter() };
    bar.set_message("accepted");
    let mut batches = stdin_jobs::batches(flags.clone());
    let (mut accepted, mut last_line) = (0, 0);
    while let Some(batch) = batches.recv().await {
        let ended = match batch {
            Ok(batch) => send(&client, &batch.jobs, context).await.map(|()| batch),
            Err(failure) => Err(failure),
        };
        match ended {
            Ok(batch) => {
                accepted += batch.jobs.len() as u64;
                last_line = batch.lines.last().copied().unwrap_or(last_line);
            }
            Err(failure) => {
                bar.finish_and_clear();
                return Err(failure.with(&so_far(last_line)));
            }
        }
        bar.set_position(accepted);
    }
    bar.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

async fn send(client: &Client, jobs: &[leasehold::NewJob], context: &Context) -> Result<(), Failure> {
    let accepted = client.enqueue_many(jobs).await.map_err(|error| context.failure(&error))?;
    if context.json {
        return output::json_lines(&accepted);
    }
    output::text(&accepted.iter().map(|answer| format!("{}\n", answer.id)).collect::<String>())
}

fn so_far(last_line: u64) -> String {
    match last_line {
        0 => "nothing was accepted".to_owned(),
        line => {
            format!("lines 1 to {line} were accepted, nothing after them: go on from line {}", line + 1)
        }
    }
}
