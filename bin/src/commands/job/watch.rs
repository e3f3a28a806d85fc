//! `leasehold job watch`: follows one job until it ends. It reads the job again and again, and prints the changes
//! since the last read.

use super::ids::no_such_job;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, human},
    signals, times,
};
use leasehold::{Epoch, JobId, JobRecord, State, TrailEntry, WorkerId};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{process::ExitCode, time::Duration};
use tokio::time::Instant;

/// Follow a job live: its states, attempts, progress and notes, until it has finished
///
/// Exit 0 if the job succeeded; exit 1 if it is dead or was cancelled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold job watch 0198c5a4-…
  leasehold job watch --json 0198c5a4-… | jq -r 'select(.event == \"note\").note'")]
pub(crate) struct Args {
    /// The id of the job to follow
    id: JobId,
}

/// How long the command goes on while PostgreSQL cannot be read: a restart or a failover takes less.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two reads. A worker writes progress at most twice a second.
const PAUSE: Duration = Duration::from_millis(250);
pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let client = context.client().await?;
    let (mut seen, mut failing_since) = (Seen::default(), None);
    let mut has_news = false;
    let mut finished = Box::pin(client.wait_finished(args.id, times::FOR_EVER));
    loop {
        let job = match client.store().job(args.id).await {
            Ok(job) => job.ok_or_else(|| no_such_job(args.id))?,
            Err(error) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if !error.is_transient() || since.elapsed() > PATIENCE {
                    return Err(context.store_failure(error));
                }
                tokio::select! {
                    () = stop.soon.cancelled() => return Err(stopped()),
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        failing_since = None;
        for change in seen.changes(&job) {
            if context.json {
                output::json_lines(&[change])?;
            } else {
                output::line(&change.told())?;
            }
        }
        if job.state.is_final() {
            return Ok(if job.state == State::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        tokio::select! {
            biased;
            () = stop.soon.cancelled() => return Err(stopped()),
            // The next read shows the end, or why PostgreSQL cannot be read.
            _ = &mut finished, if !has_news => has_news = true,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn stopped() -> Failure {
    Failure::new("stopped watching; the job continues")
}

/// The state that was already shown.
#[derive(Default)]
struct Seen {
    state: Option<(State, Epoch)>,
    /// The last entry of the trail.
    trail: Option<TrailEntry>,
    /// The run, the part that is done, and the number of the last note.
    progress: (Epoch, Option<f64>, u64),
}

/// One change of a job.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Change<'a> {
    State {
        state: State,
        epoch: Epoch,
        attempt: i32,
        max_attempts: i32,
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<WorkerId>,
    },
    Trail(&'a TrailEntry),
    Progress {
        epoch: Epoch,
        done: f64,
    },
    Note {
        epoch: Epoch,
        nth: u64,
        note: &'a str,
    },
    End {
        state: State,
        result: Option<Text<'a>>,
        error: Option<&'a str>,
    },
}

/// JSON, unchanged.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Text<'a>(&'a RawValue);

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Seen {
    /// The changes since the last read.
    fn changes<'a>(&mut self, job: &'a JobRecord) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        // The trail keeps its newest entries, so the last entry that was shown can have any place, or none.
        let shown = job.trail.iter().rposition(|entry| self.trail.as_ref() == Some(entry)).map_or(0, |nth| nth + 1);
        changes.extend(job.trail[shown..].iter().map(Change::Trail));
        self.trail = job.trail.last().cloned();
        if self.state.replace((job.state, job.epoch)) != Some((job.state, job.epoch)) && !job.state.is_final() {
            let worker = job.worker.filter(|_| job.state == State::Running);
            let JobRecord { state, epoch, attempt, max_attempts, .. } = *job;
            changes.push(Change::State { state, epoch, attempt, max_attempts, worker });
        }
        if let Some(progress) = &job.progress {
            let (epoch, done, nth) = &mut self.progress;
            if *epoch != progress.epoch {
                (*epoch, *done, *nth) = (progress.epoch, None, 0);
            }
            for note in progress.notes.iter().filter(|note| note.nth > *nth) {
                changes.push(Change::Note { epoch: progress.epoch, nth: note.nth, note: &note.note });
            }
            *nth = progress.notes.last().map_or(*nth, |note| note.nth.max(*nth));
            if let Some(now) = progress.done.filter(|now| done.replace(*now) != Some(*now)) {
                changes.push(Change::Progress { epoch: progress.epoch, done: now });
            }
        }
        if job.state.is_final() {
            let error = job.last_error.as_deref().filter(|_| job.state != State::Succeeded);
            changes.push(Change::End { state: job.state, result: job.result.as_deref().map(Text), error });
        }
        changes
    }
}

impl Change<'_> {
    /// The change as a line for people.
    fn told(&self) -> String {
        match self {
            Self::State { state: State::Running, attempt, max_attempts, worker, .. } => {
                let worker = worker.map(|worker| format!(" on worker {worker}")).unwrap_or_default();
                format!("running      attempt {attempt} of {max_attempts}{worker}")
            }
            Self::State { state, .. } => state.to_string(),
            Self::Trail(entry) => {
                let note = entry.note.as_deref().map(|note| format!("  {}", note.trim_end())).unwrap_or_default();
                format!("{:<12} {}{note}", entry.verb, human::time(entry.at))
            }
            Self::Progress { done, .. } => format!("progress     {:.0} %", done * 100.0),
            Self::Note { note, .. } => format!("note         {}", note.replace('\n', " ")),
            Self::End { state, result, error } => {
                let more =
                    error.map(str::trim_end).or(result.as_ref().map(|result| result.0.get())).unwrap_or_default();
                format!("{:<12} {more}", state.to_string()).trim_end().to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(state: &str, more: &Value) -> JobRecord {
        let mut job = json!({
            "id": JobId::new(), "queue": "q", "kind": "k", "state": state, "priority": 0, "payload": 1, "result": null,
            "last_error": null, "attempt": 1, "max_attempts": 5, "crashes": 0, "max_crashes": 3, "epoch": 1, "worker": null,
            "run_at": "2030-01-01T00:00:00Z", "created_at": "2030-01-01T00:00:00Z", "started_at": null, "finished_at": null,
            "lease_expires_at": null, "cancel_requested_at": null, "timeout_ms": null, "unique_key": null, "limit_key": null,
            "retry": null, "retry_until": null, "expires_at": null, "unique_rule": null, "trail": [],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            job[name] = value.clone();
        }
        serde_json::from_value(job).expect("a record")
    }

    fn progress(epoch: i32, done: f64, last: u64) -> Value {
        let at = "2030-01-01T00:00:00Z";
        let notes: Vec<Value> =
            (1..=last).map(|nth| json!({"nth": nth, "at": at, "note": format!("n{nth}")})).collect();
        json!({"epoch": epoch, "done": done, "at": at, "notes": notes})
    }

    fn words(seen: &mut Seen, job: &JobRecord) -> Vec<String> {
        let word = |change: Change| serde_json::to_value(&change).expect("JSON")["event"].as_str().map(str::to_owned);
        seen.changes(job).into_iter().filter_map(word).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let mut seen = Seen::default();
        assert_eq!(words(&mut seen, &job("queued", &json!({}))), ["state"]);
        assert!(words(&mut seen, &job("queued", &json!({}))).is_empty());
        let running = |done, last| job("running", &json!({"progress": progress(1, done, last)}));
        assert_eq!(words(&mut seen, &running(0.2, 2)), ["state", "note", "note", "progress"]);
        assert!(words(&mut seen, &running(0.2, 2)).is_empty());
        assert_eq!(words(&mut seen, &running(0.2, 3)), ["note"]);
        let retried = json!({"at": "2030-01-01T00:00:00Z", "verb": "retry", "epoch": 1, "note": "no"});
        let trail = json!({"trail": [retried], "progress": progress(1, 0.2, 3)});
        assert_eq!(words(&mut seen, &job("scheduled", &trail)), ["trail", "state"]);
        let again = json!({"epoch": 2, "trail": [retried], "progress": progress(2, 0.1, 1)});
        assert_eq!(words(&mut seen, &job("running", &again)), ["state", "note", "progress"]);
        let ended = json!({"epoch": 2, "trail": [retried], "progress": progress(2, 1.0, 1), "result": {"a": 1}});
        let ended = job("succeeded", &ended);
        let told: Vec<String> = seen.changes(&ended).iter().map(Change::told).collect();
        assert_eq!(told, ["progress     100 %", "succeeded    {\"a\":1}"]);
    }
}
