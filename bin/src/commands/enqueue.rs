//! `leasehold enqueue`.

use crate::{
    context::Context,
    failure::Failure,
    job_flags::{self, JobFlags},
    output::{self, progress},
    stdin_jobs::{self, Batch},
};
use leasehold::{Client, JobId, OnConflict};
use std::{io::IsTerminal, process::ExitCode};

/// Put jobs into a queue
///
/// Prints the id of each job once the job is committed. From then on the job reaches exactly one final state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold enqueue --kind mail --payload '{\"to\":\"ann@example.org\"}'
  leasehold enqueue --kind report --queue slow --delay 10m --max-attempts 3
  leasehold enqueue --kind sync --unique-key account-7 --payload @account.json
  leasehold enqueue --kind report --depends-on $LOAD $CHECK \\
    --on-parent-failure run
  leasehold enqueue --kind call --retry linear --retry-base 10s --retry-for 2d \\
    --expires-in 1h
  # one runs, the last one waits
  leasehold enqueue --kind build --unique-key main \\
    --unique-on-conflict keep_last
  # 10s after the last one, 5m after the first one
  leasehold enqueue --kind index --unique-fields doc --unique-while queued \\
    --unique-on-conflict replace --delay 10s --unique-longest-wait 5m \\
    --payload '{\"doc\": 7}'
  jq -c '{kind: \"mail\", payload: .}' people.json | leasehold enqueue --stdin

With --stdin, each line is a JSON object. Its fields mean the same as the flags:
  kind, queue, priority, max_attempts, id, unique_key, batch, fair_key,
  webhook, traceparent
  payload            any JSON
  delay or run_at    \"10s\", or a time
  timeout            \"30s\"
  expires_at or expires_in   a time, or \"10m\"
  limit_key or limit_keys    a key, or an array of up to eight keys
  depends_on         an array of ids; on_parent_failure: cancel, hold or run
  retry              {\"strategy\": \"linear\", \"base\": \"10s\", \"cap\": \"1h\",
                      \"for\": \"2d\"}
  unique             {\"while\": \"queued\", \"on_conflict\": \"replace\",
                      \"until\": a time, \"for\": \"1h\", \"fields\": [\"a\"],
                      \"payload\": true, \"longest_wait\": \"5m\"}
Flags set the fields that a line does not have. Blank lines are ignored. Lines are sent in batches \
of 500. Of a batch with a bad line nothing is accepted: the command stops there, names the line, and \
says how many lines before it were accepted. Lines with an id can be sent again safely. A line \
whose unique key, id or parent is held by an open transaction of another session for longer than \
database.lock_timeout_ms is named and passed over, and so are the lines that depend on it: exit 1.")]
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
    let job = job_flags::from_flags(&args.flags)?;
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
        let batch = match batch {
            Ok(batch) => batch,
            Err(failure) => {
                bar.finish_and_clear();
                return Err(failure.with(&so_far(last_line, held)));
            }
        };
        let sent = send(&client, &batch, context).await?;
        if let Some(failure) = sent.failed {
            bar.finish_and_clear();
            let not_accepted = sent.not_accepted;
            if let Some(first) = sent.unknown {
                return Err(failure.with(&unknown(last_line, &not_accepted, first)));
            }
            return Err(if not_accepted.len() == batch.jobs.len() {
                failure.with(&so_far(last_line, held))
            } else {
                let last = batch.lines.last().copied().unwrap_or(last_line);
                let but = if held > 0 { " and those named above" } else { "" };
                let lines = ranges(&not_accepted);
                failure.with(&format!(
                    "lines 1 to {last} were accepted except {lines}{but}, nothing after them: send {lines} again, and go on from line {}",
                    last + 1
                ))
            });
        }
        jobs += batch.jobs.len() as u64;
        held += sent.not_accepted.len() as u64;
        last_line = batch.lines.last().copied().unwrap_or(last_line);
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

/// The result for a batch.
struct Sent {
    /// The numbers of the lines whose jobs do not exist, in order.
    not_accepted: Vec<u64>,
    /// Why the command ends here.
    failed: Option<Failure>,
    /// The first of the jobs of which it is not known whether they exist.
    unknown: Option<JobId>,
}

/// Sends one batch and prints the ids of its jobs. Reports each job that other transactions hold.
async fn send(client: &Client, batch: &Batch, context: &Context) -> Result<Sent, Failure> {
    let (accepted, held, failed) = match client.enqueue_many(&batch.jobs).await {
        Ok(answers) => (answers.into_iter().map(Some).collect(), Vec::new(), None),
        Err(leasehold::Error::Locked(locked)) => (locked.accepted, locked.held, None),
        Err(error) => {
            let accepted = match &error {
                leasehold::Error::Store(source) => source.accepted_in_part().to_vec(),
                _ => Vec::new(),
            };
            (accepted, Vec::new(), Some(error))
        }
    };
    let printed: Vec<_> = accepted.iter().flatten().collect();
    if context.json {
        output::json_lines(&printed)?;
    } else {
        output::text(&printed.iter().map(|answer| format!("{}\n", answer.id)).collect::<String>())?;
    }
    for held in &held {
        let line = batch.lines.get(held.nth).copied().unwrap_or_default();
        Failure::new(held.to_string()).at_line(line).report();
    }
    let is_left = |nth: &usize| accepted.get(*nth).is_none_or(Option::is_none);
    let left: Vec<usize> = (0..batch.jobs.len()).filter(is_left).collect();
    let unknown = match &failed {
        Some(leasehold::Error::OutcomeUnknown { ids, .. }) => ids.first().copied(),
        _ => None,
    };
    let failed = match failed {
        Some(error) => Some(at_its_line(client, batch, &left, &error, context).await),
        None => None,
    };
    Ok(Sent { not_accepted: left.into_iter().map(|nth| batch.lines[nth]).collect(), failed, unknown })
}

/// The failure of a batch. If PostgreSQL refused one of the jobs, with the line of this job.
async fn at_its_line(
    client: &Client,
    batch: &Batch,
    left: &[usize],
    error: &leasehold::Error,
    context: &Context,
) -> Failure {
    let failure = context.failure(error);
    if !matches!(error, leasehold::Error::Store(source) if source.refused_value().is_some()) {
        return failure;
    }
    let jobs: Vec<_> = left.iter().map(|&nth| batch.jobs[nth].clone()).collect();
    match client.store().first_refused(&jobs).await {
        Some(place) => failure.at_line(batch.lines[left[place]]),
        None => failure,
    }
}

/// Numbers of lines for a message: `lines 3, 7 to 9`.
fn ranges(lines: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &line in lines {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == line => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    let told = |&(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    let told: Vec<String> = ranges.iter().map(told).collect();
    format!("{} {}", if lines.len() == 1 { "line" } else { "lines" }, told.join(", "))
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

/// What to do when the connection was lost before the answer. A new id is made for each line that is sent again, so a user must
/// not send accepted lines again.
fn unknown(last_line: u64, lines: &[u64], first: JobId) -> String {
    let accepted = match last_line {
        0 => String::new(),
        line => format!("lines 1 to {line} were accepted; "),
    };
    let (from, to) = (lines.first().copied().unwrap_or_default(), lines.last().copied().unwrap_or_default());
    format!(
        "{accepted}of {} it is not known: if `leasehold job show {first}` finds that job, go on from line {}, and if not, from line {from}",
        ranges(lines),
        to + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_lines_are_not_sent_again_blindly() {
        let first = JobId(uuid::Uuid::nil());
        let text = unknown(1_500, &[1_501, 1_502], first);
        assert!(text.starts_with("lines 1 to 1500 were accepted; of lines 1501 to 1502 it is not known: "), "{text}");
        assert!(text.ends_with("go on from line 1503, and if not, from line 1501"), "{text}");
    }

    #[test]
    fn lines_are_named_in_ranges() {
        assert_eq!(ranges(&[3]), "line 3");
        assert_eq!(ranges(&[3, 7, 8, 9, 12, 13]), "lines 3, 7 to 9, 12 to 13");
    }
}
