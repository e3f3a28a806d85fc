//! Why a job is where it is: a pure function of what both stores say.

use crate::output::human;
use chrono::Utc;
use leasehold::{JobId, JobRecord, State};
use leasehold_handoff::WorkerRecord;
use serde::Serialize;

/// Jobs before this one are counted up to here.
pub(crate) const POSITION_LIMIT: i64 = 100_000;

/// What was found out about a job.
pub(crate) struct Facts {
    pub(crate) job: JobRecord,
    /// Whether its queue is paused.
    pub(crate) paused: bool,
    /// How many jobs stand before it in the line.
    pub(crate) position: Option<i64>,
    /// The workers that live, or why Redis could not say.
    pub(crate) workers: Result<Vec<WorkerRecord>, String>,
}

/// Why a job is where it is.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) id: JobId,
    pub(crate) state: State,
    /// The most telling first.
    pub(crate) reasons: Vec<Reason>,
}

/// One reason.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// For programs: `paused`, `scheduled`, `no_worker` …
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) text: String,
}

fn reason(code: &'static str, text: impl Into<String>) -> Reason {
    Reason { code, text: text.into() }
}

impl Explanation {
    pub(crate) fn of(facts: &Facts) -> Self {
        let job = &facts.job;
        let mut reasons = match job.state {
            State::Blocked => vec![reason("blocked", "it waits for other jobs to succeed")],
            State::Scheduled => scheduled(job),
            State::Queued => queued(facts),
            State::Running => running(facts),
            State::Succeeded | State::Dead | State::Cancelled => vec![finished(job)],
        };
        if matches!(job.state, State::Scheduled | State::Blocked) {
            reasons.extend(not_served(facts));
        }
        Self { id: job.id, state: job.state, reasons }
    }
}

fn scheduled(job: &JobRecord) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if job.run_at <= Utc::now() {
        reasons.push(reason(
            "due",
            format!(
                "its time has come ({}); a reaper puts it into the line at its next tick: is one running?",
                human::time(job.run_at)
            ),
        ));
    } else {
        reasons.push(reason("scheduled", format!("it is not to start before {}", human::time(job.run_at))));
    }
    if let (Some(last), true) = (job.trail.last(), job.attempt > 0 || !job.trail.is_empty()) {
        let note = last.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        let attempts = format!("{} of {} attempts are spent", job.attempt, job.max_attempts);
        reasons
            .push(reason("after", format!("the last thing that happened to it was {}{note}; {attempts}", last.verb)));
    }
    reasons
}

fn queued(facts: &Facts) -> Vec<Reason> {
    let job = &facts.job;
    let mut reasons = Vec::new();
    if facts.paused {
        let resume = format!("the queue {0} is paused; `leasehold queue resume {0}` lets it go on", job.queue);
        reasons.push(reason("paused", resume));
    }
    let unserved = not_served(facts);
    let served = unserved.is_none();
    reasons.extend(unserved);
    match facts.position {
        Some(0) if reasons.is_empty() => {
            reasons.push(reason("next", "it is the next one of its line: the next free slot takes it"));
        }
        Some(0) => reasons.push(reason("position", "it is the next one of its line")),
        Some(before) => {
            let before = u64::try_from(before).unwrap_or(0);
            let more = if i64::try_from(before) == Ok(POSITION_LIMIT) { "at least " } else { "" };
            reasons.push(reason(
                "position",
                format!("{more}{} before it in the line", human::count(before, "job stands", "jobs stand")),
            ));
        }
        None => reasons.push(reason("moved", "it has left the line while we looked; ask again")),
    }
    if let (true, Ok(workers)) = (served, &facts.workers) {
        let (free, slots) = capacity(workers, job);
        if slots > 0 && free == 0 {
            reasons.push(reason("busy", format!("all {slots} slots of the workers that serve it are taken")));
        }
    }
    reasons
}

fn running(facts: &Facts) -> Vec<Reason> {
    let job = &facts.job;
    let worker = job.worker.map(|worker| worker.to_string()).unwrap_or_default();
    let place =
        facts.workers.as_ref().ok().and_then(|workers| workers.iter().find(|known| Some(known.id) == job.worker));
    let place = place.map(|known| format!(" (process {} on {})", known.pid, known.host)).unwrap_or_default();
    let since = job.started_at.map(|time| format!(" since {}", human::time(time))).unwrap_or_default();
    let mut reasons = vec![reason(
        "running",
        format!("worker {worker}{place} runs it{since}, attempt {} of {}", job.attempt, job.max_attempts),
    )];
    if let Some(end) = job.lease_expires_at {
        let left = (end - Utc::now()).as_seconds_f64();
        reasons.push(if left > 0.0 {
            reason("lease", format!("its lease holds for another {} unless it is renewed", human::duration(left)))
        } else {
            reason(
                "lease_ran_out",
                format!(
                    "its lease ran out {} ago; a reaper puts it back at its next tick: is one running?",
                    human::duration(-left)
                ),
            )
        });
    }
    if let Some(asked) = job.cancel_requested_at {
        reasons.push(reason("cancel_wanted", format!("a cancel was asked for {}", human::from_now(asked))));
    }
    reasons
}

fn finished(job: &JobRecord) -> Reason {
    let when = job.finished_at.map(human::time).unwrap_or_default();
    match job.state {
        State::Succeeded => reason("succeeded", format!("it succeeded {when}")),
        State::Cancelled => reason("cancelled", format!("it was cancelled {when}; `leasehold job retry` would run it")),
        _ => {
            let why = if job.crashes >= job.max_crashes {
                format!("{} workers were lost while they ran it", job.crashes)
            } else {
                format!("{} of {} attempts were spent", job.attempt, job.max_attempts)
            };
            let error = job.last_error.as_deref().map(|error| format!("; the last error: {error}")).unwrap_or_default();
            reason("dead", format!("it died {when}: {why}{error}"))
        }
    }
}

/// That no worker serves its queue, or none its kind; or that nobody can say.
fn not_served(facts: &Facts) -> Option<Reason> {
    let job = &facts.job;
    let workers = match &facts.workers {
        Ok(workers) => workers,
        Err(problem) => {
            return Some(reason(
                "redis_away",
                format!("which workers live is not known, since Redis cannot be asked: {problem}"),
            ));
        }
    };
    let of_queue: Vec<_> = workers.iter().filter(|worker| slots_for(worker, job) > 0).collect();
    if of_queue.is_empty() {
        return Some(reason("no_worker", format!("no live worker serves the queue {}", job.queue)));
    }
    if of_queue.iter().any(|worker| serves_kind(worker, job)) {
        return None;
    }
    let count = human::count(of_queue.len() as u64, "worker that serves", "workers that serve");
    Some(reason(
        "no_handler",
        format!("none of the {count} the queue {} has a handler for the kind {}", job.queue, job.kind),
    ))
}

fn slots_for(worker: &WorkerRecord, job: &JobRecord) -> u32 {
    worker.queues.iter().filter(|(queue, _)| queue.as_str() == job.queue).map(|(_, slots)| slots).sum()
}

fn serves_kind(worker: &WorkerRecord, job: &JobRecord) -> bool {
    worker.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.as_str() == job.kind))
}

/// Free slots and all slots of the workers that serve only this queue and the job's kind. A worker of several
/// queues does not say which of them its running jobs are of.
fn capacity(workers: &[WorkerRecord], job: &JobRecord) -> (u32, u32) {
    let fit = workers.iter().filter(|worker| slots_for(worker, job) > 0 && serves_kind(worker, job));
    fit.fold((0, 0), |(free, all), worker| {
        let slots = slots_for(worker, job);
        let busy = if worker.queues.len() == 1 { worker.running.min(slots) } else { 0 };
        (free + slots - busy, all + slots)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::WorkerId;
    use serde_json::json;

    fn job(state: &str) -> JobRecord {
        serde_json::from_value(json!({
            "id": JobId::new(), "queue": "q", "kind": "k", "state": state, "priority": 0, "payload": {}, "result": null,
            "last_error": null, "attempt": 0, "max_attempts": 5, "crashes": 0, "max_crashes": 3, "epoch": 0,
            "worker": null, "run_at": "2020-01-01T00:00:00Z", "created_at": "2020-01-01T00:00:00Z", "started_at": null,
            "finished_at": null, "lease_expires_at": null, "cancel_requested_at": null, "timeout_ms": null,
            "unique_key": null, "limit_key": null, "trail": []
        }))
        .expect("a job")
    }

    fn worker(queue: &str, kinds: Option<&[&str]>, running: u32) -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(),
            host: "h".into(),
            pid: 1,
            version: "0".into(),
            started_at: String::new(),
            queues: vec![(queue.parse().expect("a name"), 2)],
            kinds: kinds.map(|kinds| kinds.iter().map(|kind| kind.parse().expect("a name")).collect()),
            running,
        }
    }

    fn codes(facts: &Facts) -> Vec<&'static str> {
        Explanation::of(facts).reasons.iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn a_waiting_job_names_what_it_waits_for() {
        let facts = |paused, position, workers| Facts { job: job("queued"), paused, position, workers };
        assert_eq!(codes(&facts(true, Some(0), Ok(vec![worker("q", None, 0)]))), ["paused", "position"]);
        assert_eq!(codes(&facts(false, Some(0), Ok(vec![worker("q", None, 0)]))), ["next"]);
        assert_eq!(codes(&facts(false, Some(3), Ok(vec![worker("q", None, 2)]))), ["position", "busy"]);
        assert_eq!(codes(&facts(false, Some(3), Ok(vec![worker("other", None, 0)]))), ["no_worker", "position"]);
        assert_eq!(codes(&facts(false, Some(3), Ok(vec![worker("q", Some(&["x"]), 0)]))), ["no_handler", "position"]);
        assert_eq!(codes(&facts(false, Some(3), Err("away".into()))), ["redis_away", "position"]);
    }

    #[test]
    fn a_scheduled_job_that_is_due_asks_for_a_reaper() {
        let served = || Ok(vec![worker("q", None, 0)]);
        let facts = Facts { job: job("scheduled"), paused: false, position: None, workers: served() };
        assert_eq!(codes(&facts), ["due"]);
        let later = JobRecord { run_at: Utc::now() + chrono::Duration::hours(1), ..job("scheduled") };
        assert_eq!(codes(&Facts { job: later, paused: false, position: None, workers: served() }), ["scheduled"]);
    }
}
