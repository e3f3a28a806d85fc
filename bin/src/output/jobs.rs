//! Jobs: as a list, one job in full, and the end of a job.

use super::{human, table};
use leasehold::{Finished, JobRecord, Progress, ProgressNote, Retry, State, UniqueRule};
use leasehold_store::DeadLetter;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest error or result in a list, in characters.
const GIST_MAX_CHARS: usize = 60;
/// The longest note of the trail that is shown, such as the error of an attempt, in characters.
const NOTE_MAX_CHARS: usize = 300;

/// One line for each job.
pub(crate) fn list(jobs: &[JobRecord]) -> String {
    if jobs.is_empty() {
        return "no jobs".to_owned();
    }
    table(
        ["id", "queue", "kind", "state", "attempt>", "age>", ""],
        jobs.iter().map(|job| {
            [
                job.id.to_string(),
                job.queue.clone(),
                job.kind.clone(),
                job.state.to_string(),
                format!("{}/{}", job.attempt, job.max_attempts),
                human::age(job.created_at),
                gist(job),
            ]
        }),
    )
}

/// The most useful fact about a job in its state.
fn gist(job: &JobRecord) -> String {
    let text = match job.state {
        State::Scheduled => format!("due {}", human::from_now(job.run_at)),
        State::Running => {
            job.lease_expires_at.map_or_else(String::new, |end| format!("lease ends {}", human::from_now(end)))
        }
        State::Succeeded => job.result.as_ref().map_or_else(String::new, |result| result.get().to_owned()),
        State::Dead => job.last_error.clone().unwrap_or_default(),
        State::Cancelled => job.last_error.clone().unwrap_or_default(),
        State::Blocked | State::Queued => String::new(),
    };
    shortened(&text)
}

fn shortened(text: &str) -> String {
    shortened_to(text, GIST_MAX_CHARS)
}

fn shortened_to(text: &str, max_chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max_chars {
        return line;
    }
    format!("{}…", line.chars().take(max_chars - 1).collect::<String>())
}

/// All fields of one job.
pub(crate) fn card(job: &JobRecord) -> String {
    let mut lines: Vec<(&str, String)> = vec![
        ("id", job.id.to_string()),
        ("queue", job.queue.clone()),
        ("kind", job.kind.clone()),
        ("state", job.state.to_string()),
        ("priority", job.priority.to_string()),
        ("attempts", format!("{} of {}", job.attempt, job.max_attempts)),
        ("leases lost", format!("{} of {}", job.crashes, job.max_crashes)),
        ("epoch", job.epoch.to_string()),
    ];
    let mut put = |name: &'static str, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    put("worker", job.worker.map(|worker| worker.to_string()));
    put("created", Some(human::time(job.created_at)));
    put("not before", (job.run_at > job.created_at).then(|| human::time(job.run_at)));
    put("started", job.started_at.map(human::time));
    put("expires", job.expires_at.map(human::time));
    put("retry", job.retry.map(|retry| retry_in_words(&retry)));
    put("retry until", job.retry_until.map(human::time));
    put("lease until", job.lease_expires_at.map(human::time));
    put("cancel asked", job.cancel_requested_at.map(human::time));
    put("finished", job.finished_at.map(human::time));
    put("timeout", job.timeout_ms.map(|ms| human::duration(f64::from(ms) / 1000.0)));
    put("unique key", job.unique_key.clone());
    put("key frees", job.unique_rule.map(|rule| key_frees(rule).to_owned()));
    put("limit keys", job.limit_keys.as_ref().map(|keys| keys.join(", ")).or_else(|| job.limit_key.clone()));
    put("batch", job.batch.clone());
    put("fair key", job.fair_key.clone());
    put("webhook", job.webhook.clone());
    put("progress", job.progress.as_ref().map(progress_in_words));
    put("payload", Some(job.payload.get().to_owned()));
    put("result", job.result.as_ref().map(|result| result.get().to_owned()));
    put("last error", job.last_error.clone());
    let mut out = String::new();
    for (name, value) in lines {
        let value = value.trim_end().replace('\n', "\n              ");
        out.push_str(&format!("{name:<12}  {value}\n"));
    }
    for (nth, entry) in job.trail.iter().enumerate() {
        let name = if nth == 0 { "trail" } else { "" };
        let note = entry.note.as_deref().map(|note| format!(": {}", shortened_to(note, NOTE_MAX_CHARS)));
        let note = note.unwrap_or_default();
        out.push_str(&format!("{name:<12}  {}  {} (epoch {}){note}\n", human::time(entry.at), entry.verb, entry.epoch));
    }
    out
}

/// The connections of a job with dead letters.
pub(crate) fn letters(job: &JobRecord, letters: &[DeadLetter]) -> String {
    let line = |letter: &DeadLetter| {
        if letter.job == job.id {
            format!("dead letter   of job {}, which died in {}\n", letter.died, letter.died_in)
        } else {
            format!("dead letter   job {}, made {}\n", letter.job, human::time(letter.made_at))
        }
    };
    letters.iter().map(line).collect()
}

/// The part that is done, and the notes with their times.
fn progress_in_words(progress: &Progress) -> String {
    let done = progress.done.map(|done| format!("{:.0} % ({})", done * 100.0, human::from_now(progress.at)));
    let note = |note: &ProgressNote| format!("{}  {}", human::time(note.at), note.note.replace('\n', " "));
    done.into_iter().chain(progress.notes.iter().map(note)).collect::<Vec<_>>().join("\n")
}

fn retry_in_words(retry: &Retry) -> String {
    let time =
        |name: &str, time: Option<Duration>| time.map(|time| format!("{name} {}", human::duration(time.as_secs_f64())));
    let strategy = retry.strategy.map(|strategy| strategy.to_string());
    let parts = [strategy, time("from", retry.base), time("up to", retry.cap), time("for", retry.for_time)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// When a job with this rule frees its unique key.
const fn key_frees(rule: UniqueRule) -> &'static str {
    match rule {
        UniqueRule::Queued => "when the job begins",
        UniqueRule::KeepLast => "when the job begins, for one job that waits",
        rule => rule.as_str(),
    }
}

/// How a job ended, in one line.
pub(crate) fn finished(job: &Finished) -> String {
    let said = match job.state {
        State::Succeeded => job.result.as_ref().map_or("", |result| result.get()).to_owned(),
        _ => job.last_error.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    format!("{}  {}  {said}", job.id, job.state).trim_end().to_owned()
}

/// How a job ended, as JSON.
pub(crate) fn finished_json(job: &Finished) -> Value {
    json!({ "id": job.id, "state": job.state, "result": job.result, "last_error": job.last_error })
}
