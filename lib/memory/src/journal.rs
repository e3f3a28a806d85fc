//! What happened to the rows, in the order in which it did. Written by the store, judged by somebody else.

use chrono::{DateTime, Utc};
use leasehold_core::{Event, Fence, JobId, Lifecycle, QueueName, Settled, Verb};
use std::time::Duration;

/// One thing that happened, and when on the store's clock.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "what each field holds is in its name")]
pub enum Change {
    /// A job is new.
    Enqueued { job: Lifecycle, queue: QueueName, unique_key: Option<String> },
    /// An event changed a job, or renewed its lease. `lease` is set by a claim and a renewal.
    Moved { event: Event, before: Lifecycle, after: Lifecycle, lease: Option<Duration> },
    /// A worker was told what became of the end of this run.
    Settled { fence: Fence, verb: Verb, answer: Settled },
    /// A client was told that this job is, or will be, cancelled.
    CancelAnswered { id: JobId },
    /// Nothing of the queue is claimed from now on.
    Paused { queue: QueueName },
    /// It is again.
    Resumed { queue: QueueName },
}
