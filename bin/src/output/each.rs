//! The messages of `leasehold each`.

use super::human;
use leasehold::{Finished, QueueName};
use leasehold_core::shell_word;

/// The maximum number of jobs that are named one by one; the rest is counted.
const NAMED_MAX: usize = 10;
/// The maximum number of characters of a line or an error.
const SHOWN_MAX: usize = 200;

/// The jobs that did not succeed, why, and which commands show more.
pub(crate) fn failures<'a>(
    failed: &[(usize, Finished)],
    of: usize,
    batch: &str,
    line: impl Fn(usize) -> &'a str,
) -> String {
    let jobs = human::count(of as u64, "job", "jobs");
    let mut out = format!("{} of {jobs} did not succeed:\n", human::grouped(failed.len() as u64));
    for (nth, end) in failed.iter().take(NAMED_MAX) {
        let error = end.last_error.as_deref().unwrap_or_default();
        let error = error.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let why = if error.is_empty() { String::new() } else { format!(": {}", clipped(error)) };
        out.push_str(&format!(
            "  line {} ({}) is {}{why}\n    leasehold job show {}\n",
            nth + 1,
            clipped(line(*nth)),
            end.state,
            end.id
        ));
    }
    if failed.len() > NAMED_MAX {
        out.push_str(&format!("  and {} more\n", human::grouped((failed.len() - NAMED_MAX) as u64)));
    }
    out.push_str(&format!("to run only these jobs again: the same command with --batch {}", shell_word(batch)));
    out
}

/// How to continue after a signal.
pub(crate) fn stopped(batch: &str) -> String {
    format!("stopped waiting; the jobs continue where workers run; {}", go_on(batch))
}

/// How to continue a batch.
pub(crate) fn go_on(batch: &str) -> String {
    format!("to continue here: the same command with --batch {}", shell_word(batch))
}

/// The message that no worker will run these jobs.
pub(crate) fn unserved(queue: &QueueName) -> String {
    format!(
        "no worker runs commands of the queue {queue}: start one with `leasehold worker --queue {queue} --commands`, or \
         run some here with --jobs N"
    )
}

/// The message that the workers of a queue run something else.
pub(crate) fn declined(queue: &QueueName) -> String {
    format!(
        "a worker of the queue {queue} has a command for every kind, and does not run these commands without --commands: start one \
         with `leasehold worker --queue {queue} --commands`, or run some here with --jobs N"
    )
}

/// The message that a queue is paused.
pub(crate) fn paused(queue: &QueueName) -> String {
    format!("the queue {queue} is paused, so none of its jobs starts: `leasehold queue resume {queue}` ends the pause")
}

/// The message that the kind of these jobs is paused in a queue.
pub(crate) fn kind_paused(queue: &QueueName, kind: &str) -> String {
    format!(
        "the kind {kind} is paused in the queue {queue}, so none of these jobs starts: \
         `leasehold queue resume {queue} --kind {kind}` ends the pause"
    )
}

/// A text, cut to one line.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}
