//! A job from the view of the client that makes it, of the worker that runs it, and of a reader.

use crate::{
    backoff::Backoff,
    id::{Epoch, Fence, JobId, WorkerId},
    limits::{KEY_LACK_PAUSE, MAX_ATTEMPTS_DEFAULT, MAX_CRASHES},
    names::{Kind, QueueName},
    outcome::{Outcome, Tries},
    parent::ParentFailure,
    progress::Progress,
    retry::Retry,
    state::State,
    unique::{Unique, UniqueRule},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// A job to be enqueued. [`NewJob::new`] makes one; [`NewJob::with`] sets fields. A later version may have more fields.
///
/// ```
/// # use leasehold_core::NewJob;
/// # use serde_json::value::to_raw_value;
/// let payload = to_raw_value("some text")?;
/// let job = NewJob::new("mail".parse()?, payload).with(|job| job.priority = 10);
/// assert_eq!(job.priority, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct NewJob {
    /// A new id, unless the caller sets one.
    pub id: JobId,
    /// Whether a job with `id` may have been sent before. Only if it may, the finished jobs are searched for this id.
    pub id_may_exist: bool,
    /// The queue in which the job waits.
    pub queue: QueueName,
    /// The kind, which names the handler.
    pub kind: Kind,
    /// The payload: JSON, stored unchanged.
    pub payload: Box<RawValue>,
    /// From −100 to 100: a head start in the line, for each point one `priority_step` of the queue.
    pub priority: i16,
    /// The earliest start; `None` means immediately.
    pub run_at: Option<DateTime<Utc>>,
    /// The delay before the earliest start, by the database's clock; ignored if `run_at` is set.
    pub delay: Option<Duration>,
    /// How many attempts the job may spend.
    pub max_attempts: i32,
    /// How many leases the job may lose.
    pub max_crashes: i16,
    /// How long one run may take; `None` means no limit.
    pub timeout: Option<Duration>,
    /// At most one live job has this key.
    pub unique_key: Option<String>,
    /// The limit keys: the job starts only if each key has room, and its run counts against the limit of each key. At most
    /// eight.
    pub limit_keys: Vec<String>,
    /// The parents: the job is blocked until all of them have succeeded.
    pub depends_on: Vec<JobId>,
    /// What happens to the job when a parent ends without success.
    pub on_parent_failure: ParentFailure,
    /// How the job is tried again, where it differs from its kind and its worker.
    pub retry: Option<Retry>,
    /// The job is cancelled if it has not begun by this time.
    pub expires_at: Option<DateTime<Utc>>,
    /// The same as a time from now, by the database's clock; ignored if `expires_at` is set.
    pub expires_in: Option<Duration>,
    /// How the job is unique. `None`: while it is live; a new job whose key is held is skipped.
    pub unique: Option<Unique>,
    /// The name of the group of jobs that the job belongs to.
    pub batch: Option<String>,
    /// The fair key: the jobs of the keys of a queue start in turns, so that each key gets its share.
    pub fair_key: Option<String>,
    /// The trace that the job belongs to: `traceparent` of W3C Trace Context, of version 00. The run gets it.
    pub traceparent: Option<String>,
    /// The id of a webhook that gets a message about the end of this job, even if its filter does not match.
    pub webhook: Option<String>,
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
            limit_keys: Vec::new(),
            depends_on: Vec::new(),
            on_parent_failure: ParentFailure::default(),
            retry: None,
            expires_at: None,
            expires_in: None,
            unique: None,
            batch: None,
            fair_key: None,
            traceparent: None,
            webhook: None,
        }
    }

    /// Whether the job has fields that few jobs have. The statements for many jobs do not support these fields.
    #[must_use]
    pub const fn has_rare_words(&self) -> bool {
        self.retry.is_some()
            || self.expires_at.is_some()
            || self.expires_in.is_some()
            || self.unique.is_some()
            || !self.limit_keys.is_empty()
            || self.batch.is_some()
            || self.fair_key.is_some()
            || self.traceparent.is_some()
            || self.webhook.is_some()
    }
}

/// A job that a worker holds on a lease. A later version may have more fields. [`ClaimedJob::new`] makes one for the test of a
/// handler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClaimedJob {
    /// The fence, which every write about this run names.
    pub fence: Fence,
    /// The queue in which the job waited.
    pub queue: QueueName,
    /// The kind, which names the handler.
    pub kind: Kind,
    /// The payload: JSON, as the client sent it.
    pub payload: Box<RawValue>,
    /// The number of this attempt; 1 is the first.
    pub attempt: i32,
    /// How many attempts the job may spend.
    pub max_attempts: i32,
    /// How many leases the job lost before this run.
    pub crashes: i16,
    /// How long this run may take.
    pub timeout: Option<Duration>,
    /// The position in the line, to which the job returns if the worker gives it back.
    pub line_at: DateTime<Utc>,
    /// Whether the job has parents, whose results the run can read.
    pub has_parents: bool,
    /// How the job is tried again, where it differs from its kind and its worker.
    pub retry: Option<Retry>,
    /// For how long, counted from the claim, another attempt may begin; `None` means no limit.
    pub retry_left: Option<Duration>,
    /// For how long the job had been due at the claim, by the clock of the store, without time before its queue was last resumed.
    /// `None`: the wait does not measure the fleet, because the job waited for parents or for room of a limit key, or its last
    /// run was given back or lost.
    pub due_for: Option<Duration>,
    /// The trace that the job belongs to: `traceparent` of W3C Trace Context.
    pub traceparent: Option<String>,
    /// Whether the payload is encrypted in the store.
    pub encryption: Encryption,
    /// How long after the claim the run begins: the token of a limit key comes then. Usually zero.
    pub begins_in: Duration,
}

/// The encryption of the payload of a job, as the worker knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encryption {
    /// The payload is not encrypted.
    #[default]
    Plain,
    /// The store has decrypted the payload. So the result must be encrypted too.
    Decrypted,
    /// The payload cannot be decrypted here, so no handler gets the job.
    Unreadable {
        /// Why, for the log and for readers of the job.
        reason: String,
        /// This process lacks the key: another one may have it.
        is_lack: bool,
    },
}

impl ClaimedJob {
    /// The first run of a plain job, which has nothing but these. [`ClaimedJob::with`] sets other fields.
    #[must_use]
    pub fn new(fence: Fence, queue: QueueName, kind: Kind, payload: Box<RawValue>) -> Self {
        Self {
            fence,
            queue,
            kind,
            payload,
            attempt: 1,
            max_attempts: MAX_ATTEMPTS_DEFAULT,
            crashes: 0,
            timeout: None,
            line_at: DateTime::UNIX_EPOCH,
            has_parents: false,
            retry: None,
            retry_left: None,
            due_for: None,
            traceparent: None,
            encryption: Encryption::Plain,
            begins_in: Duration::ZERO,
        }
    }

    /// The outcome of a run whose payload cannot be decrypted here; `None`: the payload can be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<Outcome> {
        match &self.encryption {
            Encryption::Plain | Encryption::Decrypted => None,
            // The job is not at fault: no attempt is spent.
            Encryption::Unreadable { reason, is_lack: true } => {
                Some(Outcome::Snoozed(Some(KEY_LACK_PAUSE), Some(reason.clone())))
            }
            Encryption::Unreadable { reason, is_lack: false } => Some(Outcome::Failed(reason.clone())),
        }
    }

    /// The attempts and the time that the job has left if this attempt fails this long after its claim. The kind or the worker
    /// has the delays `of_kind`.
    #[must_use]
    pub fn tries(&self, of_kind: Backoff, since_claim: Duration) -> Tries {
        Tries {
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            backoff: self.retry.map_or(of_kind, |retry| retry.backoff(of_kind)),
            time_left: self.retry_left.map(|left| left.saturating_sub(since_claim)),
        }
    }
}

/// An unusual event in the life of a job: a retry, a lost lease, a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrailEntry {
    /// The time, by the database's clock.
    pub at: DateTime<Utc>,
    /// The verb: `retry`, `snooze`, `release`, `expire`, `revive` …
    pub verb: String,
    /// The epoch of the run that the event belongs to.
    pub epoch: Epoch,
    /// The worker of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// A remark about the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl TrailEntry {
    /// An entry of a trail, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        at: DateTime<Utc>,
        verb: String,
        epoch: Epoch,
        worker: Option<WorkerId>,
        note: Option<String>,
    ) -> Self {
        Self { at, verb, epoch, worker, note }
    }
}

/// A job in the form of the view `leasehold.jobs`, live or finished. A later version may have more fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// The first of `limit_keys`.
    pub limit_key: Option<String>,
    #[serde(default)]
    pub limit_keys: Option<Vec<String>>,
    pub retry: Option<Retry>,
    pub retry_until: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub unique_rule: Option<UniqueRule>,
    pub batch: Option<String>,
    #[serde(default)]
    pub fair_key: Option<String>,
    /// Lists leave the progress out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The webhook that the job names. Lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    pub trail: Vec<TrailEntry>,
}

impl JobRecord {
    /// A job of the default queue that has nothing but these. [`JobRecord::with`] sets other fields.
    #[must_use]
    pub fn new(id: JobId, kind: String, state: State, payload: Box<RawValue>, created_at: DateTime<Utc>) -> Self {
        Self {
            id,
            queue: QueueName::default().into(),
            kind,
            state,
            priority: 0,
            payload,
            result: None,
            last_error: None,
            attempt: 0,
            max_attempts: MAX_ATTEMPTS_DEFAULT,
            crashes: 0,
            max_crashes: MAX_CRASHES,
            epoch: Epoch::default(),
            worker: None,
            run_at: created_at,
            created_at,
            started_at: None,
            finished_at: None,
            lease_expires_at: None,
            cancel_requested_at: None,
            timeout_ms: None,
            unique_key: None,
            limit_key: None,
            limit_keys: None,
            retry: None,
            retry_until: None,
            expires_at: None,
            unique_rule: None,
            batch: None,
            fair_key: None,
            progress: None,
            webhook: None,
            trail: Vec::new(),
        }
    }
}
