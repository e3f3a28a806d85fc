//! Why a job is in its state: a pure function of facts from both stores.

use super::{
    reason::Reason,
    reasons::{blocked, deadlines, finished, ms_between, not_served, queued, running, scheduled},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Parent, State};
use leasehold_ports::{HintPlace, JobMoment, LastServed, RowLocker, WorkerRecord};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use std::fmt;

/// Jobs before the explained one are counted up to this number.
pub(crate) const POSITION_LIMIT: i64 = 100_000;

/// The facts about a job from both stores.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The job, as PostgreSQL has it.
    pub(crate) moment: JobMoment,
    /// How many jobs are before the job in the line; `None` if the job is not in the line.
    pub(crate) position: Option<i64>,
    /// The live workers, or why Redis cannot be asked.
    pub(crate) workers: Result<Vec<WorkerRecord>, String>,
    /// When workers last served the kinds of the queue of a job that waits, as far as Redis remembers.
    pub(crate) last_served: Vec<LastServed>,
    /// The parents of a blocked job.
    pub(crate) parents: Vec<Parent>,
    /// The hint in Redis of a job in the line; `None` if the job is not in the line, or Redis is unavailable.
    pub(crate) hint: Option<HintPlace>,
}

/// Why a job is in its state. As JSON, each reason has its `code`, its facts and its `text`. [`fmt::Display`] prints the
/// job and a line for each reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The job.
    pub id: JobId,
    /// The state of the job.
    pub state: State,
    /// The time of this answer, by the clock of the database.
    pub as_of: DateTime<Utc>,
    /// The most important reason first.
    #[serde(serialize_with = "with_texts")]
    pub reasons: Vec<Reason>,
    /// The hint in Redis of a job in the line. `None` if the job is not in the line, or Redis cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<HintPlace>,
}

fn with_texts<S: Serializer>(reasons: &[Reason], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        reason: &'a Reason,
        text: String,
    }
    let mut list = serializer.serialize_seq(Some(reasons.len()))?;
    for reason in reasons {
        list.serialize_element(&Told { reason, text: reason.to_string() })?;
    }
    list.end()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is {}", self.id, self.state)?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "  - {reason}"))?;
        match self.hint {
            None => Ok(()),
            Some(HintPlace::Waiting) => writeln!(f, "  - Redis has its hint"),
            Some(HintPlace::Leased) => writeln!(f, "  - a worker has taken its hint from Redis"),
            // Hints of jobs that may not start are not in the head. The reason above already says why the job may not
            // start.
            Some(HintPlace::Absent) if self.reasons.iter().any(Reason::is_outside_the_head) => Ok(()),
            Some(HintPlace::Absent) => {
                writeln!(
                    f,
                    "  - Redis has no hint of it yet: it is behind the head of the line, or a reaper adds it at its next tick"
                )
            }
        }
    }
}

impl Explanation {
    /// The reasons that follow from the facts.
    pub(crate) fn of(facts: &Facts) -> Self {
        let JobMoment { job, as_of, .. } = &facts.moment;
        let mut reasons = match job.state {
            State::Blocked => vec![blocked(&facts.parents, facts.moment.locked_by.is_some())],
            State::Scheduled => scheduled(job, *as_of),
            State::Queued => queued(facts),
            State::Running => running(facts),
            State::Succeeded | State::Dead | State::Cancelled => vec![finished(job, *as_of)],
        };
        if !job.state.is_final() && job.state != State::Running {
            reasons.extend(deadlines(job, *as_of));
        }
        if matches!(job.state, State::Scheduled | State::Blocked) {
            reasons.extend(not_served(facts));
        }
        if let Some(RowLocker { pid, application, since }) = facts.moment.locked_by.clone() {
            reasons.insert(0, Reason::Locked { pid, application, since, since_ms: ms_between(since, *as_of) });
        }
        Self { id: job.id, state: job.state, as_of: *as_of, reasons, hint: facts.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::{JobRecord, TrailEntry, WorkerId};
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
            oldest_run_s: None,
            draining: false,
            http: None,
        }
    }

    fn as_of() -> DateTime<Utc> {
        "2026-01-01T12:00:00Z".parse().expect("a time")
    }

    fn facts(job: JobRecord, paused: bool, position: Option<i64>, workers: Result<Vec<WorkerRecord>, String>) -> Facts {
        let moment = JobMoment {
            job,
            as_of: as_of(),
            paused,
            kind_paused: false,
            key_held_by: None,
            locked_by: None,
            limits: Vec::new(),
            share: None,
        };
        Facts { moment, position, workers, last_served: Vec::new(), parents: Vec::new(), hint: None }
    }

    fn codes(facts: &Facts) -> Vec<String> {
        let told = serde_json::to_value(Explanation::of(facts)).expect("JSON");
        let reasons = told["reasons"].as_array().expect("reasons").iter();
        reasons.map(|reason| reason["code"].as_str().expect("a code").to_owned()).collect()
    }

    #[test]
    fn a_waiting_job_names_what_it_waits_for() {
        let facts = |paused, position, workers| facts(job("queued"), paused, position, workers);
        assert_eq!(codes(&facts(true, Some(0), Ok(vec![worker("q", None, 0)]))), ["paused", "position"]);
        let mut of_kind = facts(false, Some(0), Ok(vec![worker("q", None, 0)]));
        of_kind.moment.kind_paused = true;
        assert_eq!(codes(&of_kind), ["kind_paused", "position"]);
        let text = Explanation::of(&of_kind).to_string();
        assert!(
            text.contains("the kind k is paused in the queue q; `leasehold queue resume q --kind k` lets"),
            "{text}"
        );
        assert_eq!(codes(&facts(false, Some(0), Ok(vec![worker("q", None, 0)]))), ["next"]);
        assert_eq!(codes(&facts(false, Some(3), Ok(vec![worker("q", None, 2)]))), ["position", "busy"]);
        assert_eq!(codes(&facts(false, Some(3), Ok(vec![worker("other", None, 0)]))), ["no_worker", "position"]);
        assert_eq!(codes(&facts(false, Some(3), Ok(vec![worker("q", Some(&["x"]), 0)]))), ["no_handler", "position"]);
        assert_eq!(codes(&facts(false, Some(3), Err("away".into()))), ["redis_away", "position"]);
    }

    #[test]
    fn a_job_without_a_worker_says_when_one_was_last_seen() {
        let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
        let last = |kind: Option<&str>, ago| LastServed { kind: kind.map(|kind| kind.parse().expect("a name")), ago };
        let mut facts = facts(job("queued"), false, Some(0), Ok(Vec::new()));
        let text = Explanation::of(&facts).to_string();
        assert!(
            text.contains("no live worker serves the queue q; when a worker for the kind k was last seen is not known"),
            "{text}"
        );
        facts.last_served = vec![last(Some("other"), minutes(1)), last(Some("k"), minutes(5)), last(None, minutes(60))];
        let told = serde_json::to_value(Explanation::of(&facts)).expect("JSON");
        let (code, seen) = (&told["reasons"][0]["code"], &told["reasons"][0]["last_seen_ms"]);
        assert_eq!((code, seen), (&json!("no_worker"), &json!(300_000)));
        facts.workers = Ok(vec![worker("q", Some(&["other"]), 0)]);
        let text = Explanation::of(&facts).to_string();
        assert!(text.contains("has a handler for the kind k; one that had was last seen 5m ago"), "{text}");
        facts.last_served.remove(1);
        let text = Explanation::of(&facts).to_string();
        assert!(text.contains("last seen 1h ago"), "a worker of every kind counts: {text}");
    }

    #[test]
    fn a_job_says_who_has_locked_it_how_often_it_crashed_and_what_redis_has_of_it() {
        let crashed = job("queued").with(|job| job.crashes = 2);
        let mut facts = facts(crashed, false, Some(0), Ok(vec![worker("q", None, 0)]));
        facts.hint = Some(HintPlace::Absent);
        assert_eq!(codes(&facts), ["crashed", "position"]);
        let since = as_of() - chrono::Duration::seconds(90);
        facts.moment.locked_by = Some(RowLocker { pid: 7, application: Some("psql".into()), since });
        assert_eq!(codes(&facts), ["locked", "crashed", "position"]);
        let explained = Explanation::of(&facts);
        let text = explained.to_string();
        assert!(text.contains("a transaction has locked it for 1m 30s: the session of pid 7 (psql)"), "{text}");
        assert!(text.contains("2 workers were lost while running it; it is dead after 3"), "{text}");
        assert!(text.contains("Redis has no hint of it yet"), "{text}");
        let reasons = vec![Reason::KindPaused { queue: "q".into(), kind: "k".into() }];
        let paused = Explanation { reasons, ..explained }.to_string();
        assert!(!paused.contains("Redis"), "a reaper will not add it: {paused}");
        assert_eq!(serde_json::to_value(&explained).expect("JSON")["hint"], "absent");
    }

    #[test]
    fn a_child_whose_parents_have_ended_says_what_the_reaper_waits_for() {
        let mut facts = facts(job("blocked"), false, None, Ok(vec![worker("q", None, 0)]));
        assert_eq!(codes(&facts), ["parents_ended"]);
        let text = Explanation::of(&facts).to_string();
        assert!(text.contains("has ended; a reaper goes on at its next tick: is one running?"), "{text}");
        let since = as_of() - chrono::Duration::seconds(90);
        facts.moment.locked_by = Some(RowLocker { pid: 7, application: Some("psql".into()), since });
        assert_eq!(codes(&facts), ["locked", "parents_ended"]);
        let text = Explanation::of(&facts).to_string();
        assert!(text.contains("the session of pid 7 (psql)"), "{text}");
        let told = "a reaper goes on when the transaction that has locked the job is over";
        assert!(text.contains(told) && !text.contains("is one running?"), "{text}");
    }

    #[test]
    fn a_scheduled_job_that_is_due_asks_for_a_reaper() {
        let served = || Ok(vec![worker("q", None, 0)]);
        assert_eq!(codes(&facts(job("scheduled"), false, None, served())), ["due"]);
        // The clock of this machine is years ahead of the database's: only the database's clock decides.
        let later = job("scheduled").with(|job| job.run_at = as_of() + chrono::Duration::hours(1));
        let explained = Explanation::of(&facts(later, false, None, served()));
        let text = "it is not to start before 2026-01-01 13:00:00 UTC (in 1h)";
        assert_eq!(explained.reasons[0].to_string(), text);
        let told = serde_json::to_value(&explained).expect("JSON");
        let wanted = json!({ "code": "scheduled", "run_at": "2026-01-01T13:00:00Z", "in_ms": 3_600_000, "text": text });
        assert_eq!((&told["reasons"][0], &told["as_of"]), (&wanted, &json!("2026-01-01T12:00:00Z")));
    }

    #[test]
    fn a_run_says_who_runs_it_and_how_long_its_lease_holds() {
        let lives = worker("q", None, 1);
        let end = as_of() + chrono::Duration::seconds(20);
        let run =
            job("running").with(|job| (job.worker, job.attempt, job.lease_expires_at) = (Some(lives.id), 1, Some(end)));
        let texts = |facts: &Facts| Explanation::of(facts).to_string();
        let text = texts(&facts(run.clone(), false, None, Ok(vec![lives])));
        assert!(text.contains("(process 1 on h) runs it, attempt 1 of 5"), "{text}");
        assert!(text.contains("its lease holds for another 20s"), "{text}");
        let over = run.with(|job| job.lease_expires_at = Some(as_of() - chrono::Duration::seconds(3)));
        let mut facts = facts(over, false, None, Err("away".into()));
        let text = texts(&facts);
        let told = "its lease ran out 3.0s ago; a reaper ends the run at its next tick: is one running?";
        assert!(text.contains(told), "{text}");
        facts.moment.locked_by = Some(RowLocker { pid: 7, application: None, since: as_of() });
        let text = texts(&facts);
        let told =
            "a transaction has locked the job: after that transaction its worker goes on, or a reaper ends the run";
        assert!(text.contains(told) && !text.contains("is one running?"), "{text}");
    }

    #[test]
    fn a_waiting_job_says_until_when_it_may_begin_and_who_holds_its_key() {
        let served = || Ok(vec![worker("q", None, 0)]);
        let expires_at = Some(as_of() + chrono::Duration::minutes(10));
        let job = job("queued").with(|job| {
            (job.expires_at, job.retry_until, job.unique_key) = (expires_at, expires_at, Some("k".into()));
        });
        let mut facts = facts(job, false, Some(0), served());
        assert_eq!(codes(&facts), ["next", "expires", "retries_end"]);
        let by = JobId::new();
        facts.moment.key_held_by = Some(by);
        assert_eq!(codes(&facts), ["key_held", "position", "expires", "retries_end"]);
        let text = Explanation::of(&facts).to_string();
        assert!(text.contains(&format!("job {by} has begun with the unique key \"k\"")), "{text}");
        assert!(text.contains("it is cancelled if it has not begun by 2026-01-01 12:10:00 UTC (in 10m)"), "{text}");
    }

    #[test]
    fn a_job_that_ran_out_of_time_says_so() {
        let expired = || Some("it expired: it had not begun".to_owned());
        let entry = |verb: &str| TrailEntry::new(as_of(), verb.to_owned(), 0, None, expired());
        let text = |job: JobRecord| Explanation::of(&facts(job, false, None, Ok(Vec::new()))).reasons[0].to_string();
        let finished_at = Some(as_of());
        let expired = job("cancelled").with(|job| (job.finished_at, job.trail) = (finished_at, vec![entry("cancel")]));
        assert!(text(expired).contains("it expired: it had not begun"));
        let dead = job("dead").with(|job| {
            (job.finished_at, job.attempt, job.trail) = (finished_at, 2, vec![entry("bury")]);
        });
        assert!(text(dead).contains("its time for retries was over after 2 of 5 attempts"));
    }

    #[test]
    fn a_dead_job_says_what_ended_it() {
        let text = |job: JobRecord| Explanation::of(&facts(job, false, None, Ok(Vec::new()))).reasons[0].to_string();
        let finished_at = Some(as_of() - chrono::Duration::minutes(4));
        let dead = job("dead").with(|job| {
            (job.attempt, job.finished_at, job.last_error) = (5, finished_at, Some("no".into()));
        });
        assert_eq!(
            text(dead.clone()),
            "it died 2026-01-01 11:56:00 UTC (4m ago): 5 of 5 attempts were spent; the last error: no"
        );
        assert!(text(dead.with(|job| job.crashes = 3)).contains("3 workers were lost while running it"));
    }
}
