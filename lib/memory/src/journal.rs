//! The journal of all changes of rows, in order. The store writes the journal; the judge of the simulation reads it.

use chrono::{DateTime, Utc};
use leasehold_core::{Event, Fence, JobId, Kind, Lifecycle, QueueName, Settled, Verb};
use std::time::Duration;

/// One event, with its time by the store's clock.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The time.
    pub at: DateTime<Utc>,
    /// The event.
    pub change: Change,
}

/// An event.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "what each field holds is in its name")]
pub enum Change {
    /// A job was inserted.
    Enqueued { job: Lifecycle, queue: QueueName, kind: Kind, unique_key: Option<String> },
    /// An event changed a job, or renewed its lease. `lease` is set by a claim and by a renewal.
    Moved { event: Event, before: Lifecycle, after: Lifecycle, lease: Option<Duration> },
    /// A worker got the answer to the end of this run.
    Settled { fence: Fence, verb: Verb, answer: Settled },
    /// A client was told that this job is cancelled, or will be.
    CancelAnswered { id: JobId },
    /// The queue is paused from now on.
    Paused { queue: QueueName },
    /// The queue is resumed.
    Resumed { queue: QueueName },
    /// The kind is paused in this queue from now on.
    KindPaused { queue: QueueName, kind: Kind },
    /// The kind is resumed in this queue.
    KindResumed { queue: QueueName, kind: Kind },
}
