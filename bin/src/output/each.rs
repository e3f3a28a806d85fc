//! The messages of `leasehold each`.

use super::human;
use leasehold::{Finished, QueueName};

/// So many jobs are named one by one; the rest is counted.
const NAMED_MAX: usize = 10;
/// Characters of a line or of an error that are shown.
const SHOWN_MAX: usize = 200;

/// Which jobs did not succeed, why, and how to look further.
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
    out.push_str(&format!("to try those again, and only those: the same command with --batch {}", quoted(batch)));
    out
}

/// How to go on after a signal.
pub(crate) fn stopped(batch: &str) -> String {
    format!("stopped waiting; the jobs go on by themselves where workers run; {}", go_on(batch))
}

/// How to go on with a batch.
pub(crate) fn go_on(batch: &str) -> String {
    format!("to go on here: the same command with --batch {}", quoted(batch))
}

/// The message that no worker will run these jobs.
pub(crate) fn unserved(queue: &QueueName) -> String {
    format!(
        "no worker runs commands of the queue {queue}: start one with `leasehold worker --queue {queue} --commands`, or \
         run some here with --jobs N"
    )
}

/// The message that a queue is paused.
pub(crate) fn paused(queue: &QueueName) -> String {
    format!("the queue {queue} is paused, so nothing of it is started: `leasehold queue resume {queue}` ends that")
}

/// A text, cut to one line.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}

/// A text, quoted for a shell.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
