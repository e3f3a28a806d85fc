//! The closed list of reasons why a job is in its state, each with its facts and its text.

use crate::text::{count, duration_ms, time};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, ParentFailure, State, WorkerId, shell_word};
use serde::Serialize;
use serde_json::Number;
use std::fmt;

/// Why Redis cannot say when a worker was last seen.
const NOT_REMEMBERED: &str = "Redis remembers none from the last 30 days, or since it was last emptied";

/// One reason. As JSON: `code` names the reason, and the other fields are its facts. [`fmt::Display`] is the text for human
/// readers.
///
/// All times and durations are by the clock of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named for what they hold; units stand at the end of a name")]
pub enum Reason {
    /// Blocked: other jobs must end first. Up to ten of them are named.
    BlockedBy { count: u64, parents: Vec<BlockingParent> },
    /// Blocked, and every parent has ended: a reaper must continue, but cannot do so while a transaction has locked the job.
    ParentsEnded { locked: bool },
    /// Scheduled: the job starts later.
    Scheduled { run_at: DateTime<Utc>, in_ms: u64 },
    /// Scheduled, and the time has come: a reaper must put the job into the line.
    Due { run_at: DateTime<Utc>, since_ms: u64 },
    /// The last event of the job, because of which the job waits again.
    After { verb: String, note: Option<String>, attempt: i32, max_attempts: i32 },
    /// The job is cancelled if it does not begin before this time.
    Expires { expires_at: DateTime<Utc>, in_ms: u64 },
    /// The job is dead if its next attempt does not begin before this time.
    RetriesEnd { until: DateTime<Utc>, in_ms: u64 },
    /// Another job with the same unique key has begun, and of these jobs only one may run.
    KeyHeld { unique_key: String, by: JobId },
    /// The transaction of another session has locked the row of the job.
    Locked { pid: i32, application: Option<String>, since: DateTime<Utc>, since_ms: u64 },
    /// Workers were lost while they ran the job. A worker takes such jobs a few at a time, and takes a job alone for its last
    /// try.
    Crashed { crashes: i16, max_crashes: i16 },
    /// The maximum number of jobs of a limit key runs already. Up to ten of them are named.
    Limited { limit_key: String, limit: i32, running: u64, by: Vec<JobId> },
    /// The rate of a limit key lets no job start now.
    RateLimited { limit_key: String, in_ms: u64 },
    /// The transaction of another session has locked a row of a limit key, which every claim of the key needs.
    KeyLocked { limit_key: String, pid: i32, application: Option<String>, since: DateTime<Utc>, since_ms: u64 },
    /// The fair key of the job is paused in its queue.
    FairKeyPaused { queue: String, fair_key: String },
    /// The job waits in the lane of its fair key. `weight` is the weight of the key. `keys` is the number of keys that share the
    /// queue, including this key.
    Parked { fair_key: String, before: u64, at_least: bool, weight: Number, keys: u64 },
    /// The queue is paused.
    Paused { queue: String },
    /// The kind is paused in the queue.
    KindPaused { queue: String, kind: String },
    /// Redis is unavailable, and only Redis knows which workers are alive.
    RedisAway { error: String },
    /// No live worker serves the queue. `last_seen_ms`: how long ago a worker for the kind of the job was last seen there. `None`: not
    /// known, because Redis remembers none.
    NoWorker { queue: String, kind: String, last_seen_ms: Option<u64> },
    /// Workers serve the queue, but no worker has a handler for the kind. `last_seen_ms`: as before.
    NoHandler { queue: String, kind: String, workers: u64, last_seen_ms: Option<u64> },
    /// First in the line, and nothing prevents the job from starting.
    Next,
    /// How many jobs are before the job in the line; `at_least`: the count stopped at this number.
    Position { before: u64, at_least: bool },
    /// The job left the line between two reads.
    Moved,
    /// All slots of the workers that serve the job are taken.
    Busy { slots: u32 },
    /// A worker runs the job.
    Running {
        worker: Option<WorkerId>,
        process: Option<Process>,
        started_at: Option<DateTime<Utc>>,
        attempt: i32,
        max_attempts: i32,
    },
    /// The time until the lease of the run ends.
    Lease { expires_at: DateTime<Utc>, in_ms: u64 },
    /// The lease of the run has run out. A reaper must end the run, but cannot do so while a transaction has locked the job.
    LeaseRanOut { expired_at: DateTime<Utc>, since_ms: u64, locked: bool },
    /// A cancel was requested, and the run has not stopped yet.
    CancelWanted { requested_at: DateTime<Utc>, since_ms: u64 },
    /// The job has succeeded.
    Succeeded { finished_at: Option<DateTime<Utc>>, since_ms: u64 },
    /// The job was cancelled.
    Cancelled { finished_at: Option<DateTime<Utc>>, since_ms: u64, reason: Option<String> },
    /// The job is dead.
    Dead { finished_at: Option<DateTime<Utc>>, since_ms: u64, cause: DeathCause, error: Option<String> },
}

impl Reason {
    /// Whether the head in Redis has no hints of jobs that wait for this reason.
    pub(crate) const fn is_outside_the_head(&self) -> bool {
        matches!(
            self,
            Self::Paused { .. }
                | Self::KindPaused { .. }
                | Self::FairKeyPaused { .. }
                | Self::Parked { .. }
                | Self::Limited { .. }
                | Self::RateLimited { .. }
                | Self::KeyLocked { .. }
                | Self::KeyHeld { .. }
        )
    }
}

/// A job that another job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named for what they hold")]
pub struct BlockingParent {
    pub id: JobId,
    /// `None` after the row of the parent has left history.
    pub state: Option<State>,
    pub on_parent_failure: ParentFailure,
}

impl fmt::Display for BlockingParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        match self.state {
            None => f.write_str(" (no longer kept)"),
            // Only `hold` still waits for such a parent.
            Some(state) if state.is_final() && state != State::Succeeded => {
                write!(f, " ({state}; held until it is retried)")
            }
            Some(state) => write!(f, " ({state})"),
        }
    }
}

/// The cause of the end of a dead job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named for what they hold")]
pub enum DeathCause {
    /// Too many workers were lost while they ran the job.
    Crashes { crashes: i16 },
    /// The last attempt failed, or the handler said that the job can never succeed.
    Attempts { attempt: i32, max_attempts: i32 },
    /// No further attempt could begin within the time for retries.
    Time { attempt: i32, max_attempts: i32 },
}

/// The process of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named for what they hold")]
pub struct Process {
    pub host: String,
    pub pid: u32,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockedBy { count: waits, parents } => {
                write!(f, "it waits for {}: ", count(*waits, "job", "jobs"))?;
                for (nth, parent) in parents.iter().enumerate() {
                    write!(f, "{}{parent}", if nth == 0 { "" } else { ", " })?;
                }
                if *waits > parents.len() as u64 { f.write_str(", …") } else { Ok(()) }
            }
            Self::ParentsEnded { locked } => write!(
                f,
                "every job that it waited for has ended; a reaper goes on {}",
                at_next_tick_or_release(*locked)
            ),
            Self::Scheduled { run_at, in_ms } => {
                write!(f, "it is not to start before {} (in {})", time(*run_at), duration_ms(*in_ms))
            }
            Self::Due { run_at, since_ms } => write!(
                f,
                "its time has come ({}, {} ago); a reaper puts it into the line at its next tick: is one running?",
                time(*run_at),
                duration_ms(*since_ms)
            ),
            Self::After { verb, note, attempt, max_attempts } => {
                write!(f, "the last thing that happened to it was {verb}")?;
                note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))?;
                write!(f, "; {attempt} of {max_attempts} attempts are spent")
            }
            Self::Expires { expires_at, in_ms } => {
                write!(f, "it is cancelled if it has not begun by {} (in {})", time(*expires_at), duration_ms(*in_ms))
            }
            Self::RetriesEnd { until, in_ms } => {
                write!(
                    f,
                    "it is dead if its next attempt has not begun by {} (in {})",
                    time(*until),
                    duration_ms(*in_ms)
                )
            }
            Self::KeyHeld { unique_key, by } => {
                write!(f, "job {by} has begun with the unique key {unique_key:?}, and only one of these jobs may run")
            }
            Self::Locked { pid, application, since_ms, .. } => {
                write!(f, "a transaction has locked it for {}: the session of pid {pid}", duration_ms(*since_ms))?;
                application.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))?;
                f.write_str("; nobody can start, end or change it before this transaction has ended")
            }
            Self::Crashed { crashes, max_crashes } => {
                let lost = count(u64::try_from(*crashes).unwrap_or(0), "worker was", "workers were");
                write!(
                    f,
                    "{lost} lost while running it; it is dead after {max_crashes}, and a worker takes such jobs a few at a time"
                )
            }
            Self::Limited { limit_key, limit, running, by } => {
                write!(f, "its limit key {limit_key:?} is full: {running} of {limit} run")?;
                for (nth, id) in by.iter().enumerate() {
                    write!(f, "{}{id}", if nth == 0 { ": " } else { ", " })?;
                }
                if *running > by.len() as u64 { f.write_str(", …") } else { Ok(()) }
            }
            Self::RateLimited { limit_key, in_ms } => {
                write!(f, "the rate of its limit key {limit_key:?} lets the next job start in {}", duration_ms(*in_ms))
            }
            Self::KeyLocked { limit_key, pid, application, since_ms, .. } => {
                let ms = duration_ms(*since_ms);
                write!(
                    f,
                    "a transaction has locked a row of its limit key {limit_key:?} for {ms}: the session of pid {pid}"
                )?;
                application.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))?;
                f.write_str("; jobs of this key may not start before this transaction has ended")
            }
            Self::FairKeyPaused { queue, fair_key } => write!(
                f,
                "the fair key {fair_key:?} is paused in {queue}; `leasehold queue resume {queue} --fair-key {}` lets it go on",
                shell_word(fair_key)
            ),
            Self::Parked { fair_key, before, at_least, weight, keys } => {
                let more = if *at_least { "at least " } else { "" };
                write!(f, "it waits behind {more}{} of its fair key {fair_key:?}", count(*before, "job", "jobs"))?;
                match keys.saturating_sub(1) {
                    0 => f.write_str(", the only key with jobs that wait for a turn")?,
                    others => {
                        write!(f, ", which takes turns with {}", count(others, "other key", "other keys"))?;
                    }
                }
                let weight = weight.as_f64().unwrap_or(1.0);
                if (weight - 1.0).abs() < f64::EPSILON { Ok(()) } else { write!(f, " with the weight {weight}") }
            }
            Self::Paused { queue } => {
                write!(f, "the queue {queue} is paused; `leasehold queue resume {queue}` lets it go on")
            }
            Self::KindPaused { queue, kind } => {
                write!(
                    f,
                    "the kind {kind} is paused in the queue {queue}; `leasehold queue resume {queue} --kind {kind}` lets it go on"
                )
            }
            Self::RedisAway { error } => {
                write!(f, "which workers live is not known, since Redis cannot be asked: {error}")
            }
            Self::NoWorker { queue, kind, last_seen_ms } => {
                write!(f, "no live worker serves the queue {queue}; ")?;
                match last_seen_ms {
                    Some(ms) => write!(f, "a worker for the kind {kind} was last seen {} ago", duration_ms(*ms)),
                    None => write!(f, "when a worker for the kind {kind} was last seen is not known: {NOT_REMEMBERED}"),
                }
            }
            Self::NoHandler { queue, kind, workers, last_seen_ms } => {
                let workers = count(*workers, "worker that serves", "workers that serve");
                write!(f, "none of the {workers} the queue {queue} has a handler for the kind {kind}; ")?;
                match last_seen_ms {
                    Some(ms) => write!(f, "one that had was last seen {} ago", duration_ms(*ms)),
                    None => write!(f, "when one that had was last seen is not known: {NOT_REMEMBERED}"),
                }
            }
            Self::Next => f.write_str("it is the next one of its line: the next free slot takes it"),
            Self::Position { before: 0, .. } => f.write_str("no job stands before it in the line"),
            Self::Position { before, at_least } => {
                let more = if *at_least { "at least " } else { "" };
                write!(f, "{more}{} before it in the line", count(*before, "job stands", "jobs stand"))
            }
            Self::Moved => f.write_str("it has left the line while we looked; ask again"),
            Self::Busy { slots } => write!(f, "all {slots} slots of the workers that serve it are taken"),
            Self::Running { worker, process, started_at, attempt, max_attempts } => {
                f.write_str("worker")?;
                worker.map_or(Ok(()), |worker| write!(f, " {worker}"))?;
                let place = process.as_ref();
                place.map_or(Ok(()), |place| write!(f, " (process {} on {})", place.pid, place.host))?;
                f.write_str(" runs it")?;
                started_at.map_or(Ok(()), |started| write!(f, " since {}", time(started)))?;
                write!(f, ", attempt {attempt} of {max_attempts}")
            }
            Self::Lease { in_ms, .. } => {
                write!(f, "its lease holds for another {} unless it is renewed", duration_ms(*in_ms))
            }
            Self::LeaseRanOut { since_ms, locked: false, .. } => write!(
                f,
                "its lease ran out {} ago; a reaper ends the run at its next tick: is one running?",
                duration_ms(*since_ms)
            ),
            Self::LeaseRanOut { since_ms, locked: true, .. } => write!(
                f,
                "its lease ran out {} ago, and a transaction has locked the job: after that transaction its worker goes on, or a \
                 reaper ends the run",
                duration_ms(*since_ms)
            ),
            Self::CancelWanted { since_ms, .. } => write!(f, "a cancel was asked for {} ago", duration_ms(*since_ms)),
            Self::Succeeded { finished_at, since_ms } => write!(f, "it succeeded{}", When(*finished_at, *since_ms)),
            Self::Cancelled { finished_at, since_ms, reason } => {
                let when = When(*finished_at, *since_ms);
                write!(f, "it was cancelled{when}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))?;
                f.write_str("; `leasehold job retry` would run it")
            }
            Self::Dead { finished_at, since_ms, cause, error } => {
                write!(f, "it died{}: {cause}", When(*finished_at, *since_ms))?;
                error.as_ref().map_or(Ok(()), |error| write!(f, "; the last error: {error}"))
            }
        }
    }
}

/// When a reaper will act.
const fn at_next_tick_or_release(locked: bool) -> &'static str {
    if locked { "when the transaction that has locked the job is over" } else { "at its next tick: is one running?" }
}

/// When a job finished: ` 2026-01-31 12:00:00 UTC (4m ago)`.
struct When(Option<DateTime<Utc>>, u64);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |at| write!(f, " {} ({} ago)", time(at), duration_ms(self.1)))
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashes { crashes } => write!(f, "{crashes} workers were lost while running it"),
            Self::Attempts { attempt, max_attempts } => write!(f, "{attempt} of {max_attempts} attempts were spent"),
            Self::Time { attempt, max_attempts } => {
                write!(f, "its time for retries was over after {attempt} of {max_attempts} attempts")
            }
        }
    }
}
