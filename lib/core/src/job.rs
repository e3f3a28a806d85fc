//! A job as each side sees it: the client that makes it, the worker that runs it, the reader.

use crate::{
    id::{Epoch, Fence, JobId, WorkerId},
    limits::{MAX_ATTEMPTS_DEFAULT, MAX_CRASHES},
    names::{Kind, QueueName},
    settle::Settle,
    state::State,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// A job to be enqueued.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Made here and now unless the caller brings one.
    pub id: JobId,
    /// Whether `id` may have been sent before. Only then the finished jobs are searched for it.
    pub id_may_exist: bool,
    /// Where it waits.
    pub queue: QueueName,
    /// Which handler runs it.
    pub kind: Kind,
    /// JSON, kept to the letter.
    pub payload: Box<RawValue>,
    /// −100 to 100, higher first.
    pub priority: i16,
    /// Not before this time; `None` is at once.
    pub run_at: Option<DateTime<Utc>>,
    /// Not before this long from now, on the database's clock; ignored when `run_at` is set.
    pub delay: Option<Duration>,
    /// Attempts it may spend.
    pub max_attempts: i32,
    /// Leases it may lose.
    pub max_crashes: i16,
    /// How long one run may take; `None` is for ever.
    pub timeout: Option<Duration>,
    /// At most one live job has this key.
    pub unique_key: Option<String>,
    /// Jobs of one key share a limit on how many of them run.
    pub limit_key: Option<String>,
}

impl NewJob {
    /// A job with a new id in the default queue.
    #[must_use]
    pub fn new(kind: Kind, payload: Box<RawValue>) -> Self {
        Self {
            id: JobId::new(),
            id_may_exist: false,
            queue: QueueName::default(),
            kind,
            payload,
            priority: 0,
            run_at: None,
            delay: None,
            max_attempts: MAX_ATTEMPTS_DEFAULT,
            max_crashes: MAX_CRASHES,
            timeout: None,
            unique_key: None,
            limit_key: None,
        }
    }
}

/// A job that this worker holds on a lease.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// Names this run in every write about it.
    pub fence: Fence,
    /// Where it waited.
    pub queue: QueueName,
    /// Which handler runs it.
    pub kind: Kind,
    /// JSON, as the client sent it.
    pub payload: Box<RawValue>,
    /// Which attempt this is; 1 is the first.
    pub attempt: i32,
    /// Attempts it may spend.
    pub max_attempts: i32,
    /// Leases lost before this run.
    pub crashes: i16,
    /// How long this run may take.
    pub timeout: Option<Duration>,
}

/// The end of a run, to be written.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// Which run.
    pub fence: Fence,
    /// What to write.
    pub settle: Settle,
}

/// Something other than the plain way that happened to a job: a retry, a lost lease, a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailEntry {
    /// When, on the database's clock.
    pub at: DateTime<Utc>,
    /// The verb: `retry`, `snooze`, `release`, `expire`, `revive` …
    pub verb: String,
    /// The epoch of the run it happened to.
    pub epoch: Epoch,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// What was said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A job as the view `leasehold.jobs` shows it, live or finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, described in docs/reference.md")]
pub struct JobRecord {
    pub id: JobId,
    pub queue: String,
    pub kind: String,
    pub state: State,
    pub priority: i16,
    pub payload: Box<RawValue>,
    pub result: Option<Box<RawValue>>,
    pub last_error: Option<String>,
    pub attempt: i32,
    pub max_attempts: i32,
    pub crashes: i16,
    pub max_crashes: i16,
    pub epoch: Epoch,
    pub worker: Option<WorkerId>,
    pub run_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub timeout_ms: Option<i32>,
    pub unique_key: Option<String>,
    pub limit_key: Option<String>,
    pub trail: Vec<TrailEntry>,
}
