//! A hint: the id of a job, and the position of the job in its line.

use chrono::{DateTime, Utc};
use leasehold_core::JobId;

/// A hint for the head of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The job.
    pub id: JobId,
    /// The position of the job in its line. `None`: not known. A hint without a position goes before all others, because a
    /// worker took it from there; the next fill moves it to its position.
    pub line_at: Option<DateTime<Utc>>,
}

impl Hint {
    /// A hint for its position in the line.
    #[must_use]
    pub const fn at(id: JobId, line_at: DateTime<Utc>) -> Self {
        Self { id, line_at: Some(line_at) }
    }

    /// A hint that a worker took and gives back unused.
    #[must_use]
    pub const fn unused(id: JobId) -> Self {
        Self { id, line_at: None }
    }
}
