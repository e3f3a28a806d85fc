//! `leasehold enqueue`.

use crate::{
    context::Context,
    failure::Failure,
    job_spec::{self, JobFlags},
    output::{self, progress},
    stdin_jobs::{self, Batch},
};
use leasehold::{Client, OnConflict};
use std::{io::IsTerminal, process::ExitCode};

/// Put jobs into a queue
///
/// Prints the id of each job once the job is committed. From then on the job reaches exactly one final state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold enqueue --kind mail --payload '{\"to\":\"ann@example.org\"}'
  leasehold enqueue --kind report --queue slow --delay 10m --max-attempts 3
  leasehold enqueue --kind sync --unique-key account-7 --payload @account.json
  leasehold enqueue --kind report --depends-on $LOAD $CHECK --on-parent-failure run
  leasehold enqueue --kind call --retry linear --retry-base 10s --retry-for 2d --expires-in 1h
  leasehold enqueue --kind build --unique-key main --unique-on-conflict keep_last   # one runs, the last one waits
  leasehold enqueue --kind index --unique-fields doc --unique-while queued --unique-on-conflict replace \\
    --delay 10s --unique-longest-wait 5m --payload '{\"doc\": 7}'   # 10s after the last one, 5m after the first one
  jq -c '{kind: \"mail\", payload: .}' people.json | leasehold enqueue --stdin

With --stdin, each line is a JSON object with the fields kind, queue, payload, priority, delay (\"10s\"),
run_at (a time; not beside delay), unique_key, max_attempts, timeout (\"30s\"), id, expires_at or expires_in
(\"10m\"), retry ({\"strategy\": \"linear\", \"base\": \"10s\", \"cap\": \"1h\", \"for\": \"2d\"}), unique ({\"while\":
\"queued\", \"on_conflict\": \"replace\", \"until\": a time, \"for\": \"1h\", \"fields\": [\"a\"], \"payload\": true,
\"longest_wait\": \"5m\"}), depends_on (an array of ids) and on_parent_failure. Flags set the fields that a line
does not have. Blank lines are ignored.
Lines are sent in batches of 500. A batch with a bad line is not sent at all: the command stops there, names
the line, and says how many lines before it were accepted. Lines with an id can be sent again safely. A line
whose unique key or id is held by an open transaction of another session for longer than
database.lock_timeout_ms is named and passed over: exit 1.")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: JobFlags,
    /// Read jobs from standard input, one JSON object per line
    #[arg(long, conflicts_with_all = ["payload", "id", "unique_key"])]
    stdin: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.stdin {
        return many(&args.flags, context).await;
    }
    let job = job_spec::from_flags(&args.flags)?;
    let (id, replaces) = (job.id, job.unique.as_ref().is_some_and(|unique| unique.on_conflict == OnConflict::Replace));
    let client = context.client().await?;
    let accepted = client.enqueue_many(&[job]).await.map_err(|error| context.failure(&error))?;
    for answer in &accepted {
        if replaces && !answer.inserted && !answer.replaced && answer.id != id {
            output::note(&format!(
                "nothing was enqueued, and the new payload is not used: job {} has this unique key and is {}, and only a job that \
                 waits is replaced; --unique-on-conflict keep_last would let the new job wait for its end",
                answer.id, answer.state
            ));
        }
        if context.json { output::json_lines(&[answer])? } else { output::line(&answer.id.to_string())? }
    }
    Ok(ExitCode::SUCCESS)
}

async fn many(flags: &JobFlags, context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client().await?;
    let bar = if std::io::stdin().is_terminal() { progress::hidden() } else { progress::counter() };
    bar.set_message("accepted");
    let mut batches = stdin_jobs::batches(flags.clone());
    let (mut jobs, mut held, mut last_line) = (0, 0, 0);
    while let Some(batch) = batches.recv().await {
        let ended = match batch {
            Ok(batch) => send(&client, &batch, context).await.map(|held| (batch, held)),
            Err(failure) => Err(failure),
        };
        match ended {
            Ok((batch, more_held)) => {
                jobs += batch.jobs.len() as u64;
                held += more_held;
                last_line = batch.lines.last().copied().unwrap_or(last_line);
            }
            Err(failure) => {
                bar.finish_and_clear();
                return Err(failure.with(&so_far(last_line, held)));
            }
        }
        bar.set_position(jobs - held);
    }
    bar.finish_and_clear();
    if held > 0 {
        return Err(Failure::new(format!(
            "{held} of {jobs} lines were not accepted (see the messages above); all other lines were accepted"
        )));
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends one batch. Returns how many of its jobs other transactions hold; each of these is reported.
async fn send(client: &Client, batch: &Batch, context: &Context) -> Result<u64, Failure> {
    let (accepted, held) = match client.enqueue_many(&batch.jobs).await {
        Err(leasehold::Error::Locked(locked)) => (locked.accepted, locked.held),
        answers => (answers.map_err(|error| context.failure(&error))?.into_iter().map(Some).collect(), Vec::new()),
    };
    let accepted: Vec<_> = accepted.into_iter().flatten().collect();
    if context.json {
        output::json_lines(&accepted)?;
    } else {
        output::text(&accepted.iter().map(|answer| format!("{}\n", answer.id)).collect::<String>())?;
    }
    for held in &held {
        let line = batch.lines.get(held.nth).copied().unwrap_or_default();
        Failure::new(held.to_string()).at_line(line).report();
    }
    Ok(held.len() as u64)
}

fn so_far(last_line: u64, held: u64) -> String {
    let but = if held > 0 { " except the lines named above" } else { "" };
    match last_line {
        0 => "nothing was accepted".to_owned(),
        line => {
            format!("lines 1 to {line} were accepted{but}, nothing after them: go on from line {}", line + 1)
        }
    }
}
